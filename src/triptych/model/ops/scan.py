"""The scan of a recurrent unit: each cell is a mixture of the last cell and a candidate."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


class _Scan(torch.autograd.Function):
    """Run the recurrence forwards, and its gradient backwards, with one operation a step."""

    @staticmethod
    def forward(ctx: Any, candidates: Tensor, kept: Tensor, start: Tensor) -> Tensor:
        cells, last = torch.empty_like(candidates), start  # (T, B, D)
        for step in range(candidates.shape[0]):
            last = torch.lerp(candidates[step], last, kept[step], out=cells[step])
        ctx.save_for_backward(candidates, kept, start, cells)
        return cells

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        candidates, kept, start, cells = cast("tuple[Tensor, ...]", ctx.saved_tensors)
        upstream = gradients[0].clone()  # of each cell, from its own output and the next cells
        for step in range(len(upstream) - 1, 0, -1):
            upstream[step - 1].addcmul_(upstream[step], kept[step])
        before = torch.cat((start[None], cells[:-1]))
        return upstream * (1 - kept), upstream * (before - candidates), upstream[0] * kept[0]


def scan(candidates: Tensor, kept: Tensor, start: Tensor) -> Tensor:
    """Compute c_t = f_t c_(t-1) + (1 - f_t) x_t from x and f (T, B, D) and c_0 (B, D).

    Args:
        candidates: x.
        kept: f, how much of each number of the last cell is kept, from 0 to 1.
        start: c_0.

    Returns:
        All cells (T, B, D).
    """
    if len(candidates) < 2:
        return torch.lerp(candidates, start[None], kept)
    return cast(Any, _Scan).apply(candidates, kept, start)
