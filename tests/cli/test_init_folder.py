"""Learn from folders whose name is the label of the texts in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from triptych.recipe.schema import Recipe

Command = Callable[..., SimpleNamespace]


def test_init_takes_the_parts_of_a_folder(triptych: Command, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        for label in ("pos", "neg"):
            folder = tmp_path / "imdb" / part / label
            folder.mkdir(parents=True)
            for number in range(15):
                (folder / f"{number}.txt").write_text(f"The {part} film {number} is {label}.\n")
    out = tmp_path / "my.toml"
    done = triptych("init", "classification", "--train", tmp_path / "imdb", "--out", out)
    assert done.code == 0
    assert "train: train/, validation: val/, test: test/" in done.err
    data = Recipe.load(str(out)).data
    assert data.train == str(tmp_path / "imdb" / "train")
    assert data.validation == [str(tmp_path / "imdb" / "val")]
    assert data.test == [str(tmp_path / "imdb" / "test")]
    trained = triptych("train", out, "--out", tmp_path / "run", "--dry-run")
    assert trained.code == 0
    assert "read as texts in 2 folders named after labels" in trained.err
