"""predict --out and --shard: the bytes of one process, whatever the shares and the stops."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Command = Callable[..., SimpleNamespace]
RUNS = Path(__file__).parent.parent / "goldens" / "runs"
WORDS = ("the", "cat", "sees", "small", "dog", "old", "teacher", "likes", "river", "and", "not")
SMALL = ("--jsonl", "--block-lines", "4")


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Write 22 lines of many lengths, one of them empty."""
    rng = random.Random(7)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(22)]
    texts[9] = ""
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


@pytest.fixture
def whole(triptych: Command, lines: Path) -> bytes:
    """Answer in one process."""
    out = lines.with_name("whole")
    assert triptych("predict", RUNS / "classifier", lines, "--out", out, *SMALL).code == 0
    assert not out.with_name("whole.parts").exists()
    return out.read_bytes()


@pytest.mark.parametrize("name", ["classifier", "translator"])
def test_a_file_gets_what_stdout_gets(
    triptych: Command, lines: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, run = lines.with_name("out"), RUNS / name
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.read_bytes())))
    plain = triptych("predict", run)
    done = triptych("predict", run, lines, "--out", out)
    assert done.code == plain.code == 0 and done.out == ""
    assert out.read_text("utf-8") == plain.out and plain.out.count("\n") == 22


def test_the_input_is_never_written_over(triptych: Command, lines: Path) -> None:
    before, link = lines.read_bytes(), lines.with_name("link.txt")
    link.symlink_to(lines)
    for out in (lines, lines.parent / "." / lines.name, link):
        done = triptych("predict", RUNS / "classifier", lines, "--out", out)
        assert done.code == 2 and "is the file that is answered" in done.err
    assert lines.read_bytes() == before


def test_an_empty_share_is_none(triptych: Command, lines: Path) -> None:
    """A variable of a batch script that is not set."""
    out = lines.with_name("out")
    done = triptych("predict", RUNS / "classifier", lines, "--out", out, "--shard", "")
    assert done.code == 2 and "is not a share like 2/4" in done.err and not out.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"one\n", mtime=0), "is compressed"),
        ("one\n".encode("utf-16"), "is in utf-16, not UTF-8"),
    ],
)
def test_files_that_are_no_lines_are_named(
    triptych: Command, lines: Path, content: bytes, words: str
) -> None:
    lines.write_bytes(content)
    done = triptych("predict", RUNS / "classifier", lines, "--out", lines.with_name("out"))
    assert done.code == 1 and words in done.err
    done = triptych("predict", RUNS / "classifier", lines.parent, "--out", lines.with_name("out"))
    assert done.code == 1 and "is a folder" in done.err


def test_what_is_no_ordinary_file_is_refused(triptych: Command, lines: Path) -> None:
    """A pipe cannot be read twice, and a device would be replaced by a file."""
    pipe, device = lines.with_name("pipe"), Path(os.devnull)
    os.mkfifo(pipe)
    for given, out, words in (
        (device, lines.with_name("out"), f"{device} is a pipe or a device"),
        (lines, pipe, f"--out {pipe} is a pipe or a device"),
    ):
        done = triptych("predict", RUNS / "classifier", given, "--out", out)
        assert done.code and words in done.err
    assert pipe.is_fifo() and [*lines.parent.glob("*.parts")] == []


def test_an_empty_input_and_more_shares_than_blocks(triptych: Command, lines: Path) -> None:
    out = lines.with_name("out")
    asked = ("predict", RUNS / "classifier", lines, "--out", out, "--shard")
    idle = triptych(*asked, "2/3")
    assert idle.code == 0 and "the input has 1 block of 2,000 lines for 3 shards" in idle.err
    done = triptych(*asked, "join")
    assert done.code == 1 and "1 of 1 part is missing" in done.err
    lines.write_bytes(b"")
    out = lines.with_name("empty")
    asked = ("predict", RUNS / "classifier", lines, "--out", out, "--shard")
    first = triptych(*asked, "1/2")
    assert first.code == 0 and "Nothing to answer" not in first.err
    assert triptych(*asked, "join").code == 0 and out.read_bytes() == b""


@pytest.mark.parametrize("count", [2, 3, 8])
def test_shares_join_to_the_bytes_of_one_process(
    triptych: Command, lines: Path, whole: bytes, count: int
) -> None:
    out = lines.with_name("out")
    asked = ("predict", RUNS / "classifier", lines, "--out", out, *SMALL)
    for number in range(1, count + 1):
        assert triptych(*asked, "--shard", f"{number}/{count}").code == 0
    assert not out.exists()
    done = triptych(*asked, "--shard", "join")
    assert done.code == 0 and "answers to 22 lines" in done.err
    assert out.read_bytes() == whole


