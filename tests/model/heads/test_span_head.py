"""The head of spans against sums written out, and pooling against a loop."""

from __future__ import annotations

import itertools

import pytest
import torch

from triptych.model.heads.pooling import Pooled, pooled
from triptych.model.heads.span import Spans, best_spans, cross_entropy, log_probabilities

LENGTHS = torch.tensor([5, 3, 7])


def test_only_the_second_text_and_the_begin_token_can_be_chosen() -> None:
    torch.manual_seed(1)
    segments = torch.tensor([0, 0, 1, 2, 1, 0, 0, 1, 0, 0, 1, 1, 1, 3, 1])
    logits = Spans(4, False)(
        None, torch.randn(15, 4), {"segments": segments, "source_lengths": LENGTHS}
    )
    possible = logits[:, 0].isfinite().tolist()
    assert possible == [
        True,
        False,
        True,
        True,
        False,
        True,
        False,
        False,
        True,
        False,
        True,
        True,
        True,
        True,
        False,
    ]
    assert torch.allclose(
        log_probabilities(logits, LENGTHS).exp().sum(1), torch.ones(3, 2), atol=1e-5
    )


def test_loss_is_the_mean_of_both_cross_entropies_summed_over_sequences() -> None:
    torch.manual_seed(2)
    logits, start, end = torch.randn(15, 2), torch.tensor([2, 0, 3]), torch.tensor([3, 0, 5])
    rows = logits.split(LENGTHS.tolist())
    wanted = sum(
        (
            torch.nn.functional.cross_entropy(row[:, 0], first)
            + torch.nn.functional.cross_entropy(row[:, 1], last)
        )
        / 2
        for row, first, last in zip(rows, start, end, strict=True)
    )
    assert float(cross_entropy(logits, LENGTHS, start, end)) == pytest.approx(
        float(wanted), abs=1e-5
    )


@pytest.mark.parametrize("longest", [1, 2, 4, 100])
def test_best_spans_are_those_of_a_search_through_all(longest: int) -> None:
    torch.manual_seed(3)
    chances = torch.randn(2, 6, 2)
    scores, starts, ends = best_spans(chances, longest, 3)
    for row in range(2):
        every = {
            (a, b): float(chances[row, a, 0] + chances[row, b, 1])
            for a, b in itertools.product(range(1, 6), range(1, 6))
            if a <= b < a + longest
        }
        best = sorted(every.values(), reverse=True)[:3]
        assert scores[row].tolist() == pytest.approx(best, abs=1e-6)
        assert [
            every[a, b] for a, b in zip(starts[row].tolist(), ends[row].tolist(), strict=True)
        ] == pytest.approx(best, abs=1e-6)


def test_pooling_is_the_mean_of_each_sequence_alone() -> None:
    states = torch.randn(15, 4)
    wanted = torch.stack([part.mean(0) for part in states.split(LENGTHS.tolist())])
    assert torch.allclose(pooled(states, LENGTHS), wanted, atol=1e-6)
    assert torch.equal(pooled(states, LENGTHS, "first"), states[[0, 5, 8]])
    assert [name for name, _ in Pooled(4).named_parameters()] == [
        "pooler.weight",
        "pooler.bias",
    ] and not list(Pooled().parameters())
