"""What a training refuses is refused at a dry run too, and before anything is written."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY

from triptych.errors import TriptychWarning, shell_command, unknown
from triptych.setup.draft.start import starts

Command = Callable[..., SimpleNamespace]
RNN = ["--model.preset", "recurrent-small", "--model.width", "16", "--tokenizer.vocabulary_size",
       "330", "--training.warmup_steps", "2", "--training.precision", "float32"]  # fmt: skip

CHANGES = [
    ([*RNN, "--training.optimizer", "muon"], "training.optimizer 'muon' is for the matrices"),
    ([*RNN, "--training.layer_decay", "0.5"], "training.layer_decay needs Transformer blocks"),
    ([*TINY, "--training.freeze", "encodr"], "Unknown part of the model 'encodr'"),
    ([*TINY, "--training.freeze", "encoder,decoder,embedding"], "leaves nothing to train"),
    ([*TINY, "--training.device", "cuda"], "torch finds no CUDA device"),
]
WAYS = {"dry": ["--dry-run"], "one": [], "seeds": ["--seeds", "1,2"]}
# Seeds refuse every change in the same place.
CASES = [
    pytest.param(*one, WAYS[way], marks=pytest.mark.slow if number and way == "seeds" else ())
    for number, one in enumerate(CHANGES)
    for way in WAYS
]


@pytest.mark.parametrize(("change", "said", "way"), CASES)
def test_what_a_model_cannot_do_leaves_no_folder(
    triptych: Command,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: list[str],
    said: str,
    way: list[str],
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = triptych("train", files / "my.toml", "--out", tmp_path / "run", *change, *way)
    assert done.code == 2 and said in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("way", [["--dry-run"], [], ["--seeds", "1,2"]])
def test_a_file_where_a_folder_is_needed(
    triptych: Command, files: Path, tmp_path: Path, way: list[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        done = triptych("train", files / "my.toml", "--out", out, *TINY, *way)
        assert done.code == 2 and f"{tmp_path / 'file'} is a file" in done.err
    assert (tmp_path / "file").read_text() == "kept"


def test_a_log_that_cannot_be_written_is_refused_by_a_dry_run(
    triptych: Command, files: Path, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("")
    out = ["--out", tmp_path / "run", "--track", tmp_path / "log", "--dry-run"]
    done = triptych("train", files / "my.toml", *TINY, *out)
    assert done.code == 1 and "--track needs a folder" in done.err


def test_a_dry_run_says_what_is_in_the_way(triptych: Command, files: Path, trained: Path) -> None:
    before = sorted(trained.iterdir())
    done = triptych("train", files / "my.toml", "--out", trained, *TINY, "--dry-run")
    assert done.code == 0 and "First batch:" in done.err
    assert "To train, this is in the way" in done.err and "already holds a run" in done.err
    assert sorted(trained.iterdir()) == before


@pytest.fixture
def unfinished(trained: Path, tmp_path: Path) -> Path:
    """Return a run of whose training only a checkpoint is there, in a folder with a space."""
    copy = tmp_path / "my runs" / "half"
    shutil.copytree(trained, copy)
    (copy / "model.safetensors").unlink()
    return copy


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "RUN"],
        ["predict", "RUN", "one"],
        ["translate", "RUN", "one", "--jsonl"],
        ["compare", "RUN", "WHOLE", "--bootstrap", "1"],
        ["inspect", "RUN", "one"],
    ],
)
def test_an_unfinished_run_is_named(
    triptych: Command, unfinished: Path, trained: Path, command: list[str]
) -> None:
    places = {"RUN": unfinished, "WHOLE": trained}
    with pytest.warns(TriptychWarning) as told:
        done = triptych(*(places.get(one, one) for one in command))
    assert done.code == 0 and done.out
    (words,) = (str(one.message) for one in told)
    assert f"{unfinished} is not finished" in words and "at step 4." in words
    # The command can be pasted, though the path has a space.
    assert shlex.split(words.rpartition(": ")[2]) == [
        "triptych",
        "train",
        str(unfinished),
        "--resume",
    ]


def test_a_finished_run_is_not_warned_of(
    triptych: Command, trained: Path, recwarn: pytest.WarningsRecorder
) -> None:
    assert triptych("predict", trained, "one").code == 0
    assert not [one for one in recwarn if issubclass(one.category, TriptychWarning)]


def test_commands_can_be_pasted(triptych: Command, trained: Path, tmp_path: Path) -> None:
    assert shell_command("triptych", "train", Path("a b"), "--resume") == (
        "triptych train 'a b' --resume"
    )
    done = triptych("predict", tmp_path / "no run", "one")
    assert f"triptych train RECIPE --out '{tmp_path / 'no run'}'" in done.err
    copy = tmp_path / "two words"
    shutil.copytree(trained, copy)
    done = triptych("classify", copy, "one")
    assert done.code == 2 and f"triptych predict '{copy}'" in done.err
    done = triptych("train", copy, "--resume", "--training.optimizer", "muon")
    assert done.code in (1, 2)


def test_a_long_list_of_names_is_cut() -> None:
    names = [f"part.{number:03}" for number in range(200)]
    words = str(unknown("part", "part.00", names))
    assert "Did you mean 'part." in words and words.endswith(" and 188 more.")
    assert words.count("part.") == 12 + 2  # the listed, the given and the nearest
    few = str(unknown("part", "part.00", names[:12]))
    assert few.endswith("part.010, part.011.") and "more" not in few
    assert str(unknown("part", "Q", names)).endswith("part.039 and 160 more.")


def test_a_trial_run_is_not_offered_as_a_pretrained_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "model.safetensors").write_bytes(b"")

    def offered(parameters: int, tokens: int | None) -> list[Path]:
        values = {"format_version": 1, "task": "masked-words", "parameters": parameters}
        (run / "config.json").write_text(json.dumps(values))
        lines = (
            "" if tokens is None else json.dumps({"step": 1, "split": "train", "tokens": tokens})
        )
        (run / "metrics.jsonl").write_text(lines + "\n")
        if tokens is None:
            (run / "metrics.jsonl").unlink()
        return [path for path, _ in starts("classification", tmp_path / "a.tsv")]

    assert offered(323_200, 90_000_000) == [] and offered(40_000_000, 30_000) == []
    assert offered(4_000_000, 90_000_000) == [Path("runs/mine")]
    assert offered(4_000_000, None) == [Path("runs/mine")]  # imported
    (run / "model.safetensors").unlink()
    assert offered(4_000_000, 90_000_000) == []
