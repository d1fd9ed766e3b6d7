"""Score dependency arcs and relations with biaffine attention (Dozat & Manning 2017, section 2.2).

A word's state is the mean of its subwords' states; padding to (B, W) exists only in this file. The
state of the begin token is the root.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..interface import AnyNetwork
from ..layout import PackedLayout
from ..linear import Linear
from ..ops.dropout import DropoutRng, dropout
from .tokens import initialize


@dataclass
class Arcs:
    """Hold the scores of the n words of a batch, packed.

    arcs (n, W + 1) fp32 score each candidate head, the root first; they are minus infinity past the
    end of the sentence. upos (n, U) fp32. word_lengths (B,). Call `relations` with the gold heads
    in training, and with the predicted tree's afterwards.
    """

    arcs: Tensor
    upos: Tensor
    word_lengths: Tensor
    first: Tensor  # (n,) row of the sentence's root in `governors`
    dependents: Tensor  # (n, R)
    governors: Tensor  # (B (W + 1), R)
    head: Biaffine

    def relations(self, heads: Tensor) -> Tensor:
        """Map heads (n,), where 0 is the root, to scores of the relations (n, K), fp32."""
        return self.head.relate(self.dependents, self.governors[self.first + heads])


class Biaffine(nn.Module):
    """Score parts of speech, arcs and relations of words, from the states of their subwords.

    Args:
        width: D of the states.
        upos_names: Parts of speech, by number.
        relation_names: Relations, by number.
        arc_width: Width of the layers before the scores of arcs.
        relation_width: Width of the layers before the scores of relations.
        dropout_rate: On words and on those layers.
    """

    def __init__(
        self,
        width: int,
        upos_names: list[str],
        relation_names: list[str],
        arc_width: int,
        relation_width: int,
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.upos_names, self.relation_names, self.dropout_rate = (
            upos_names,
            relation_names,
            dropout_rate,
        )
        self.upos = Linear(width, len(upos_names))
        self.arc_dependent, self.arc_head = Linear(width, arc_width), Linear(width, arc_width)
        self.relation_dependent, self.relation_head = (
            Linear(width, relation_width),
            Linear(width, relation_width),
        )
        self.arc_product = Linear(arc_width, arc_width, bias=False)
        # the score of a word to be a head at all (equation 7)
        self.arc_prior = Linear(arc_width, 1, bias=False)
        self.relation_product = Linear(
            relation_width, relation_width * len(relation_names), bias=False
        )
        self.relation_dependent_alone = Linear(relation_width, len(relation_names))
        self.relation_head_alone = Linear(relation_width, len(relation_names), bias=False)
        initialize(self)
        # Initial products of wide layers would be far too large.
        for product in (self.arc_product, self.arc_prior, self.relation_product):
            nn.init.zeros_(product.weight)

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> Arcs:
        """Score states (M, D) of subwords.

        inputs: "word_starts" (M,), 1 where a word begins, and "source_lengths" (B,).
        """
        rng: DropoutRng | None = model.rng if self.training else None
        # (B, W + 1, D)
        words, lengths = pooled(states, inputs["word_starts"], inputs["source_lengths"])
        words = dropout(words, self.dropout_rate, rng)
        count, longest = words.shape[0], words.shape[1] - 1
        number = torch.arange(longest + 1, device=words.device)
        candidate = number[None] <= lengths[:, None]  # (B, W + 1), the root among them
        sentence, place = torch.nonzero(candidate[:, 1:], as_tuple=True)  # (n,) each
        parts = [
            dropout(functional.leaky_relu(layer(words), 0.1), self.dropout_rate, rng)
            for layer in (
                self.arc_dependent,
                self.arc_head,
                self.relation_dependent,
                self.relation_head,
            )
        ]
        dependent, governor = parts[0][:, 1:], parts[1]
        # (B, W, W + 1)
        scores = torch.bmm(self.arc_product(dependent).float(), governor.transpose(1, 2).float())
        scores = scores + self.arc_prior(governor).float().transpose(1, 2)
        scores = scores.masked_fill(~candidate[:, None], float("-inf"))
        # No word is its own head.
        scores = scores.masked_fill(number[1:, None] == number[None], float("-inf"))
        return Arcs(
            arcs=scores[sentence, place],
            upos=self.upos(words[:, 1:][sentence, place]).float(),
            word_lengths=lengths,
            first=sentence * (longest + 1),
            dependents=parts[2][:, 1:][sentence, place],
            governors=parts[3].reshape(count * (longest + 1), -1),
            head=self,
        )

    def relate(self, dependents: Tensor, governors: Tensor) -> Tensor:
        """Map dependents (n, R) and their heads (n, R) -> scores of relations (n, K)."""
        count, width = dependents.shape
        product = self.relation_product(dependents).view(count, -1, width)  # (n, K, R)
        both = torch.bmm(product, governors[:, :, None])[:, :, 0]
        return (
            both + self.relation_dependent_alone(dependents) + self.relation_head_alone(governors)
        ).float()


def pooled(states: Tensor, word_starts: Tensor, source_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean state of each word (B, W + 1, D) and the number of words (B,).

    Place 0 holds the begin token. The last token of each input, the end, belongs to no word.
    """
    rows = PackedLayout(source_lengths)
    through = word_starts.cumsum(0)
    # (M,) 0 for the begin token
    number = through - (through - word_starts)[rows.starts][rows.sequence]
    lengths = number[rows.starts + source_lengths - 1]
    size = int(lengths.max()) + 1
    kept = rows.positions < (source_lengths - 1)[rows.sequence]
    slots = (rows.sequence * size + number)[kept]
    sums = states.new_zeros(rows.count * size, states.shape[1], dtype=torch.float32).index_add(
        0, slots, states[kept].float()
    )
    counts = sums.new_zeros(rows.count * size).index_add(0, slots, sums.new_ones(len(slots)))
    mean = (sums / counts.clamp_min(1.0)[:, None]).to(states.dtype)
    return mean.view(rows.count, size, -1), lengths
