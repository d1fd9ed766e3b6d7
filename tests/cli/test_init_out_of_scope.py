"""Test that init takes a label like "oos" for texts that belong to no other label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import toy_folder
from triptych.recipe.schema import Recipe

Command = Callable[..., SimpleNamespace]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)


def questions(path: Path, labels: tuple[str, ...]) -> Path:
    rows = [f"the cat sat {number}\t{labels[number % len(labels)]}\n" for number in range(90)]
    path.write_text("text\tlabel\n" + "".join(rows))
    return path


@pytest.mark.parametrize("name", ["oos", "Out-of_scope"])
def test_the_label_is_found_from_scratch_and_from_a_pretrained_model(
    name: str, triptych: Command, tmp_path: Path
) -> None:
    held = toy_folder.tensors(pooler=False, masked=True)
    config = {**toy_folder.CONFIG, "architectures": ["BertForMaskedLM"]}
    bert = toy_folder.write(tmp_path / "bert", held, config)
    table = questions(tmp_path / "mine.tsv", ("bill", "flight", name))
    for number, more in enumerate(([], ["--start", bert])):
        recipe = tmp_path / f"mine-{number}.toml"
        done = triptych("init", "classification", "--train", table, "--out", recipe, *more)
        assert done.code == 0 and f"The label '{name}' is given where no other" in done.err
        made = Recipe.load(recipe)
        assert made.task["out_of_scope"] == name and made.task["learn"] == "label"


@pytest.mark.parametrize("labels", [("bill", "oos"), ("bill", "flight", "loose")])
def test_other_labels_are_labels(
    labels: tuple[str, ...], triptych: Command, tmp_path: Path
) -> None:
    table, recipe = questions(tmp_path / "mine.tsv", labels), tmp_path / "mine.toml"
    done = triptych("init", "classification", "--train", table, "--out", recipe)
    assert done.code == 0 and "out_of_scope" not in done.err
    assert "out_of_scope" not in Recipe.load(recipe).task
