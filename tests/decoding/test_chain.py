"""Chains of labels against all their paths, written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from triptych.decoding.chain import NEVER, Chain, best_path, marginals


def chain_of(seed: int, places: int, labels: int) -> tuple[np.ndarray, Chain]:
    draw = np.random.default_rng(seed).normal
    pairs = draw(size=(labels, labels))
    pairs[0, 1] = NEVER
    return draw(size=(places, labels)) * 2, Chain(pairs, draw(size=labels), draw(size=labels))


def total(path: tuple[int, ...], scores: np.ndarray, chain: Chain) -> float:
    score = (
        chain.first[path[0]]
        + chain.last[path[-1]]
        + sum(scores[place, label] for place, label in enumerate(path))
    )
    return score + sum(chain.pairs[one, other] for one, other in itertools.pairwise(path))


@pytest.mark.parametrize("seed", range(5))
def test_best_path_and_marginals_are_those_of_all_paths(seed: int) -> None:
    scores, chain = chain_of(seed, 5, 3)
    paths = list(itertools.product(range(3), repeat=5))
    totals = np.array([total(path, scores, chain) for path in paths])
    assert tuple(best_path(scores, chain)) == paths[int(totals.argmax())]
    chances = np.exp(totals - totals.max()) / np.exp(totals - totals.max()).sum()
    expected = np.zeros_like(scores)
    for path, chance in zip(paths, chances, strict=True):
        expected[np.arange(5), path] += chance
    np.testing.assert_allclose(marginals(scores, chain), expected, atol=1e-9)


def test_nothing_and_one_place() -> None:
    scores, chain = chain_of(1, 1, 3)
    assert best_path(scores[:0], chain) == [] and marginals(scores[:0], chain).shape == (0, 3)
    assert best_path(scores, chain) == [int((scores[0] + chain.first + chain.last).argmax())]


def test_a_long_chain_of_extreme_scores_stays_finite() -> None:
    scores, chain = chain_of(2, 3000, 4)
    chances = marginals(scores * 1000, chain)
    assert np.isfinite(chances).all() and np.allclose(chances.sum(1), 1)
