"""Test that the scores of each class and the confusions equal scikit-learn's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.metrics import classes
from triptych.metrics.classification import f1
from triptych.metrics.spans import span_scores

LABELS = st.sampled_from(["a", "b", "c", ""])
BOTH = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(BOTH)
def test_classes_and_confusions_as_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    predicted, gold = (list(side) for side in zip(*pairs, strict=True))
    found = classes.of_labels(predicted, gold)
    names = list(found)
    wanted = theirs.precision_recall_fscore_support(gold, predicted, labels=names, zero_division=0)
    for place, one in enumerate(found.values()):
        both = [100 * column[place] for column in wanted[:3]]
        assert [one.precision, one.recall, one.f1] == pytest.approx(both)
        assert one.support == wanted[3][place]
    assert [one.support for one in found.values()] == sorted(
        (one.support for one in found.values()), reverse=True
    )
    matrix = classes.confusion(predicted, gold)
    assert matrix.labels == names
    if len(names) > 1:
        assert matrix.counts == theirs.confusion_matrix(gold, predicted, labels=names).tolist()
    assert classes.Breakdown("texts", found).f1_macro == pytest.approx(f1(predicted, gold))
    assert sum(count for *_, count in matrix.pairs()) == sum(a != b for a, b in pairs)


def test_the_most_frequent_confusion_comes_first() -> None:
    matrix = classes.confusion(["b", "b", "c", "a"], ["a", "a", "a", "b"])
    assert matrix.pairs() == [("a", "b", 2), ("a", "c", 1), ("b", "a", 1)]
    assert matrix.to_json() == {
        "labels": ["a", "b", "c"],
        "counts": [[0, 2, 1], [1, 0, 0], [0, 0, 0]],
    }


def test_types_of_spans() -> None:
    found = classes.of_spans(span_scores([["B-PER", "O", "B-LOC"]], [["B-PER", "B-PER", "O"]]))
    assert (found["PER"].precision, found["PER"].recall, found["PER"].support) == (100, 50, 2)
    assert found["PER"].f1 == pytest.approx(200 / 3)
    assert found["LOC"].to_json() == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
