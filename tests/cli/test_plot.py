"""triptych plot: a picture of real runs, and what cannot be drawn."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Command = Callable[..., SimpleNamespace]


def test_a_trained_run_as_svg_and_as_a_page(
    triptych: Command, trained: Path, tmp_path: Path
) -> None:
    done = triptych("plot", trained, "--out", tmp_path / "new" / "curves.svg")
    assert done.code == 0 and done.out == f"{tmp_path}/new/curves.svg\n"
    assert "1 run by step" in done.err
    ElementTree.parse(tmp_path / "new" / "curves.svg")
    done = triptych(
        "plot", trained, "--out", tmp_path / "a.html", "--x", "minutes", "--language", "zh-Hant"
    )
    assert done.code == 0 and "分鐘" in (tmp_path / "a.html").read_text()


def test_the_default_is_a_picture_here(
    triptych: Command, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert triptych("plot", trained, "--metrics", "loss, bleu", "--log").out == "curves.svg\n"
    assert (tmp_path / "curves.svg").read_text().count("<title>trained") == 1 + 2 + 1


def test_a_run_with_a_damaged_file_is_drawn_and_told(
    triptych: Command, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "copy")
    with (tmp_path / "copy" / "metrics.jsonl").open("ab") as file:
        file.write(b"\xff\xfe{\n" + b'{"step": 9, "split": "tr')
    done = triptych("plot", trained, tmp_path / "copy", "--out", tmp_path / "two.svg")
    assert done.code == 0 and "2 runs by step" in done.err
    assert "copy/metrics.jsonl: damaged and skipped: line" in done.err
    assert "copy/metrics.jsonl: its last line is cut off and skipped." in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Name at least one run folder"),
        (("RUN", "--out", "curves.png"), 2, "curves.png is neither .svg nor .html"),
        (("RUN", "--metrics", "blue"), 2, "Unknown metric 'blue'. Did you mean 'bleu'"),
        (("RUN", "--x", "hours"), 2, "hours"),
        (("nowhere",), 1, "There is no run folder nowhere"),
        (("RUN", "--out", "RUN/recipe.toml/a.svg"), 1, "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    triptych: Command,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = triptych("plot", *(one.replace("RUN", str(trained)) for one in arguments))
    assert done.code == code and said in done.err and done.out == ""
    assert not list(tmp_path.glob("*.svg"))
