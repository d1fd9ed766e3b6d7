"""A resumed run whose data has changed: the file is named and the run refused, or it goes on with a
new pass.
"""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from triptych.api import train
from triptych.data.example import Example
from triptych.data.table import DataTable
from triptych.errors import RunError, UsageError
from triptych.recipe.schema import Recipe
from triptych.runs.run import Run
from triptych.setup.job import Prepared, prepare
from triptych.training.resuming import DATA, fingerprints_of

TOY = """
[task]
name = "translation"
[data]
train = ["a.en", "a.de"]
validation = ["v.en", "v.de"]
[tokenizer]
vocabulary_size = 300
[model]
preset = "transformer-tiny"
layers = 1
width = 16
heads = 2
inner_width = 32
[batches]
batch_tokens = 64
[training]
steps = 4
warmup_steps = 2
precision = "float32"
[validation]
every_steps = 2
"""
FILES = {
    "a.en": "one red dog\n",
    "a.de": "ein roter Hund\n",
    "v.en": "one blue cat\n",
    "v.de": "eine blaue Katze\n",
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    for name, line in FILES.items():
        (tmp_path / name).write_text(line * (40 if name.startswith("a") else 3))
    (tmp_path / "toy.toml").write_text(TOY)
    for _ in train(Recipe.load(tmp_path / "toy.toml"), tmp_path / "run"):
        pass
    return tmp_path


def resumed(folder: Path, said: list[str] | None = None, **given: Any) -> Prepared:
    recipe = Recipe.load(folder / "toy.toml", {"training.steps": 6})
    return prepare(
        recipe, folder / "run", resume=True, report=None if said is None else said.append, **given
    )


def test_data_that_is_as_it_was_says_nothing(toy: Path) -> None:
    said: list[str] = []
    told = list(resumed(toy, said).train())
    said += [progress.message for progress in told]
    assert told[-1].step == 6
    assert not [line for line in said if "has changed" in line or "is not that of" in line]


@pytest.mark.parametrize(
    ("name", "content", "difference"),
    [
        (
            "a.de",
            "ein roter Hund\n" * 39 + "ein roter Mund\n",
            r"a\.de \(another content of the same length\)",
        ),
        ("a.de", "ein roter Hund\n" * 39 + "ein Hund\n", r"a\.de \(600 bytes, now 594\)"),
        ("v.en", "one cat\n" * 3, r"v\.en \(39 bytes, now 24\)"),
    ],
)
def test_the_file_that_changed_is_named(
    toy: Path, name: str, content: str, difference: str
) -> None:
    (toy / name).write_text(content)
    with pytest.raises(
        RunError, match=rf"trained: \S+{difference}\. Put it back.* --resume --data-changed"
    ):
        resumed(toy)
    (toy / name).write_text(FILES[name] * (40 if name.startswith("a") else 3))
    assert list(resumed(toy).train())[-1].step == 6  # put back, it goes on


def test_with_the_flag_a_new_pass_begins(toy: Path) -> None:
    (toy / "a.en").write_text("one red dog\n" * 20)
    (toy / "a.de").write_text("ein roter Hund\n" * 20)
    said: list[str] = []
    state = json.loads((toy / "run" / "checkpoints" / "step-4" / "state.json").read_text())
    prepared = resumed(toy, said, data_changed=True)
    steps = prepared.train()
    told = [next(steps), next(steps)]
    begun = {**state["position"], "epoch": state["position"]["epoch"] + 1}
    assert prepared.job.batches.state() == {**begun, "shard": 0, "buffer": 0, "cursor": 0}
    changed = "".join(line for line in said if "has changed" in line)
    assert "a.de (600 bytes, now 300)" in changed and "a.en (480 bytes, now 240)" in changed
    said += [one.message for one in told]
    assert "The training data has changed since step 4: a new pass over it begins." in said
    assert [one.step for one in [*told, *steps] if one.event == "step"] == [5, 6]
    (toy / "a.de").write_text("ein Hund\n" * 20)
    # the new data is the run's
    with pytest.raises(RunError, match=r"a\.de \(300 bytes, now 180\)"):
        resumed(toy)


def test_with_other_validation_data_the_best_is_sought_anew(toy: Path) -> None:
    state = json.loads((toy / "run" / "checkpoints" / "step-4" / "state.json").read_text())["loop"]
    assert state["best_step"] is not None
    (toy / "v.en").write_text("one cat\n" * 3)
    told = list(resumed(toy, data_changed=True).train())
    assert any(
        "The validation data has changed since step 4: earlier scores" in one.message
        for one in told
    )
    assert not any("training data has changed" in one.message for one in told)
    assert next(one for one in told if one.event == "validation").best


def test_a_run_of_before_goes_on(toy: Path) -> None:
    (toy / "run" / DATA).unlink()
    (toy / "a.de").write_text("ein roter Hund\n" * 39 + "ein roter Mund\n")
    list(resumed(toy).train())
    assert (toy / "run" / DATA).is_file()  # and from now on its data is known


def test_the_flag_alone_and_a_damaged_file(toy: Path) -> None:
    with pytest.raises(UsageError, match="Give --resume as well"):
        prepare(Recipe.load(toy / "toy.toml"), toy / "other", data_changed=True)
    (toy / "run" / DATA).write_text("[1]")
    with pytest.raises(RunError, match=r"data\.json is damaged"):
        resumed(toy)


def test_marks_are_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"a\tb\n")
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"a\tb\n", 1))
    files = [DataTable(train=str(tmp_path / name)) for name in ("a.tsv", "a.tsv.gz")]
    plain, packed = (fingerprints_of(table, {"train": [], "validation": []}) for table in files)
    assert list(plain["train"].values()) == list(packed["train"].values())
    assert plain["validation"] == {}


def test_a_set_is_known_by_its_examples_without_their_places() -> None:
    table = DataTable(set="sst2")
    texts = [
        Example(text="good", label="yes", place="a:1"),
        Example(text="good", label="yes"),
        Example(text="good", label="no"),
    ]
    marks = [
        fingerprints_of(table, {"train": [text], "validation": []})["train"]["sst2"]
        for text in texts
    ]
    assert marks[0] == marks[1] != marks[2] and marks[0]["examples"] == 1


def test_marks_cost_little(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 20_000_000)
    began = time.process_time()
    fingerprints_of(DataTable(train=str(tmp_path / "a.txt")), {"train": [], "validation": []})
    assert time.process_time() - began < 0.5  # a second for 100 MB would be 0.2


def test_the_folder_says_what_it_was_trained_on(toy: Path) -> None:
    marks = Run(toy / "run").read_json(DATA)
    names = {part: [Path(name).name for name in marks[part]] for part in marks}
    assert names == {"train": ["a.en", "a.de"], "validation": ["v.en", "v.de"]}
