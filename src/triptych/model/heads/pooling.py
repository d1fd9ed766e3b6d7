"""One vector for a whole sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..interface import AnyNetwork
from ..layout import PackedLayout


class Pooled(nn.Module):
    """Passes the states on. pooler: BERT's layer over the first token (Devlin et al. 2018), kept
    where a checkpoint has it.
    """

    def __init__(self, pooler_width: int | None = None) -> None:
        super().__init__()
        self.pooler = nn.Linear(pooler_width, pooler_width) if pooler_width is not None else None

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        return states


def pooled(
    states: Tensor, lengths: Tensor, pooling: str = "mean", weights: Tensor | None = None
) -> Tensor:
    """Packed states (N, D), lengths (B,) -> (B, D) fp32: the mean over each sequence, or its first
    state.

    weights: (N,) fp32, of each state in its sequence's mean; without them all count alike.
    """
    rows = PackedLayout(lengths)
    if pooling == "first":
        return states[rows.starts].float()
    weights = torch.ones(len(states), device=states.device) if weights is None else weights
    sums = torch.zeros(rows.count, states.shape[1], device=states.device)
    sums.index_add_(0, rows.sequence, states.float() * weights[:, None])  # (B, D)
    # (B,)
    totals = torch.zeros(rows.count, device=states.device).index_add_(0, rows.sequence, weights)
    return sums / totals[:, None]
