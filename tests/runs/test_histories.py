"""Curves of metrics.jsonl: of old, resumed, damaged and unfinished runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from triptych.errors import RunError
from triptych.runs.curves import History, histories, latest, number

Lines = list[dict[str, object]]


def train(step: int, **values: object) -> dict[str, object]:
    return {"step": step, "split": "train", "loss": 1.0, **values}


def scored(step: int, **values: object) -> dict[str, object]:
    return {"step": step, "split": "validation", "loss": 1.0, **values}


def write(folder: Path, lines: Lines, tail: str = "") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + tail)
    return str(folder)


def read(*paths: str) -> tuple[list[History], list[str]]:
    told: list[str] = []
    return histories(paths, told.append), told


def test_values_by_step_minutes_and_tokens(tmp_path: Path) -> None:
    lines = [
        train(50, seconds=30.0, tokens=1000),
        train(100, loss=0.5, seconds=60.0, tokens=3000),
        scored(75, loss=0.7, seconds=45.0),
    ]
    (one,), told = read(write(tmp_path / "a", [lines[0], lines[2], lines[1]]))
    assert one.points("train", "loss", "step") == [(50, 1.0), (100, 0.5)]
    assert one.points("train", "loss", "minutes") == [(0.5, 1.0), (1.0, 0.5)]
    assert one.points("train", "loss", "tokens") == [(1000, 1.0), (3000, 0.5)]
    # A line of validation does not say how many tokens were read: between its neighbours.
    assert one.points("validation", "loss", "tokens") == [(2000.0, 0.7)]
    assert told == []


def test_a_resumed_run_counts_once() -> None:
    lines = [train(1), train(2, loss=9.0), train(3, loss=9.0), scored(3, loss=9.0)]
    lines += [train(2, loss=0.5), scored(2, loss=0.4), train(3, loss=0.3)]
    assert [(line["step"], line["split"], line["loss"]) for line in latest(lines)] == [
        (1, "train", 1.0),
        (2, "train", 0.5),
        (2, "validation", 0.4),
        (3, "train", 0.3),
    ]


def test_a_step_that_was_logged_twice_has_its_later_value() -> None:
    assert latest([train(5, loss=2.0), train(5, loss=1.0)]) == [train(5, loss=1.0)]
    assert len(latest([train(5), scored(5)])) == 2


def test_damaged_lines_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [train(1)], "{ half\n[1]\n" + json.dumps(train(2)) + "\n")
    (one,), told = read(path)
    assert [line["step"] for line in one.train] == [1, 2]
    assert told == [f"{path}/metrics.jsonl: damaged and skipped: line 2, 3."]


def test_a_last_line_that_is_cut_off_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [train(1)], '{"step": 2, "spl')
    (one,), told = read(path)
    assert len(one.train) == 1
    assert told == [f"{path}/metrics.jsonl: its last line is cut off and skipped."]


def test_numbers_that_no_picture_can_hold() -> None:
    assert number(math.nan) is None and number(math.inf) is None and number(-math.inf) is None
    assert number(10**400) is None and number(1e200) is None and number(True) is None
    assert number("3") is None and number(None) is None and number(3) == 3.0
    one = History("a", [train(1, loss=math.nan), train(2)], [scored(1, perplexity=math.inf)])
    assert one.points("train", "loss", "step") == [(2, 1.0)]
    assert one.infinite("train", "loss") == 1 == one.infinite("validation", "perplexity")


def test_names_of_values_leave_out_texts_and_marks() -> None:
    one = History("a", [train(1, note="x")], [scored(1, best=True, bleu=3.0)])
    assert one.values("validation") == ["step", "loss", "bleu"]
    assert one.values("train") == ["step", "loss"]


@pytest.mark.parametrize("content", ["", "[]\n", '{"step": 1}\n', '{"split": "train"}\n', "\0\n"])
def test_a_run_that_logged_nothing_is_an_error(content: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a", [], content)
    with pytest.raises(RunError, match="has no curves: its metrics.jsonl is empty or damaged"):
        read(path)


def test_what_is_not_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run folder"):
        read(str(tmp_path / "no"))
    (tmp_path / "imported").mkdir()
    (tmp_path / "imported" / "config.json").write_text("{}")
    with pytest.raises(RunError, match="its metrics.jsonl is missing"):
        read(str(tmp_path / "imported"))


def test_runs_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    paths = [write(tmp_path / one, [train(1)]) for one in ("a/x", "b/x", "b/y")]
    found, _ = read(*paths[1:])
    assert [one.name for one in found] == ["x", "y"]
    found, _ = read(*paths, paths[0] + "/")
    assert [one.name for one in found] == ["a/x", "b/x", "b/y"]  # one given twice is drawn once


def test_a_folder_of_seeds_stands_for_its_runs(tmp_path: Path) -> None:
    for seed in (4, 7):
        write(tmp_path / "all" / f"seed-{seed}", [train(seed)])
    (tmp_path / "all" / "seeds.json").write_text('{"seeds": [4, 7, 9]}')
    found, _ = read(str(tmp_path / "all"))
    assert [(one.name, one.train[0]["step"]) for one in found] == [("seed-4", 4), ("seed-7", 7)]
