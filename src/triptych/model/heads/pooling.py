"""Pool the states of a sequence to one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..interface import AnyNetwork
from ..layout import PackedLayout


class Pooled(nn.Module):
    """Return the states; keep BERT's pooler (Devlin et al. 2018) if a checkpoint has one."""

    def __init__(self, pooler_width: int | None = None) -> None:
        super().__init__()
        self.pooler = nn.Linear(pooler_width, pooler_width) if pooler_width is not None else None

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        return states


def pooled(
    states: Tensor, lengths: Tensor, pooling: str = "mean", weights: Tensor | None = None
) -> Tensor:
    """Map packed states (N, D) to the "mean" or "first" state of each sequence (B, D), fp32.

    weights (N,) fp32 weight the states in the mean.
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