def test_verbs_by_name_and_a_launcher_share_too(
    triptych: Command, lines: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = lines.with_name("out")
    asked = ("classify", RUNS / "classifier", lines, "--out", out, *SMALL, "--shard")
    for number in ("0", "1"):
        monkeypatch.setenv("RANK", number)
        monkeypatch.setenv("WORLD_SIZE", "2")
        done = triptych(*asked, "auto")
        assert done.code == 0 and f"Shard {number}/2, by RANK." in done.err
    assert triptych(*asked, "join").code == 0 and out.read_bytes() == whole


def test_killed_and_started_again(triptych: Command, lines: Path) -> None:
    """A process killed by -9 leaves whole parts; with another number of shards it goes on."""
    lines.write_text(lines.read_text() * 30)
    asked = ["predict", str(RUNS / "classifier"), str(lines), "--jsonl", "--block-lines", "4"]
    out = lines.with_name("out")
    command = [sys.executable, "-m", "triptych", *asked, "--out", str(out), "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ})
    folder = lines.with_name("out.parts")
    for _ in itertools.takewhile(lambda _: process.poll() is None, range(6000)):
        if len(list(folder.glob("*.part"))) > 3:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not out.exists() and list(folder.glob("*.part"))
    done = triptych(*asked, "--out", out, "--shard", "1/2")
    assert done.code == 0 and "parts are there" in done.err
    assert triptych(*asked, "--out", out).code == 0 and not folder.exists()
    assert triptych(*asked, "--out", lines.with_name("whole")).code == 0
    assert out.read_bytes() == lines.with_name("whole").read_bytes()


def test_other_inputs_missing_and_damaged_parts_are_refused(
    triptych: Command, lines: Path, whole: bytes
) -> None:
    out = lines.with_name("out")
    asked = ("predict", RUNS / "classifier", lines, "--out", out, *SMALL, "--shard")
    assert triptych(*asked, "1/2").code == 0
    missing = triptych(*asked, "join")
    assert missing.code == 1 and "--shard 0/2" in missing.err and not out.exists()
    assert triptych(*asked, "2/2").code == 0
    part = lines.with_name("out.parts") / "00002.part"
    part.write_bytes(part.read_bytes()[:-1])
    damaged = triptych(*asked, "join")
    assert damaged.code == 1 and "00002.part is damaged" in damaged.err and not out.exists()
    again = triptych(*asked, "0/2")
    assert again.code == 0 and "2 of 3 parts are there" in again.err
    assert triptych(*asked, "join").code == 0 and out.read_bytes() == whole
    other = triptych("predict", RUNS / "translator", lines, "--out", out, *SMALL, "--shard", "1/2")
    assert other.code == 2 and "answers of another run" in other.err
    changed = triptych(*asked, "1/2", "--precision", "bfloat16")
    assert changed.code == 2 and "precision: float32, now bfloat16" in changed.err
    with open(lines, "a") as file:
        file.write("one more\n")
    done = triptych(*asked, "1/2")
    assert done.code == 2 and "another input (22 lines" in done.err


def test_a_line_that_cannot_be_read_is_empty_and_told(
    triptych: Command, trained: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "long.txt", tmp_path / "out"
    path.write_text("one\n" + "word " * 20_000 + "\ntwo\n")
    done = triptych("translate", trained, path, "--out", out)
    lines = out.read_text().split("\n")
    assert done.code == 1 and "long.txt:2 has" in done.err
    assert len(lines) == 4 and lines[1] == "" and lines[0] and lines[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.txt", "--shard", "1/2"], "--shard is for answers that are written to a file"),
        (["a.txt", "--block-lines", "9"], "--block-lines is for answers that are written"),
        (["a.txt", "--out", "o", "--block-lines", "0"], "--block-lines is 0"),
        (["a.txt", "--out", "o", "--shard", "5/2"], "--shard 5/2 is not a share"),
        (["a.txt", "--ray", "2"], "--ray is for answers that are written to a file"),
        (["a.txt", "--out", "o", "--ray", "0"], "--ray is 0"),
        (["a.txt", "--out", "o", "--ray", "2", "--shard", "1/2"], "--ray divides the file itself"),
        (["--out", "o"], "but 0 are named"),
        (["a.txt", "b.txt", "--out", "o"], "but 2 are named"),
        (["none.txt", "--out", "o"], "There is no file none.txt"),
        (["a.txt", "--out", "none/o"], "there is no folder"),
    ],
)
def test_wrong_usage_is_a_sentence(
    triptych: Command,
    tmp_path: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a\n")
    done = triptych("predict", RUNS / "classifier", *arguments)
    assert done.code in (1, 2) and said in done.err and not list(tmp_path.glob("o*"))


def test_without_ray_a_sentence_says_what_is_missing(
    triptych: Command, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = triptych(
        "predict", RUNS / "classifier", lines, "--out", lines.with_name("out"), "--ray", "2"
    )
    assert done.code == 2 and 'pip install "triptych[ray]"' in done.err
    assert not lines.with_name("out.parts").exists()


def test_what_a_run_refuses_is_said_before_ray_starts(
    triptych: Command, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An actor that refuses ends with a traceback of Ray."""
    started: list[object] = []
    monkeypatch.setattr("triptych.cli.predict_ray.refuse_without_ray", lambda: None)
    monkeypatch.setattr("triptych.cli.predict_ray.answer_by_ray", lambda *_: started.append(1))
    asked = ("predict", RUNS / "classifier", lines, "--out", lines.with_name("out"), "--ray", "2")
    refused = triptych(*asked, "--to", "de")
    assert refused.code == 2 and "--to" in refused.err and not started


@pytest.mark.slow
def test_actors_of_ray_write_the_bytes_of_one_process(
    triptych: Command, lines: Path, whole: bytes
) -> None:
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    out = lines.with_name("out")
    asked = ("predict", RUNS / "classifier", lines, "--out", out, *SMALL)
    assert triptych(*asked, "--shard", "1/2").code == 0  # Ray answers what is missing
    done = triptych(*asked, "--ray", "2")
    assert done.code == 0 and "parts are there" in done.err
    assert out.read_bytes() == whole
