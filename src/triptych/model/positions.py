"""Positions that are added to embeddings: fixed sinusoids or a learned table."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Sinusoidal(nn.Module):
    """Look up fixed sinusoids (Vaswani et al. 2017, section 3.5), without a limit."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.table = torch.empty(0, width)

    def forward(self, positions: Tensor) -> Tensor:
        """Map positions (...) int64 -> (..., D) fp32."""
        needed = int(positions.max()) + 1 if positions.numel() else 0
        table = self.table  # another thread may replace it meanwhile
        if table.shape[0] < needed or table.device != positions.device:
            self.table = table = sinusoids(max(256, 2 * needed), self.width).to(positions.device)
        return table[positions]


def sinusoids(count: int, width: int) -> Tensor:
    """Return (count, width) fp32: sin(p / 10000^(2i/D)) in even columns, cos in odd ones."""
    angle = torch.arange(count, dtype=torch.float64)[:, None] * 10000.0 ** (
        -torch.arange(0, width, 2, dtype=torch.float64) / width
    )
    table = torch.empty(count, width, dtype=torch.float64)
    table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()[:, : width // 2]
    return table.float()


class Learned(nn.Module):
    """Look up a learned row for each position (Gehring et al. 2017, section 3.1)."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))

    def forward(self, positions: Tensor) -> Tensor:
        """Map positions (...) int64 -> (..., D)."""
        last = int(positions.max()) if positions.numel() else 0
        if last >= self.weight.shape[0]:
            raise ValueError(
                f"Position {last} is past the learned table of {self.weight.shape[0]} positions "
                "(max_positions)."
            )
        return functional.embedding(positions, self.weight)
