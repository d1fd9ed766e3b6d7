"""Rotate queries and keys by their positions (Su et al. 2021, section 3.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..rotary_scaling import BY_LENGTH, LONG, ORIGINAL, amplitude, multipliers

Angles = tuple[Tensor, Tensor]  # cosines and sines (N, 1, R) of the R rotated columns of a head


class Rotary(nn.Module):
    """Compute the angle of each pair (e, e + R/2), which grows with the position.

    Frequencies are scaled for long texts if there is a `scaling`. Two kinds of scaling depend on
    the length of the text (`by_length`). While a text is written with a cache, keys keep the
    rotation that they got when the text was shorter.
    """

    def __init__(self, width: int, base: float, scaling: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        # Not on the meta device, on which a model may be built, as no file holds them.
        exponents = torch.arange(0, width, 2, dtype=torch.float32, device="cpu") / width
        frequencies = base**-exponents
        self.width, self.amplitude = width, 1.0
        self.original: int = 0  # length of the texts of the first training
        self.factor, self.by_length, self.is_dynamic, long = 1.0, False, False, frequencies
        if scaling is not None:
            self.amplitude = amplitude(scaling)
            self.by_length = scaling["rope_type"] in BY_LENGTH
            self.is_dynamic = self.by_length and LONG not in scaling
            self.original, self.factor = scaling.get(ORIGINAL) or 0, scaling.get("factor") or 1.0
            scales = multipliers(scaling, cast(Any, frequencies).tolist(), base)
            if LONG in scaling:
                long = frequencies / torch.tensor(scaling[LONG], device="cpu")
            frequencies = frequencies * torch.tensor(scales, device="cpu")
        # The two members of a pair have opposite signs.
        self.frequencies = torch.cat((-frequencies, frequencies))
        self.long = torch.cat((-long, long))
        # the powers of the growth of the base by which dynamic scaling divides frequencies
        self.exponents = torch.cat((exponents, exponents)) * (width / max(1, width - 2))

    def angles(self, positions: Tensor, lengths: Tensor | None = None) -> Angles:
        """Return cosines and sines (N, 1, R) fp32; the sines of the first half are negative.

        Args:
            positions: (N,) int64.
            lengths: (N,) int64, the length of the text of each row; needed if `by_length`.
        """
        if self.frequencies.device != positions.device:
            for name in ("frequencies", "long", "exponents"):
                setattr(self, name, getattr(self, name).to(positions.device))
        frequencies = self.frequencies
        if self.by_length:
            assert lengths is not None, "this scaling depends on the length"
            frequencies = self._of_lengths(lengths[:, None, None])
        angle = positions.float()[:, None, None] * frequencies
        if self.amplitude == 1.0:
            return angle.cos(), angle.sin()
        return angle.cos() * self.amplitude, angle.sin() * self.amplitude

    def _of_lengths(self, lengths: Tensor) -> Tensor:
        """Map lengths (N, 1, 1) -> the frequencies (N, 1, R) in texts of these lengths."""
        if not self.is_dynamic:
            return torch.where(lengths > self.original, self.long, self.frequencies)
        growth = self.factor * lengths.clamp_min(self.original) / self.original - self.factor + 1.0
        return self.frequencies * growth**-self.exponents


def rotate(x: Tensor, angles: Angles, heads: int | None = None) -> Tensor:
    """Rotate the first `heads` (None: all) of x (N, heads, E) by angles (N, 1, R), in fp32.

    Columns past the first R stay as they are.
    """
    heads, width = x.shape[1] if heads is None else heads, angles[0].shape[2]
    if torch.is_grad_enabled():
        return _Rotate.apply(x, *angles, heads)  # type: ignore[return-value]
    own = x[:, :heads, :width]
    turned = own * angles[0]  # decoding has few rows, so the number of operations counts
    turned.addcmul_(own.roll(width // 2, 2), angles[1])
    turned = turned.to(x.dtype)
    if width < x.shape[2]:
        turned = torch.cat((turned, x[:, :heads, width:]), 2)
    return torch.cat((turned, x[:, heads:]), 1)


class _Rotate(torch.autograd.Function):
    """Rotate, with the rotation back as derivative, in half the passes of the plain formula."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor, heads: int) -> Tensor:
        cosine, sine = cosine.chunk(2, -1)[1], sine.chunk(2, -1)[1]  # (N, 1, R/2)
        ctx.save_for_backward(cosine, sine)
        ctx.heads = heads
        count, width = x.shape[0], 2 * cosine.shape[2]
        own = x[:, :heads, :width].to(
            torch.float32, copy=True, memory_format=torch.contiguous_format
        )
        halves = own.view(count, heads, 2, width // 2)  # (N, heads, 2, R/2)
        across = halves * sine[:, :, None]
        halves.mul_(cosine[:, :, None])
        halves[:, :, 0].sub_(across[:, :, 1])
        halves[:, :, 1].add_(across[:, :, 0])
        out = torch.empty_like(x)
        out[:, :heads, :width] = halves.view(count, heads, width)
        out[:, :heads, width:] = x[:, :heads, width:]
        out[:, heads:] = x[:, heads:]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        cosine, sine = ctx.saved_tensors
        angles = torch.cat((cosine, cosine), -1), torch.cat((sine, -sine), -1)
        return _Rotate.apply(grads[0], *angles, ctx.heads), None, None, None  # type: ignore[return-value]
