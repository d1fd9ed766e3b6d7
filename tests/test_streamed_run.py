"""Whole runs on a set in token shards: resumed to the bit, a changed corpus refused, small corpora;
toy sizes, from files.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waits import killed_after

import triptych
from triptych.data.batches.shards import Shards
from triptych.errors import DataError, RunError, UsageError
from triptych.recipe.schema import Recipe
from triptych.runs.storage import read_tensors
from triptych.setup.job import Prepared, prepare

TOY = """
[task]
name = "language-modelling"
context = 16
[data]
train = ["texts"]
stream = true
shard_tokens = 300
[tokenizer]
kind = "characters"
vocabulary_size = 400
[model]
preset = "decoder-tiny"
layers = 1
width = 16
heads = 2
inner_width = 32
[batches]
batch_tokens = 64
[training]
steps = 8
warmup_steps = 2
precision = "float32"
checkpoint_every_steps = 3
[validation]
every_steps = 4
examples = 3
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "texts").mkdir()
    draw = np.random.default_rng(1)
    words = ["red", "blue", "貓", "run", "and"]
    for name, count in (("a", 60), ("b", 40)):
        texts = [" ".join(draw.choice(words, int(draw.integers(2, 12)))) for _ in range(count)]
        (tmp_path / "texts" / f"{name}.txt").write_text("\n\n".join(texts), "utf-8")
    (tmp_path / "toy.toml").write_text(TOY)
    return tmp_path


def begin(
    folder: Path,
    out: str,
    resume: bool = False,
    dry: bool = False,
    said: list[str] | None = None,
    changes: dict[str, Any] | None = None,
    data_changed: bool = False,
) -> Prepared:
    recipe = Recipe.load(folder / "toy.toml", changes)
    report = None if said is None else said.append
    return prepare(
        recipe, folder / out, resume=resume, dry=dry, report=report, data_changed=data_changed
    )


def weights(folder: Path, out: str) -> dict[str, np.ndarray]:
    return {
        name: tensor.numpy()
        for name, tensor in read_tensors(folder / out / "model.safetensors").items()
    }


def test_resumed_is_uninterrupted(toy: Path) -> None:
    whole = begin(toy, "whole")
    shards = whole.examples
    assert isinstance(shards, Shards) and len(shards.sizes) > 3 and 1 <= len(whole.validation) <= 3
    lines = whole.describe()
    assert f"{len(shards):,} examples" in lines[0] and ".txt:" in "\n".join(lines)
    assert list(whole.train())[-1].event == "finished"
    for progress in begin(toy, "part").train():
        if progress.event == "step" and progress.step == 5:
            break
    said: list[str] = []
    resumed = begin(toy, "part", resume=True, said=said)
    assert not any("files are streamed" in line for line in said)  # nothing is read but the shards
    list(resumed.train())
    expected, found = weights(toy, "whole"), weights(toy, "part")
    assert expected.keys() == found.keys() and all(
        np.array_equal(expected[name], found[name]) for name in expected
    )


def test_a_changed_corpus_is_refused(toy: Path) -> None:
    for progress in begin(toy, "run").train():
        if progress.event == "checkpoint":
            break
    (toy / "texts" / "a.txt").write_text(
        "other\n\n" + (toy / "texts" / "a.txt").read_text("utf-8"), "utf-8"
    )
    with pytest.raises(RunError, match=r"trained: \S+texts/a\.txt \([\d,]+ bytes, now [\d,]+\)"):
        begin(toy, "run", resume=True)
    told = list(begin(toy, "run", resume=True, data_changed=True).train())
    assert (
        any("a new pass over it begins" in progress.message for progress in told)
        and told[-1].step == 8
    )
    begin(toy, "run", resume=True)  # the new corpus is the run's from now on


def test_a_dry_run_writes_nothing(toy: Path) -> None:
    said: list[str] = []
    prepared = begin(toy, "dry", dry=True, said=said)
    assert prepared.describe() and not (toy / "dry").exists() and not (toy / "cache").exists()
    assert "2 files are streamed: 100 texts" in said[0]


def test_what_is_counted_is_named(toy: Path) -> None:
    lines = begin(toy, "dry", dry=True, changes={"data.stream": False}).describe()
    assert (
        " per window, longest 16;" in lines[0]
        and " per example, longest" in begin(toy, "whole").describe()[0]
    )


def test_drawn_subwords_are_refused(toy: Path) -> None:
    with pytest.raises(UsageError, match=r"batches\.bpe_dropout .* data\.stream"):
        begin(toy, "run", changes={"batches.bpe_dropout": 0.1})


@pytest.mark.parametrize("stream", [True, False])
def test_a_corpus_of_one_line_and_of_none(toy: Path, stream: bool) -> None:
    (toy / "one.txt").write_text("one line\n")
    files = {
        "data.train": str(toy / "one.txt"),
        "data.validation": str(toy / "one.txt"),
        "data.test": str(toy / "one.txt"),
    }
    assert (
        list(
            begin(toy, "one", changes={**files, "data.stream": stream, "training.steps": 2}).train()
        )[-1].event
        == "finished"
    )
    (toy / "one.txt").write_text("\n\n")
    with pytest.raises(DataError, match="nothing to train on"):
        begin(toy, "none", changes={**files, "data.stream": stream})


def test_two_processes_share_the_shards(toy: Path) -> None:
    changes = {"batches.accumulate": 2, "training.epsilon": 1e-4, "training.average": 0.0}
    assert list(begin(toy, "one", changes=changes).train())[-1].event == "finished"
    (toy / "cache").rename(toy / "before")  # the shards are made anew, by one of the two
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    source = str(Path(triptych.__file__).parents[1])
    shared = {
        **os.environ,
        "PYTHONPATH": source,
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    command = [
        sys.executable,
        "-m",
        "triptych",
        "train",
        "toy.toml",
        "--out",
        "two",
        *(part for key, value in changes.items() for part in (f"--{key}", str(value))),
    ]
    both = [
        subprocess.Popen(
            command,
            cwd=toy,
            env={**shared, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in "01"
    ]
    with killed_after(*both):
        told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(told)
    one, two = weights(toy, "one"), weights(toy, "two")
    assert all(np.allclose(two[name], one[name], rtol=0, atol=2e-6) for name in one)
