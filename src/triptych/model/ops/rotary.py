"""Rotate queries and keys by their positions (Su et al. 2021, section 3.2.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

Angles = tuple[Tensor, Tensor]  # cosines and sines (N, 1, E)


class Rotary(nn.Module):
    """Compute the angle of each pair (e, e + E/2), which grows with the position."""

    def __init__(self, width: int, base: float) -> None:
        super().__init__()
        frequencies = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
        # The two members of a pair have opposite signs.
        self.frequencies = torch.cat((-frequencies, frequencies))

    def angles(self, positions: Tensor) -> Angles:
        """Return cosines and sines (N, 1, E) fp32; the sines of the first half are negative."""
        if self.frequencies.device != positions.device:
            self.frequencies = self.frequencies.to(positions.device)
        angle = positions.float()[:, None, None] * self.frequencies
        return angle.cos(), angle.sin()


def rotate(x: Tensor, angles: Angles, heads: int | None = None) -> Tensor:
    """Rotate the first `heads` (None: all) of x (N, heads, E) by angles (N, 1, E), in fp32."""
    heads = x.shape[1] if heads is None else heads
    if torch.is_grad_enabled():
        return _Rotate.apply(x, *angles, heads)  # type: ignore[return-value]
    own = x[:, :heads]
    turned = own * angles[0]  # decoding has few rows, so the number of operations counts
    turned.addcmul_(own.roll(x.shape[2] // 2, 2), angles[1])
    return torch.cat((turned.to(x.dtype), x[:, heads:]), 1)


class _Rotate(torch.autograd.Function):
    """Rotate, with the rotation back as derivative, in half the passes of the plain formula."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor, heads: int) -> Tensor:
        cosine, sine = cosine.chunk(2, -1)[1], sine.chunk(2, -1)[1]  # (N, 1, E/2)
        ctx.save_for_backward(cosine, sine)
        ctx.heads = heads
        count, _, width = x.shape
        # (N, heads, 2, E/2)
        halves = x[:, :heads].to(torch.float32, copy=True).view(count, heads, 2, width // 2)
        across = halves * sine[:, :, None]
        halves.mul_(cosine[:, :, None])
        halves[:, :, 0].sub_(across[:, :, 1])
        halves[:, :, 1].add_(across[:, :, 0])
        out = torch.empty_like(x)
        out[:, :heads] = halves.view(count, heads, width)
        out[:, heads:] = x[:, heads:]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        cosine, sine = ctx.saved_tensors
        angles = torch.cat((cosine, cosine), -1), torch.cat((sine, -sine), -1)
        return _Rotate.apply(grads[0], *angles, ctx.heads), None, None, None  # type: ignore[return-value]
