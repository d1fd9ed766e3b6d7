"""The biaffine head: words from pieces, neighbours that never leak, the same whatever stands beside
a sentence.
"""

from __future__ import annotations

import pytest
import torch

from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.heads.biaffine import Biaffine, pooled
from triptych.model.linear import Linear
from triptych.model.transformer import Transformer

# two sentences: begin, words of 2 + 1 pieces, end; begin, one word of 3 pieces, end
STARTS = torch.tensor([0, 1, 0, 1, 0, 0, 1, 0, 0, 0])
LENGTHS = torch.tensor([5, 5])


def head(dropout: float = 0.0) -> Biaffine:
    torch.manual_seed(1)
    made = Biaffine(16, ["A", "B"], ["root", "x", "y"], 8, 6, dropout)
    for layer in (made.arc_product, made.arc_prior, made.relation_product):
        torch.nn.init.normal_(layer.weight)
    return made


class Silent:
    """A model that draws nothing."""

    rng = None


def test_a_word_is_the_mean_of_its_pieces_and_the_begin_token_is_the_root() -> None:
    states = torch.arange(10.0)[:, None].repeat(1, 2)
    words, lengths = pooled(states, STARTS, LENGTHS)
    assert lengths.tolist() == [2, 1]
    # ends belong to no word; past the end stands zero
    assert words[..., 0].tolist() == [[0.0, 1.5, 3.0], [5.0, 7.0, 0.0]]


def test_scores_are_packed_by_word_and_forbid_what_cannot_be() -> None:
    output = head()(
        Silent(), torch.randn(10, 16), {"word_starts": STARTS, "source_lengths": LENGTHS}
    )
    assert (
        output.arcs.shape == (3, 3)
        and output.upos.shape == (3, 2)
        and output.word_lengths.tolist() == [2, 1]
    )
    assert torch.isinf(output.arcs).tolist() == [
        [False, True, False],
        [False, False, True],
        [False, True, True],
    ]
    assert output.relations(torch.tensor([2, 0, 0])).shape == (3, 3)


def test_a_neighbour_changes_nothing() -> None:
    torch.manual_seed(0)
    made, states = head(), torch.randn(10, 16)
    both = made(Silent(), states, {"word_starts": STARTS, "source_lengths": LENGTHS})
    alone = made(Silent(), states[5:], {"word_starts": STARTS[5:], "source_lengths": LENGTHS[1:]})
    assert torch.allclose(both.arcs[2:, :2], alone.arcs, atol=1e-6) and torch.allclose(
        both.upos[2:], alone.upos, atol=1e-6
    )
    assert torch.allclose(
        both.relations(torch.tensor([0, 1, 0]))[2:], alone.relations(torch.tensor([0])), atol=1e-6
    )


@torch.no_grad()
def test_the_plain_formula() -> None:
    """Compare s = d' U h + u' h for arcs; for relations d' U_k h + w_k d + v_k h + b_k (equations 6
    to 9).
    """
    torch.manual_seed(0)
    made, states = head(), torch.randn(5, 16)
    output = made(Silent(), states, {"word_starts": STARTS[:5], "source_lengths": LENGTHS[:1]})
    words = torch.stack([states[0], states[1:3].mean(0), states[3]])

    def ready(layer: Linear) -> torch.Tensor:
        return torch.nn.functional.leaky_relu(layer(words), 0.1)

    d, h = ready(made.arc_dependent), ready(made.arc_head)
    assert output.arcs[1, 0] == pytest.approx(
        float(made.arc_product(d[2]) @ h[0] + made.arc_prior(h[0])[0]), abs=1e-4
    )
    d, h = ready(made.relation_dependent), ready(made.relation_head)
    product = made.relation_product.weight.view(3, 6, 6)
    expected = torch.einsum("kij,i,j->k", product, h[2], d[1])
    expected = expected + made.relation_dependent_alone(d[1]) + made.relation_head_alone(h[2])
    assert torch.allclose(output.relations(torch.tensor([2, 0]))[0], expected, atol=1e-4)


def test_dropout_draws_from_the_models_chance_alone() -> None:
    stack = StackConfig(layers=1, width=16, heads=2, inner_width=16, dropout=0.0)
    model, made = build(ModelConfig(encoder=stack, vocabulary_size=20)), head(0.5)
    assert isinstance(model, Transformer)
    states, inputs = torch.randn(10, 16), {"word_starts": STARTS, "source_lengths": LENGTHS}
    found = []
    for seed in (1, 1, 2):
        model.reseed(seed)
        found.append(made(model, states, inputs).upos)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    made.eval()
    assert torch.equal(made(model, states, inputs).upos, made(model, states, inputs).upos)
