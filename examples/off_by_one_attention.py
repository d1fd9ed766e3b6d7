"""An attention of one's own: softmax with a 1 in its denominator, so that a head may look nowhere.

Miller (2023), "Attention Is Off By One": weights exp(s) / (1 + sum exp(s)) sum to less than 1.

    triptych train phrasebook --code examples/off_by_one_attention.py --out runs/off-by-one
    triptych translate runs/off-by-one --code examples/off_by_one_attention.py "The cat sleeps."
"""

from __future__ import annotations

from torch import Tensor

from triptych.model.padded_attention import PaddedAttention


class OffByOneAttention(PaddedAttention):
    """Weigh keys by exp(s) / (1 + sum exp(s))."""

    def weigh(
        self, query: Tensor, key: Tensor, hidden: Tensor | None, bias: Tensor | None, scale: float
    ) -> Tensor:
        """Return weights (B, H, T, S) of queries (B, H, T, E) for keys (B, H, S, E)."""
        scores = scale * query @ key.transpose(2, 3)
        if bias is not None:
            scores = scores + bias
        if hidden is not None:
            scores = scores.masked_fill(hidden, float("-inf"))
        most = scores.amax(-1, keepdim=True).clamp_min(0.0)  # the added 1 is exp(0)
        weights = (scores - most).exp()
        return weights / (weights.sum(-1, keepdim=True) + (-most).exp())


ATTENTION = OffByOneAttention
