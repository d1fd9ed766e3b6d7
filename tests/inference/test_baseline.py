"""Test the simple models that a run is held against."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest

from triptych.data.example import Example
from triptych.errors import DataError, UsageError
from triptych.inference.baseline import baseline, refuse_without_baseline
from triptych.tasks.specs import SPECS

NEEDS_SKLEARN = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed"
)
WORDS = {"pos": ("good", "lovely", "很好"), "neg": ("bad", "awful", "很差")}


def classification(**options: Any) -> Any:
    return SPECS["classification"].build(options)


def texts(count: int = 20) -> list[Example]:
    return [
        Example(text=f"{word} film number {number}", label=label)
        for number in range(count)
        for label, words in WORDS.items()
        for word in words
    ]


@NEEDS_SKLEARN
def test_words_decide_a_label() -> None:
    asked = [Example(text="a good one", label="pos"), Example(text="真的很差", label="neg")]
    found = baseline(classification(), texts(), asked)
    assert found.scores.values["accuracy"] == 100.0 and found.examples == 120
    assert found.model == "TF-IDF of words and characters, logistic regression"
    assert 0 < found.scores.values["calibration_error"] < 60
    assert found.beats({"accuracy": 99.0}) and not found.beats({"accuracy": 100.0})
    assert found.to_json({"accuracy": 99.0})["beats_the_run"] is True


@NEEDS_SKLEARN
def test_a_text_without_spaces_is_counted_by_characters() -> None:
    train = [Example(text=f"這部電影{word}看{number}", label=label)
             for number in range(15) for label, word in (("pos", "好"), ("neg", "難"))]  # fmt: skip
    found = baseline(classification(), train, [Example(text="真難看啊", label="neg")])
    assert found.scores.values["accuracy"] == 100.0 and "TF-IDF of characters" in found.model


@NEEDS_SKLEARN
def test_several_labels_numbers_and_pairs() -> None:
    both = [
        Example(text=f"{' '.join(names)} {number}", labels=list(names))
        for number in range(12)
        for names in (("red",), ("blue",), ("red", "blue"), ())
    ]
    found = baseline(classification(learn="labels"), both, both)
    assert found.scores.values["exact_match"] == 100.0
    one = [Example(text=f"x{number}", labels=["always"]) for number in range(9)]
    assert baseline(classification(learn="labels"), one, one).scores.values["f1"] == 100.0
    numbers = [
        Example(text=f"{'very ' * times}good {number}", value=float(times))
        for number in range(10)
        for times in range(4)
    ]
    assert baseline(classification(learn="value"), numbers, numbers).scores.values["pearson"] > 95
    near = [
        Example(text=f"a {word} dog", text_pair=f"the {other} dog", value=float(word == other))
        for word in ("red", "old", "big", "wet")
        for other in ("red", "old", "big", "wet")
    ]
    found = baseline(classification(learn="value", pair=True), near, near)
    assert found.scores.values["pearson"] > 90 and "of both texts, ridge" in found.model


@NEEDS_SKLEARN
def test_what_cannot_be_learnt_is_said() -> None:
    alike = [Example(text=f"a {number}", label="a") for number in range(5)]
    with pytest.raises(DataError, match="one label"):
        baseline(classification(), alike, alike)
    signs = [Example(text="  ", label=label) for label in "abab"]
    with pytest.raises(DataError, match="nothing to count"):
        baseline(classification(), signs, signs)


def test_words_have_their_most_frequent_tag() -> None:
    train = [
        Example(text="Oslo is wet", words=[(0, 4), (5, 7), (8, 11)], tags=["B-LOC", "O", "O"]),
        Example(text="Oslo sings", words=[(0, 4), (5, 10)], tags=["B-PER", "O"]),
        Example(text="In Oslo", words=[(0, 2), (3, 7)], tags=["O", "B-LOC"]),
    ]
    asked = [
        Example(text="OSLO is new", words=[(0, 4), (5, 7), (8, 11)], tags=["B-LOC", "O", "B-PER"])
    ]
    found = baseline(SPECS["tagging"].build({}), train, asked)
    assert found.scores.values["accuracy"] == pytest.approx(200 / 3)
    assert found.scores.values["f1_LOC"] == 100.0 and found.scores.values["f1_PER"] == 0.0


def test_without_a_simple_model_or_the_library_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for task in (
        SPECS["translation"].build({}),
        SPECS["parsing"].build({}),
        SPECS["tagging"].build({"unit": "character"}),
    ):
        with pytest.raises(UsageError, match=f"none for this run \\({task.name}\\)"):
            refuse_without_baseline(task)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "triptych\[baseline\]"'):
        baseline(classification(), texts(), texts())
