"""Positions that are added to embeddings: fixed sinusoids or a learned table."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Sinusoidal(nn.Module):
    """Look up fixed sinusoids (Vaswani et al. 2017, section 3.5), without a limit."""

    def __init__(self, width: int, form: str = "interleaved") -> None:
        super().__init__()
        self.width, self.form = width, form
        self.table = torch.empty(0, width)

    def forward(self, positions: Tensor) -> Tensor:
        """Map positions (...) int64 -> (..., D) fp32."""
        needed = int(positions.max()) + 1 if positions.numel() else 0
        table = self.table  # another thread may replace it meanwhile
        if table.shape[0] < needed or table.device != positions.device:
            table = sinusoids(max(256, 2 * needed), self.width, self.form)
            self.table = table = table.to(positions.device)
        return table[positions]


def sinusoids(count: int, width: int, form: str = "interleaved") -> Tensor:
    """Return (count, width) fp32: sin(p / 10000^(2i/D)) in even columns, cos in odd ones.

    halves: sines in the first half of the columns. fairseq: the same for p / 10000^(i/(D/2 - 1)),
    and zeros in a last odd column.
    """
    if form == "fairseq":
        half = width // 2
        exponents = torch.arange(half, dtype=torch.float64) / max(1, half - 1)
    else:
        exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    angle = torch.arange(count, dtype=torch.float64)[:, None] * 10000.0**-exponents
    if form != "interleaved":
        table = torch.cat((angle.sin(), angle.cos()), 1)[:, :width]
        return functional.pad(table, (0, width - table.shape[1])).float()
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
