"""Test that our classification metrics equal scikit-learn's and scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.metrics import classification as ours

LABELS = st.sampled_from(["a", "b", "c", "d"])
BOTH = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(BOTH)
def test_labels_as_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    predicted, gold = (list(side) for side in zip(*pairs, strict=True))
    assert ours.accuracy(predicted, gold) == pytest.approx(
        100 * theirs.accuracy_score(gold, predicted)
    )
    assert ours.f1(predicted, gold) == pytest.approx(
        100 * theirs.f1_score(gold, predicted, average="macro", zero_division=0)
    )
    assert ours.mcc(predicted, gold) == pytest.approx(
        100 * theirs.matthews_corrcoef(gold, predicted), abs=1e-9
    )
    is_a = [[one == "a" for one in side] for side in (gold, predicted)]
    assert ours.f1(predicted, gold, "a") == pytest.approx(
        100 * theirs.f1_score(*is_a, zero_division=0)
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sets(LABELS), st.sets(LABELS)), min_size=1, max_size=20))
def test_label_sets_as_scikit_learn(pairs: list[tuple[set[str], set[str]]]) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    names = sorted(set().union(*(one | other for one, other in pairs)))
    found = ours.label_sets(
        [sorted(one) for one, _ in pairs], [sorted(other) for _, other in pairs]
    )
    predicted, gold = (
        np.array([[name in pair[side] for name in names] for pair in pairs]) for side in (0, 1)
    )
    assert found["exact_match"] == pytest.approx(
        100 * np.mean([one == other for one, other in pairs])
    )
    for average in ("micro", "macro") if names else ():
        if len(names) == 1:  # scikit-learn takes one column for two classes
            wanted = theirs.f1_score(gold[:, 0], predicted[:, 0], zero_division=0)
        else:
            wanted = theirs.f1_score(gold, predicted, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(100 * wanted)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30))
def test_correlations_as_scipy(pairs: list[tuple[int, int]]) -> None:
    theirs = pytest.importorskip("scipy.stats")
    predicted, gold = ([float(value) for value in side] for side in zip(*pairs, strict=True))
    if len(set(predicted)) == 1 or len(set(gold)) == 1:
        assert ours.pearson(predicted, gold) == ours.spearman(predicted, gold) == 0
        return
    assert ours.pearson(predicted, gold) == pytest.approx(
        100 * theirs.pearsonr(predicted, gold).statistic, abs=1e-8
    )
    assert ours.spearman(predicted, gold) == pytest.approx(
        100 * theirs.spearmanr(predicted, gold).statistic, abs=1e-8
    )


def test_calibration_error_by_hand() -> None:
    assert ours.calibration_error(
        [0.95, 0.95, 0.55, 0.55], [True, False, True, True], bins=10
    ) == pytest.approx(45.0)
    assert (
        ours.calibration_error([1.0, 0.0], [True, False]) == 0
        and ours.calibration_error([], []) == 0
    )


def test_sides_of_unequal_length_are_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="2 answers but 1 references"):
        ours.accuracy(["a", "b"], ["a"])
    assert not math.isnan(ours.mcc([], [])) and ours.pearson([1.0], [1.0]) == 0
