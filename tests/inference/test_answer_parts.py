"""Parts of answers: blocks of lines, shares of processes, whole parts, and the join."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.errors import DataError, RunError, UsageError
from triptych.inference.parts import Manifest, Parts, mark_of_run
from triptych.inference.shares import LineFile, Share, share_of
from triptych.runs.storage import whole

RUN = Path(__file__).parent.parent / "goldens" / "runs" / "classifier"


def written(folder: Path, text: str = "a\nb\r\n\ufeffc\n\nlast", block_lines: int = 2) -> LineFile:
    path = folder / "lines.txt"
    path.write_bytes(text.encode())
    return LineFile.scan(path, block_lines)


def filled(folder: Path, lines: LineFile, shards: int = 2) -> Parts:
    parts = Parts.open(folder / "out.parts", Manifest.of(lines, "run", {"to": "de"}, shards))
    for block in range(lines.blocks):
        content = "".join(f"<{line}>\n" for line in lines.read(block)).encode()
        parts.write(block, content, lines.length(block), failed=block % 2)
    return parts


def test_blocks_hold_every_line_once(tmp_path: Path) -> None:
    lines = written(tmp_path)
    assert (lines.lines, lines.blocks) == (5, 3)
    assert [lines.read(block) for block in range(3)] == [["a", "b"], ["c", ""], ["last"]]
    assert [lines.first(block) for block in range(3)] == [1, 3, 5]
    empty = written(tmp_path, "")
    assert (empty.lines, empty.blocks) == (0, 0)


def test_a_file_is_refused_before_anything_is_answered(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"one\ntwo\nt\xffo\n")
    with pytest.raises(DataError, match=r"bad.txt:3: byte 0xFF is not UTF-8"):
        LineFile.scan(tmp_path / "bad.txt", 2)
    with pytest.raises(DataError, match="There is no file"):
        LineFile.scan(tmp_path / "none.txt", 2)
    lines = written(tmp_path)
    lines.path.write_text("changed\n")
    with pytest.raises(DataError, match="was changed while it was being answered"):
        lines.read(0)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("first", [0, 1])
def test_shares_hold_every_block_once(count: int, first: int) -> None:
    """Numbers from 0 and from 1 are both whole."""
    shares = [Share.read(f"{number}/{count}") for number in range(first, count + first)]
    assert sorted(block for one in shares for block in one.blocks(10)) == list(range(10))


@pytest.mark.parametrize("text", ["", "1", "3/2", "-1/2", "1/0", "a/b", "1/2/3", "1.0/2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a share like 2/4"):
        Share.read(text)


@pytest.mark.parametrize(
    ("environment", "share"),
    [
        (
            {
                "SLURM_ARRAY_TASK_ID": "12",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_PROCID": "0",
                "SLURM_NTASKS": "1",
            },
            Share(2, 4),
        ),
        ({"JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "5"}, Share(3, 5)),
        ({"RANK": "1", "WORLD_SIZE": "2"}, Share(1, 2)),
        ({"SLURM_PROCID": "7", "SLURM_NTASKS": "8"}, Share(7, 8)),
    ],
)
def test_a_launcher_says_the_share(environment: dict[str, str], share: Share) -> None:
    assert share_of(environment)[0] == share


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "none of SLURM_ARRAY_TASK_ID"),
        ({"JOB_COMPLETION_INDEX": "1"}, "JOB_COMPLETIONS is not a number"),
        (  # --array=3,7: the number does not say which of both this is
            {
                "SLURM_ARRAY_TASK_ID": "7",
                "SLURM_ARRAY_TASK_COUNT": "2",
                "SLURM_ARRAY_TASK_MIN": "3",
            },
            "the numbers have gaps",
        ),
    ],
)
def test_a_launcher_that_does_not_say_it_is_named(environment: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        share_of(environment)


def test_the_join_is_all_parts_in_order(tmp_path: Path) -> None:
    parts = filled(tmp_path, written(tmp_path))
    assert parts.join(tmp_path / "out") == 1
    assert (tmp_path / "out").read_bytes() == b"<a>\n<b>\n<c>\n<>\n<last>\n"


def test_missing_parts_are_named(tmp_path: Path) -> None:
    parts = filled(tmp_path, written(tmp_path))
    parts.path(1).unlink()
    with pytest.raises(RunError, match=r"1 of 3 parts are missing.*00001.part.*--shard 1/2\."):
        parts.join(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [block for block, part in parts.checked(range(3)) if part is None] == [1]


@pytest.mark.parametrize("way", ["cut", "changed", "other", "head", "count", "foreign"])
def test_a_damaged_part_is_named_and_answered_again(tmp_path: Path, way: str) -> None:
    parts = filled(tmp_path, written(tmp_path))
    path, content = parts.path(2), parts.path(2).read_bytes()
    (tmp_path / "foreign").mkdir()
    foreign = filled(tmp_path / "foreign", written(tmp_path / "foreign", "A\nB\nC\nD\nLAST"))
    path.write_bytes(
        {
            "cut": content[:-2],
            "changed": content.replace(b"<last>", b"<lost>"),
            "other": parts.path(0).read_bytes(),
            "head": b"{}\n" + content,
            "count": content.replace(b'"failed": 0', b'"failed": "0"'),
            "foreign": foreign.path(2).read_bytes(),  # whole, but of another input
        }[way]
    )
    with pytest.raises(RunError, match=r"00002.part is damaged.*--shard 0/2"):
        parts.join(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [block for block, part in parts.checked(range(3)) if part is None] == [2]


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("input", "answers to another input (5 lines"),
        ("run", "answers of another run"),
        ("settings", "other settings (jsonl: None, now True, to: de, now fr)"),
        ("block_lines", "other settings (block_lines: 2, now 3)"),
    ],
)
def test_a_folder_of_other_answers_is_refused(tmp_path: Path, way: str, said: str) -> None:
    lines = written(tmp_path)
    filled(tmp_path, lines)
    settings, run = {"to": "de"}, "run"
    if way == "input":
        lines = written(tmp_path, "a\nb\n")
    elif way == "run":
        run = "other"
    elif way == "settings":
        settings = {"to": "fr", "jsonl": True}
    else:
        lines = written(tmp_path, block_lines=3)
    with pytest.raises(UsageError) as raised:
        Parts.open(tmp_path / "out.parts", Manifest.of(lines, run, settings, 2))
    assert said in str(raised.value) and "--out" in str(raised.value)


def test_another_number_of_shards_continues(tmp_path: Path) -> None:
    lines = written(tmp_path)
    filled(tmp_path, lines, shards=2)
    again = Parts.open(tmp_path / "out.parts", Manifest.of(lines, "run", {"to": "de"}, 5))
    assert again.manifest.shards == 2
    assert all(part is not None for _, part in again.checked(range(3)))


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    lines = written(tmp_path)
    filled(tmp_path, lines)
    wanted = Manifest.of(lines, "run", {"to": "de"}, 2)
    values = json.loads((tmp_path / "out.parts" / "manifest.json").read_text())
    changes = ({"shards": "2"}, {"input": ["lines"]}, {"settings": []}, {"format_version": 9})
    wrong = [json.dumps(values | change) for change in changes]
    for content in ("{", "{}", "[1]", *wrong):
        (tmp_path / "out.parts" / "manifest.json").write_text(content)
        with pytest.raises(RunError, match="manifest.json"):
            Parts.open(tmp_path / "out.parts", wanted)
    with pytest.raises(RunError, match="There are no answers to join"):
        Parts.there(tmp_path / "nothing.parts", wanted)


def test_a_share_is_answered_by_one_process(tmp_path: Path) -> None:
    parts = filled(tmp_path, written(tmp_path))
    with (
        parts.alone(Share(0, 2)),
        pytest.raises(UsageError, match=r"Shard 2/2 .* is being answered now, by process"),
        parts.alone(Share(2, 2)),
    ):
        pass
    with parts.alone(Share(0, 2)), parts.alone(Share(1, 2)):
        pass


def test_one_process_for_all_works_alone(tmp_path: Path) -> None:
    """It removes the folder at its end, so no other may be at work there."""
    parts = filled(tmp_path, written(tmp_path))
    for one, other, said in (
        (Share(0, 2), Share(0, 1), "Other processes answer shares of"),
        (Share(0, 1), Share(1, 2), "Another process, without --shard, answers all of"),
    ):
        with parts.alone(one), pytest.raises(UsageError, match=said), parts.alone(other):
            pass
    with parts.alone(Share(0, 1)), pytest.raises(UsageError, match="answers all of"):
        parts.join(tmp_path / "out")


def test_two_processes_may_write_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of 2 and of 4 overlap; each writes a file of its own and renames it."""
    path = tmp_path / "part"
    with whole(path, is_shared=True) as one:
        one.write_bytes(b"one")
        monkeypatch.setattr("os.getpid", lambda: 1)
        with whole(path, is_shared=True) as other:
            other.write_bytes(b"other")
    assert path.read_bytes() == b"one" and [*tmp_path.iterdir()] == [path]


def test_settings_are_the_same_when_read_again(tmp_path: Path) -> None:
    lines = written(tmp_path)
    for _ in range(2):
        Parts.open(tmp_path / "out.parts", Manifest.of(lines, "run", {"stop": ("a", "b")}, 2))


def test_the_mark_of_a_run_follows_its_weights_alone(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(RUN, tmp_path / "run")
    before = mark_of_run(RUN)
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write("\n")
    assert mark_of_run(tmp_path / "run") == before
    weights = bytearray((tmp_path / "run" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "run" / "model.safetensors").write_bytes(weights)
    assert mark_of_run(tmp_path / "run") != before
