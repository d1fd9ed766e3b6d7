"""Test that the programs in examples/ run and are short."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None, "a file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    [
        "triptych.load",
        "triptych.train",
        "triptych.Recipe",
        "triptych.Predictor",
        "triptych.recipe.Recipe",
        "triptych.cli.threads.settle",
        "triptych.cli.measured.measured_speed",
        "triptych.inspection.html.write",
        "triptych.inspection.trace.Trace",
    ],
)
def test_names_of_earlier_examples_stay(name: str) -> None:
    """Programs copied from examples/ of version 0.1.0 still find what they import."""
    module, attribute = name.rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), attribute))


def test_the_demo_finds_what_it_imports() -> None:
    lines = (FOLDER / "demo.sh").read_text(encoding="utf-8").splitlines()
    imports = [line for line in lines if line.startswith("from triptych.")]
    assert imports
    for line in imports:
        module, _, name = line.removeprefix("from ").partition(" import ")
        assert hasattr(importlib.import_module(module), name), line


@pytest.mark.parametrize(
    "path", sorted(one for one in FOLDER.iterdir() if one.is_file()), ids=lambda path: path.name
)
def test_examples_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").split("\n")) <= 61


def test_parts_are_changed_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    module = example("change_one_part")
    small = {"model.width": 32, "model.heads": 2, "model.inner_width": 64, "model.layers": 1,
             "validation.examples": 10}  # fmt: skip
    variants = {"rotary positions": {**module.VARIANTS["rotary positions"], **small}}
    monkeypatch.setattr(module, "VARIANTS", variants)
    module.main(2)
    header, row = capsys.readouterr().out.strip().split("\n")
    assert "exact match" in header and row.startswith("rotary positions") and row.endswith("%")


def test_every_variant_is_a_recipe() -> None:
    import triptych

    for changes in example("change_one_part").VARIANTS.values():
        triptych.Recipe.load("phrasebook", changes).model.config()


def test_numbers_behind_a_picture(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("look_inside").main(str(trained), "one red dogs")
    out = capsys.readouterr().out
    assert out.startswith("one red dogs -> ") and "looked at" in out and "layer 1:" in out


def test_what_a_pronoun_looks_at(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    module = example("pronoun")
    module.main(str(trained), "animal", "too")
    out = capsys.readouterr().out
    rows = [line for line in out.split("\n") if "%" in line]
    assert (
        "animal, too tired" in out
        and 0 < len(rows) <= module.MOST
        and all(row.count("%") == 8 for row in rows)
    )
    assert "#token-" in out and "too tired" in (tmp_path / "pronoun.html").read_text("utf-8")
    with pytest.raises(SystemExit, match="'cat' does not stand in"):
        module.main(str(trained), "cat")


def test_a_classifier_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        f"{word} film {number}\t{label}"
        for number in range(60)
        for word, label in (("good", "pos"), ("bad", "neg"))
    ]
    (tmp_path / "my.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
    given = iter(["a good film", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(given))
    example("own_classifier").main("my.tsv", 0.02)
    assert capsys.readouterr().out.rstrip().endswith("%")
