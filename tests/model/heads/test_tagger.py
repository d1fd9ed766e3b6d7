"""The tagging head: the CRF's loss against all paths, words pooled from pieces, neighbours that do
not leak.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from triptych.decoding.chain import NEVER, Chain, marginals
from triptych.model.heads.tagger import Tagger, TagOutput, chain_loss, mean_of_words
from triptych.model.heads.tokens import HASH, ZERO_INIT_GAIN
from triptych.model.layout import PackedLayout

MODEL = SimpleNamespace(rng=None)


def random_output(words: list[int], labels: int, seed: int = 0) -> TagOutput:
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randn(labels, labels, generator=generator)
    pairs[0, 1] = NEVER
    return TagOutput(
        torch.randn(sum(words), labels, generator=generator),
        torch.tensor(words),
        pairs.requires_grad_(),
        torch.randn(labels, generator=generator),
        torch.randn(labels, generator=generator),
    )


def by_hand(output: TagOutput, targets: list[int], start: int) -> float:
    scores, pairs, first, last = (
        one.detach().double().numpy()  # type: ignore[union-attr]
        for one in (output.scores, output.pairs, output.first, output.last)
    )

    def total(path: tuple[int, ...]) -> float:
        score = (
            first[path[0]]
            + last[path[-1]]
            + sum(scores[start + place, label] for place, label in enumerate(path))
        )
        return score + sum(pairs[one, other] for one, other in itertools.pairwise(path))

    every = [total(path) for path in itertools.product(range(scores.shape[1]), repeat=len(targets))]
    return float(np.logaddexp.reduce(every) - total(tuple(targets)))


def test_the_loss_is_that_of_all_paths() -> None:
    output, targets = random_output([4, 1, 3], 3), [0, 2, 1, 1, 2, 1, 0, 2]
    expected = (
        by_hand(output, targets[:4], 0)
        + by_hand(output, targets[4:5], 4)
        + by_hand(output, targets[5:], 5)
    )
    assert chain_loss(output, torch.tensor(targets)).item() == pytest.approx(expected, rel=1e-5)


def test_inputs_without_words_or_with_unknown_labels_are_passed_over() -> None:
    output, targets = random_output([2, 0, 3], 3), [0, 2, 1, -1, 2]
    loss = chain_loss(output, torch.tensor(targets))
    assert loss.item() == pytest.approx(by_hand(output, targets[:2], 0), rel=1e-5)
    loss.backward()
    assert (
        output.pairs is not None
        and output.pairs.grad is not None
        and torch.isfinite(output.pairs.grad).all()
    )


def test_the_gradient_is_expected_minus_seen() -> None:
    """Of the scores it is the marginal probability of each label, minus one for the right label
    (Lafferty et al. 2001).
    """
    output = random_output([5], 4)
    scores = output.scores.clone().requires_grad_()
    chain_loss(output._replace(scores=scores), torch.tensor([1, 2, 0, 3, 3])).backward()
    chain = Chain(
        *(one.detach().double().numpy() for one in (output.pairs, output.first, output.last))  # type: ignore[union-attr]
    )
    expected = marginals(output.scores.double().numpy(), chain)
    expected[np.arange(5), [1, 2, 0, 3, 3]] -= 1
    assert scores.grad is not None
    np.testing.assert_allclose(scores.grad.numpy(), expected, atol=1e-5)


def test_words_are_their_first_piece_or_the_mean_of_all() -> None:
    # begin, two pieces, one piece, end | begin ... (second input)
    states = torch.arange(7.0)[:, None]
    rows, starts = PackedLayout(torch.tensor([5, 2])), torch.tensor([0, 1, 0, 1, 0, 0, 0])
    assert mean_of_words(states, starts, rows)[:, 0].tolist() == [1.5, 3.0]
    for pooling, expected in (("first", [1.0, 3.0]), ("mean", [1.5, 3.0])):
        tagger = Tagger(1, 2, pooling=pooling)
        torch.nn.init.ones_(tagger.output.weight)
        output = tagger(MODEL, states, {"word_starts": starts, "source_lengths": rows.lengths})
        assert (
            output.scores[:, 0].tolist() == expected
            and output.words.tolist() == [2, 0]
            and output.pairs is None
        )


def test_pairs_of_neighbours_speak_for_the_word_between_them() -> None:
    tokens = torch.tensor([0, 5, 6, 1, 0, 6, 5, 1])
    starts = torch.tensor([0, 1, 1, 0, 0, 1, 0, 0])  # the second input: a word of two pieces
    tagger = Tagger(1, 2, bigrams=101)
    torch.nn.init.zeros_(tagger.output.weight)
    inputs = {"source": tokens, "word_starts": starts, "source_lengths": torch.tensor([4, 4])}
    assert tagger.bigrams is not None
    assert not tagger(MODEL, torch.zeros(8, 1), inputs).scores.any()
    with torch.no_grad():
        tagger.bigrams[(0 * HASH + 5) % 101, 1] = 0.1  # begin and 5, before a word: label 1
        tagger.bigrams[(5 * HASH + 6) % 101, 1] = 0.2
        tagger.bigrams[(5 * HASH + 6) % 101, 2] = 0.3  # 5 and 6, after a word: label 0
        tagger.bigrams[(6 * HASH + 5) % 101, 3] = 0.4
        tagger.bigrams[(1 * HASH + 0) % 101] = 9.0  # an end and the next begin are no pair
    scores = tagger(MODEL, torch.zeros(8, 1), inputs).scores
    torch.testing.assert_close(
        scores, ZERO_INIT_GAIN * torch.tensor([[0.3, 0.1], [0.0, 0.2], [0.0, 0.4]])
    )


def test_barred_neighbours_stay_out_of_reach() -> None:
    tagger = Tagger(2, 2, allowed=([[1, 0], [1, 1]], [1, 1], [1, 1]))
    torch.nn.init.zeros_(tagger.output.weight)
    output = tagger(
        MODEL,
        torch.zeros(4, 2),
        {"word_starts": torch.tensor([0, 1, 1, 0]), "source_lengths": torch.tensor([4])},
    )
    assert chain_loss(output, torch.tensor([0, 1])).item() > 1000
    assert chain_loss(output, torch.tensor([1, 0])).item() == pytest.approx(np.log(3), rel=1e-4)
    assert set(tagger.state_dict()) == {"output.weight", "output.bias", "pairs", "first", "last"}
