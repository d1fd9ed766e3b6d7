"""Test init for a set of the catalogue, from scratch and from a pretrained model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import toy_folder
from triptych.data.load import load_split
from triptych.data.sets import catalog
from triptych.recipe.schema import Recipe

Command = Callable[..., SimpleNamespace]


@pytest.fixture(autouse=True)
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put toy files in the place of two sets."""
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    lines = [f"cat{number}\tB-Disease\nsat\tO\n\n" for number in range(90)]
    texts = [[f"the cat sat {number}", "abo"[number % 3] + "os"] for number in range(90)]
    intents = {part: [] for part in ("oos_train", "oos_val", "oos_test")}
    parts = {"train": texts[:60], "val": texts[60:75], "test": texts[75:]}
    contents = {
        "ncbi-disease": ["".join(lines[:60]), "".join(lines[60:75]), "".join(lines[75:])],
        "clinc-oos": [json.dumps(intents | parts)],
    }
    for name, given in contents.items():
        entry = catalog.entry(name)
        (tmp_path / name).mkdir()
        files = []
        for file, content in zip(entry.files, given, strict=True):
            (tmp_path / name / file.name).write_text(content)
            digest = hashlib.sha256(content.encode()).hexdigest()
            files.append(replace(file, sha256=digest))
        monkeypatch.setitem(catalog.ENTRIES, name, replace(entry, files=tuple(files)))


@pytest.mark.parametrize(
    ("task", "name"), [("tagging", "ncbi-disease"), ("classification", "clinc-oos")]
)
def test_a_recipe_for_a_set_is_drafted_and_can_be_read(
    task: str, name: str, triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "..")
    held = toy_folder.tensors(pooler=False, masked=True)
    config = {**toy_folder.CONFIG, "architectures": ["BertForMaskedLM"]}
    bert = toy_folder.write(tmp_path / "bert", held, config)
    for number, more in enumerate(([], ["--start", bert])):
        recipe = tmp_path / f"mine-{number}.toml"
        done = triptych("init", task, "--train", name, "--out", recipe, *more)
        assert done.code == 0, done.err
        made = Recipe.load(recipe)
        assert (made.data.set, made.data.train, made.data.split) == (name, None, None)
        assert bool(made.model.start) == bool(more)
        assert ("out_of_scope" in made.task) == (name == "clinc-oos")
        assert len(load_split(made.data, "train", None, made.build_task().needs)) == 60


def test_what_a_set_does_not_have_is_refused(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "..")
    given = ["--train", "ncbi-disease", "--out", tmp_path / "mine.toml"]
    done = triptych("init", "tagging", *given, "--columns", "words=1,tags=2")
    assert done.code == 2 and "--columns is for your own files, but ncbi-disease" in done.err
    done = triptych("init", "classification", *given)
    assert done.code == 2 and "ncbi-disease has no label" in done.err
    done = triptych("init", "tagging", "--train", "ncbi-diseases", "--out", tmp_path / "x.toml")
    assert done.code != 0 and "ncbi-diseases" in done.err


def test_a_file_of_the_same_name_goes_first(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    lines = [f"dog{number}\tB-Animal\nran\tO\n\n" for number in range(90)]
    Path("ncbi-disease").write_text("".join(lines))
    done = triptych("init", "tagging", "--train", "ncbi-disease", "--out", "mine.toml")
    assert done.code == 0 and Recipe.load("mine.toml").data.set is None
