"""The best tree with one root, against all trees there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from triptych.data.formats.conllu import what_is_wrong
from triptych.decoding.tree import best_tree

TREES = {
    count: [
        heads
        for heads in itertools.product(range(count + 1), repeat=count)
        if what_is_wrong(heads) is None
    ]
    for count in range(1, 6)
}


def total(scores: np.ndarray, heads: tuple[int, ...] | list[int]) -> float:
    return float(sum(scores[place, head] for place, head in enumerate(heads)))


def test_the_number_of_trees_is_cayleys() -> None:
    assert [len(TREES[count]) for count in range(1, 6)] == [
        count ** (count - 1) for count in range(1, 6)
    ]


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_as_good_as_the_best_of_all_trees(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    values = st.floats(-8, 8, width=32) | st.integers(-2, 2).map(float)
    scores = data.draw(arrays.arrays(np.float64, (count, count + 1), elements=values))
    # many roots are tempting, or none is
    scores[:, 0] += data.draw(st.sampled_from([0.0, 20.0, -20.0]))
    heads = best_tree(scores)
    assert what_is_wrong(heads) is None
    assert total(scores, heads) == pytest.approx(
        max(total(scores, tree) for tree in TREES[count]), abs=1e-6
    )


def test_rerooting_alone_would_be_wrong() -> None:
    """The free optimum has two roots; the best tree with one changes another arc as well."""
    scores = np.array([[10.0, -50.0, 0.0, 8.0], [9.0, 1.0, -50.0, -50.0], [1.0, -50.0, 9.5, -50.0]])
    heads = best_tree(scores)
    assert total(scores, heads) == max(total(scores, tree) for tree in TREES[3])


def test_forbidden_arcs_and_numbers_that_are_none() -> None:
    scores = np.full((3, 4), -np.inf)
    scores[1, 0] = scores[0, 2] = scores[2, 1] = 0.0
    assert best_tree(scores) == [2, 0, 1]
    for bad in (np.nan, np.inf, -np.inf):
        assert what_is_wrong(best_tree(np.full((4, 5), bad))) is None
    assert best_tree(np.zeros((0, 1))) == [] and best_tree(np.zeros((1, 2))) == [0]


def test_long_sentences_with_cycles_in_cycles() -> None:
    generator = np.random.default_rng(0)
    for count in (60, 200):
        scores = generator.normal(size=(count, count + 1))
        scores[np.arange(count), np.arange(count) + 1] = 100.0  # its own head: never taken
        # pairs that point at each other
        scores[np.arange(count), 1 + (np.arange(count) ^ 1) % count] += 5.0
        assert what_is_wrong(best_tree(scores)) is None
