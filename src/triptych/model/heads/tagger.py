"""Tag words: a score for each label, and optionally a linear chain over labels (a CRF)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..interface import AnyNetwork
from ..layout import PackedLayout
from ..linear import Linear
from ..ops.dropout import dropout
from .layer import HeadLayer
from .tokens import initialize, pair_weights, rows_of

NEVER = -1e4


class TagOutput(NamedTuple):
    """Hold scores (W, L) of the words of B inputs, words (B,) of each, and the chain's scores."""

    scores: Tensor
    words: Tensor
    pairs: Tensor | None  # (L, L), from the row's label to the column's
    first: Tensor | None  # (L,)
    last: Tensor | None  # (L,)


class Tagger(nn.Module):
    """Score labels with a linear layer over word states, and optionally a CRF.

    The CRF is that of Lafferty et al. 2001 and Lample et al. 2016, section 2.2. The input
    "word_starts" (S,) is 1 at the first subword of a word.

    Args:
        width: D of the states.
        labels: L.
        pooling: "first": a word's state is that of its first subword; "mean": of all.
        dropout_rate: On word states and bigrams.
        bigrams: Number of weight rows for hashed pairs of neighbouring subwords, initially zero;
            each word uses the pairs of its first subword with the ones before and after it.
        layer: Maps word states before the outputs.
        allowed: ((L, L), (L,), (L,)) of 0 or 1 for a CRF: which label may follow which, begin, end.
    """

    def __init__(
        self,
        width: int,
        labels: int,
        *,
        pooling: str = "first",
        dropout_rate: float = 0.0,
        bigrams: int = 0,
        layer: HeadLayer | None = None,
        allowed: tuple[Any, Any, Any] | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.output = Linear(width, labels)
        initialize(self.output)
        # weights of the pair before, then of the pair after
        self.bigrams = nn.Parameter(torch.zeros(bigrams, 2 * labels)) if bigrams else None
        self.pooling, self.dropout = pooling, dropout_rate
        self.pairs = self.first = self.last = None
        if allowed is not None:
            self.pairs = nn.Parameter(torch.zeros(labels, labels))
            self.first, self.last = (
                nn.Parameter(torch.zeros(labels)),
                nn.Parameter(torch.zeros(labels)),
            )
            for name, mask in zip(("pairs", "first", "last"), allowed, strict=True):
                barred = (1 - torch.as_tensor(mask, dtype=torch.float32)) * NEVER
                self.register_buffer(f"barred_{name}", barred, persistent=False)

    def selected_rows(self, inputs: dict[str, Tensor]) -> Tensor | None:
        """Return the first subwords of words (W,) if no other state is used."""
        return inputs["word_starts"].nonzero().squeeze(1) if self.pooling == "first" else None

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> TagOutput:
        """Map states (S, D), or (W, D) of the selected rows -> scores (W, L)."""
        selected_rows = self.selected_rows(inputs)
        starts, rows = inputs["word_starts"], PackedLayout(inputs["source_lengths"])
        words = rows.lengths.new_zeros(rows.count).index_add(0, rows.sequence, starts)  # (B,)
        # (W, D)
        pooled = (
            mean_of_words(states, starts, rows)
            if selected_rows is None
            else rows_of(states, selected_rows)
        )
        rng = model.rng if self.training else None
        if self.layer is not None:
            pooled = self.layer(pooled, rng)
        scores = self.output(dropout(pooled, self.dropout, rng)).float()  # (W, L)
        if self.bigrams is not None:
            tokens = inputs["source"]  # begin comes before the first word, end after the last
            places = starts.nonzero().squeeze(1) if selected_rows is None else selected_rows
            before, after = self.bigrams.chunk(2, 1)
            bigrams = pair_weights(before, tokens[places - 1], tokens[places]) + pair_weights(
                after, tokens[places], tokens[places + 1]
            )
            scores = scores + dropout(bigrams, self.dropout, rng)
        return TagOutput(scores, words, *self.chain())

    def chain(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the scores of pairs (L, L), of first and of last labels (L,), if it has a CRF."""
        if self.pairs is None:
            return None, None, None
        pairs, first, last = (
            getattr(self, name).float() + getattr(self, f"barred_{name}")
            for name in ("pairs", "first", "last")
        )
        return pairs, first, last


def mean_of_words(states: Tensor, starts: Tensor, rows: PackedLayout) -> Tensor:
    """Average the states (N, D) of each word's subwords -> (W, D), without begin and end."""
    inside = (rows.positions > 0) & (rows.positions < rows.lengths[rows.sequence] - 1)  # (N,)
    number = starts.cumsum(0)[inside] - 1  # (P,) the word of each piece
    total = states.new_zeros(int(starts.sum()), states.shape[1]).index_add(
        0, number, states[inside]
    )
    count = states.new_zeros(total.shape[0]).index_add(
        0, number, torch.ones_like(number, dtype=states.dtype)
    )
    return total / count[:, None]


def chain_loss(output: TagOutput, targets: Tensor) -> Tensor:
    """Return minus the log-probability of the targets (W,), summed over inputs, in nats.

    Inputs with a target of -1 are ignored. This is the forward algorithm (Lafferty et al. 2001,
    section 3) over padded words (B, T, L), in fp32.
    """
    pairs, first, last = output.pairs, output.first, output.last
    assert pairs is not None and first is not None and last is not None, "the head has no chain"
    rows = PackedLayout(output.words)
    # (B,)
    usable = targets.new_ones(rows.count).index_fill(0, rows.sequence[targets < 0], 0).bool() & (
        output.words > 0
    )
    scores = rows.pad(output.scores)  # (B, T, L)
    reached = first + scores[:, 0]  # (B, L) log of the sum over all paths so far
    for step in range(1, rows.longest):
        further = (reached[:, :, None] + pairs).logsumexp(1) + scores[:, step]
        reached = torch.where(rows.real[:, step, None], further, reached)
    everything = (reached + last).logsumexp(1)  # (B,)
    given = targets.clamp_min(0)
    ends = rows.starts[output.words > 0], (rows.starts + output.words - 1)[output.words > 0]
    local = output.scores.gather(1, given[:, None])[:, 0]  # (W,)
    begins = torch.ones_like(given, dtype=torch.bool).index_fill(0, ends[0], False)
    local = local + torch.where(begins, pairs[given.roll(1), given], local.new_zeros(()))
    path = local.new_zeros(rows.count).index_add(0, rows.sequence, local)  # (B,)
    borders = first[given[ends[0]]] + last[given[ends[1]]]
    path = path.index_add(0, (output.words > 0).nonzero()[:, 0], borders)
    return (everything - path)[usable].sum()
