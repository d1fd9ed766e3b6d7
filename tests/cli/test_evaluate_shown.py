"""Test how an evaluation is printed: a baseline near the run, long names, many classes."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from triptych.cli import class_tables, console, evaluate_shown
from triptych.cli.evaluate_shown import Result, score_rows
from triptych.inference.baseline import Baseline
from triptych.inference.evaluation import Evaluation
from triptych.metrics import classes
from triptych.tasks.task import Scores


def result(ours: float, theirs: float, count: int, labels: list[str]) -> Result:
    draw = random.Random(1)
    gold = labels * 3
    given = [draw.choice(labels) for _ in gold]
    found = classes.Breakdown(
        "texts", classes.of_labels(given, gold), classes.confusion(given, gold)
    )
    scores = Scores({"accuracy": ours, "f1": 50.0})
    return Result(
        predictor=cast(Any, None),
        evaluation=Evaluation([], scores, None, 1),
        examples=cast(Any, [None] * count),
        name="test",
        intervals={},
        seconds=1.0,
        breakdown=found,
        baseline=Baseline("a linear model", Scores({"accuracy": theirs}), 90, 0.1),
        notes=[],
    )


def test_a_small_difference_may_be_chance() -> None:
    near, far, above = (result(one, 80.0, 100, ["a", "b"]).verdict for one in (75.0, 60.0, 80.0))
    assert near is not None and "On 100 examples such a difference may be chance." in near
    assert "accuracy 75.00 against 80.00 of a linear model" in near
    assert far is not None and "chance" not in far
    assert above is None


def test_f1_macro_is_shown_where_it_is_another_number() -> None:
    one = result(75.0, 80.0, 100, ["a", "b"])
    rows = {row[0]: row[1:] for row in score_rows(one)}
    assert rows["accuracy"] == ("75.00", "", "80.00") and rows["f1"] == ("50.00", "", "")
    assert rows["f1_macro"][0] == f"{one.metrics['f1_macro']:.2f}"
    same = result(75.0, 80.0, 100, ["a", "b"])
    same.evaluation.scores.values["f1"] = one.metrics["f1_macro"]
    assert "f1_macro" not in {row[0] for row in score_rows(same)}


@pytest.mark.parametrize(
    ("labels", "wanted", "unwanted"),
    [
        (["ham", "spam"], "spam", "1 ham"),
        (["客訴", "一個很長而且放不進欄位的類別名稱"], "2 客訴", "Most frequent"),
        ([f"class {number}" for number in range(20)], "Most frequent confusions", "Confusions: a"),
    ],
)
def test_a_matrix_is_as_narrow_as_it_can_be(labels: list[str], wanted: str, unwanted: str) -> None:
    breakdown = result(75.0, 80.0, 9, labels).breakdown
    assert breakdown is not None and breakdown.confusion is not None
    text = class_tables.confusion_table(breakdown.confusion)
    assert wanted in text and unwanted not in text
    assert max(map(len, text.split("\n"))) < 100


def test_a_class_without_an_example_is_shown_and_named() -> None:
    gold = ["refund", "refund", "delivery"]
    found = classes.Breakdown("texts", classes.of_labels(gold, gold)).with_known(
        ["refund", "delivery", "praise"]
    )
    assert found.f1_macro == 100.0  # of the two that occur, as before
    assert found.unmeasured == ["praise"]
    assert found.classes["praise"].to_json() == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 0,
    }
    lines = class_tables.class_table(found, {"refund": 9, "delivery": 8, "praise": 7}).split("\n")
    assert lines[-1].split() == ["praise", "7", "0", "-", "-", "-"]
    note = evaluate_shown._unmeasured(found.unmeasured)
    assert note.endswith("so the scores say nothing about them: 'praise'.")


def test_labels_with_line_breaks_and_long_labels_keep_the_table() -> None:
    labels = ["one\nand\ttwo", "three\r\nfour\u2028five", "客" * 200, "b"]
    found = classes.Breakdown("texts", classes.of_labels(labels, labels))
    lines = class_tables.class_table(found, {}).split("\n")
    assert len(lines) == 5 and len({console.width(line) for line in lines}) == 1
    assert console.width(lines[0]) < 90
    assert "one\\nand\\ttwo" in "\n".join(lines) and "…" in "\n".join(lines)
    assert "客" * 200 in found.classes  # JSON has it whole
    table = class_tables.confusion_table(classes.confusion(labels, labels))
    assert len(table.split("\n")) == 6
