"""Classify whole inputs: pool the states of each sequence, apply dropout, project."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..interface import AnyNetwork
from ..layout import PackedLayout
from ..linear import Linear
from ..ops.dropout import DropoutRng, dropout
from .layer import HeadLayer
from .tokens import ZERO_INIT_GAIN, activation_of, initialize, pair_weights, rows_of

Pooling = Literal["mean", "first", "max", "compare"]
OVERLAPS = 2  # similarities of two texts by their words
PARTS = {"mean": 1, "first": 1, "max": 1, "compare": 4}  # vectors of width D for each pooling


class ClassOutput(NamedTuple):
    """Hold logits (B, C) fp32, and the temperature (1,) that divides them in prediction."""

    logits: Tensor
    temperature: Tensor


class Classifier(nn.Module):
    """Compute pooled states -> dropout -> (dense, activation) -> dropout -> C outputs.

    The buffers temperature (1,) and thresholds (C,) are set from development data after training
    (`tasks/calibration.py`); importance (V,) weights rare tokens (Salton & Buckley 1988) and is set
    from the training texts before it.

    Args:
        width: D of the states.
        names: The C outputs; none if the output is a number.
        pooling: "mean" over all tokens; "first" token (Devlin et al. 2018); "max" over all tokens
            (Collobert et al. 2011, section 3.3.2); or "compare" for two texts, which gives the
            mean-pooled u and v, |u - v| and u * v (Conneau et al. 2017, section 3.2).
        hidden: Add a dense layer.
        activation: Of that layer: "tanh" (Devlin et al. 2018) or a key of `linear.ACTIVATIONS`.
        layer: Maps pooled states (B, D) instead of that layer.
        shortcut: Also pool the token embeddings (a bag of words, Joulin et al. 2017, section 2).
            For "compare", also add two similarities directly to the outputs: the cosines of the
            pooled embeddings, and of the bags of tokens weighted by importance.
        bigrams: Number of weight rows for hashed pairs of neighbouring tokens, initially zero
            (Joulin et al. 2017, section 2.1).
        drop: Dropout probability.
        scale: Mean and standard deviation of an output that is a number.
        vocabulary: V.
    """

    temperature: Tensor
    thresholds: Tensor
    importance: Tensor | None

    def __init__(
        self,
        width: int,
        names: list[str],
        *,
        pooling: Pooling = "mean",
        hidden: bool = False,
        activation: str = "tanh",
        layer: HeadLayer | None = None,
        shortcut: bool = False,
        bigrams: int = 0,
        drop: float = 0.1,
        scale: dict[str, float] | None = None,
        vocabulary: int = 0,
    ) -> None:
        super().__init__()
        self.names, self.pooling, self.drop, self.shortcut, self.scale = (
            names,
            pooling,
            drop,
            shortcut,
            scale,
        )
        overlap = shortcut and pooling == "compare"
        inputs, outputs = width * PARTS[pooling] * (2 if shortcut else 1), max(1, len(names))
        self.dense = Linear(inputs, width) if hidden else None
        self.activate, self.layer = activation_of(activation), layer
        self.project = Linear(width if hidden else inputs, outputs)
        self.overlap = Linear(OVERLAPS, outputs, bias=False) if overlap else None
        self.bigrams = nn.Parameter(torch.empty(bigrams, outputs)) if bigrams else None
        self.register_buffer("temperature", torch.ones(1))
        self.register_buffer("thresholds", torch.full((outputs,), 0.5))
        self.register_buffer("importance", torch.ones(vocabulary) if overlap else None)
        initialize(self)
        if self.bigrams is not None:
            nn.init.zeros_(self.bigrams)
        if self.overlap is not None:
            nn.init.zeros_(self.overlap.weight)

    def selected_rows(self, inputs: dict[str, Tensor]) -> Tensor | None:
        """Return the first token of each sequence (B,) if no other state is used."""
        return PackedLayout(inputs["source_lengths"]).starts if self.pooling == "first" else None

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> ClassOutput:
        """Map states (N, D), or (B, D) of the selected rows -> logits (B, C)."""
        rng: DropoutRng | None = model.rng if self.training else None
        likeness: Tensor | None = None
        rows = PackedLayout(inputs["source_lengths"])
        pooled = (
            rows_of(states, rows.starts).float()
            if self.pooling == "first"
            else self._pool(states.float(), rows, inputs)
        )
        if self.shortcut:
            # Scale the rows to unit variance.
            table = model.embedding(inputs["source"]).float() * states.shape[1] ** 0.5
            words = self._pool(dropout(table, self.drop, rng), rows, inputs)
            pooled = torch.cat([pooled, words], 1)
            likeness = self._overlaps(words, rows, inputs)
        logits = self.outputs(pooled, rng)
        if self.overlap is not None and likeness is not None:
            logits = logits + self.overlap(likeness)
        if self.bigrams is not None:
            logits = logits + self._bigram_logits(self.bigrams, rows, inputs["source"], rng)
        return ClassOutput(logits, self.temperature)

    def outputs(self, pooled: Tensor, rng: DropoutRng | None) -> Tensor:
        """Map pooled states (B, inputs) -> logits (B, C)."""
        if self.layer is not None:
            pooled = self.layer(pooled, rng)
        x = dropout(pooled, self.drop, rng)
        if self.dense is not None:
            x = dropout(self.activate(self.dense(x)), self.drop, rng)
        return self.project(x).float()

    def _bigram_logits(
        self, weights: Tensor, rows: PackedLayout, tokens: Tensor, rng: DropoutRng | None
    ) -> Tensor:
        """Add the weights of all bigrams, divided by the root of their number -> (B, C)."""
        own = rows.sequence[1:] == rows.sequence[:-1]
        bigrams = dropout(pair_weights(weights, tokens[:-1][own], tokens[1:][own]), self.drop, rng)
        sums = bigrams.new_zeros(rows.count, weights.shape[1]).index_add(
            0, rows.sequence[1:][own], bigrams
        )
        return sums / (rows.lengths - 1).clamp_min(1).to(sums.dtype).sqrt()[:, None]

    def _pool(self, x: Tensor, rows: PackedLayout, inputs: dict[str, Tensor]) -> Tensor:
        """Map (N, D) -> (B, PARTS * D)."""
        if self.pooling == "first":
            return x[rows.starts]
        if self.pooling == "max":
            return torch.segment_reduce(x, "max", lengths=rows.lengths)
        if self.pooling == "mean":
            return _mean(x, rows.sequence, rows.count)
        # (B, 2, D)
        both = _mean(x, 2 * rows.sequence + inputs["segments"], 2 * rows.count).view(
            rows.count, 2, -1
        )
        u, v = both.unbind(1)
        return torch.cat([u, v, (u - v).abs(), u * v], 1)

    def _overlaps(
        self, words: Tensor, rows: PackedLayout, inputs: dict[str, Tensor]
    ) -> Tensor | None:
        """Return the cosines of two texts' mean rows and weighted bags of tokens (B, 2).

        They are multiplied by ZERO_INIT_GAIN.
        """
        if self.importance is None:
            return None
        means, size = words.chunk(PARTS["compare"], 1)[:2], self.importance.shape[0]
        places = (2 * rows.sequence + inputs["segments"]) * size + inputs["source"]
        bags = self.importance.new_zeros(2 * rows.count * size).index_add(
            0, places, self.importance[inputs["source"]]
        )
        pairs = (means, bags.view(rows.count, 2, size).unbind(1))
        return ZERO_INIT_GAIN * torch.stack(
            [torch.cosine_similarity(u, v, dim=1) for u, v in pairs], 1
        )


def _mean(x: Tensor, groups: Tensor, count: int) -> Tensor:
    """Average rows (N, D) by group (N,) -> (count, D); a group without rows is zero."""
    sums = x.new_zeros(count, x.shape[1]).index_add(0, groups, x)
    return sums / torch.bincount(groups, minlength=count).clamp_min(1).to(x.dtype)[:, None]
