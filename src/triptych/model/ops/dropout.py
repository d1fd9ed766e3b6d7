"""Dropout with a random generator that is seeded for every micro-batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..typed import from_numpy


class DropoutRng:
    """Draw dropout masks from a seed that is set for every micro-batch, whatever ran before.

    On a CPU the bytes come from numpy's SFC64 (about ten times faster than `torch.bernoulli`);
    elsewhere from torch.
    """

    def __init__(self) -> None:
        self.seed(0)

    def seed(self, seed: int) -> None:
        self._seed = seed
        self._numpy = np.random.Generator(np.random.SFC64(seed))
        self._torch: torch.Generator | None = None
        self._default: torch.device | None = (
            None  # the device whose default generator has this seed
        )

    def seed_default(self, device: torch.device) -> None:
        """Seed torch's default generator of a device, from which fused kernels draw, once."""
        if self._default != device:
            self._default = device
            generators: Any = torch.get_device_module(device)
            generator: torch.Generator = (
                torch.default_generator
                if device.type == "cpu"
                else generators.default_generators[device.index or 0]
            )
            generator.manual_seed(self._seed)

    def keep(self, x: Tensor, probability: float) -> Tensor:
        """Draw in x's shape and dtype: 0 where dropped, else the factor that keeps the mean.

        Probabilities are rounded to multiples of 1/256. For bf16 on a CPU the result is the
        factor's bit pattern times 0 or 1, in numpy, because torch converts bytes and booleans to 16
        bits slowly. Elsewhere the comparison writes floats, because converting boolean operands
        costs six times the multiplication.
        """
        threshold = max(1, min(255, round(probability * 256)))  # bytes below this are dropped
        factor, count, device = 256.0 / (256 - threshold), x.numel(), x.device
        if device.type == "cpu":
            words = self._numpy.bit_generator.random_raw((count + 7) // 8)
            drawn = from_numpy(words.view(np.uint8))[:count].view(x.shape)
        else:
            generator = self._generator(device)
            drawn = torch.randint(
                0, 256, x.shape, dtype=torch.uint8, device=device, generator=generator
            )
        if x.dtype == torch.bfloat16 and device.type == "cpu":
            bits = torch.tensor(factor, dtype=x.dtype).view(torch.int16).numpy()
            return from_numpy(
                np.multiply((drawn.numpy() >= threshold).view(np.int8), bits, dtype=np.int16)
            ).view(x.dtype)
        return torch.ge(drawn, threshold, out=torch.empty_like(x)).mul_(factor)

    def uniforms(self, x: Tensor) -> Tensor:
        """Draw numbers from 0 to below 1 in x's shape and on its device, in fp32."""
        if x.device.type == "cpu":
            return from_numpy(self._numpy.random(x.shape, dtype=np.float32))
        generator = self._generator(x.device)
        return torch.rand(x.shape, device=x.device, generator=generator)

    def _generator(self, device: torch.device) -> torch.Generator:
        """Return torch's generator of a device, made anew after each seed."""
        if self._torch is None or self._torch.device != device:
            self._torch = torch.Generator(device).manual_seed(self._seed)
        return self._torch


class _Dropout(torch.autograd.Function):
    """Apply dropout, and add the result to a residual if there is one."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor | None, x: Tensor, keep: Tensor) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.is_added = residual is not None
        return x * keep if residual is None else torch.addcmul(residual, x, keep)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (keep,) = ctx.saved_tensors
        return grads[0] if ctx.is_added else None, grads[0] * keep, None


def dropout(
    x: Tensor, probability: float, rng: DropoutRng | None, residual: Tensor | None = None
) -> Tensor:
    """Zero each element with `probability` and scale the others up; without `rng`, do not.

    The result is added to `residual` if that is given (Vaswani et al. 2017, section 5.4).
    """
    if rng is None or probability == 0.0:
        return x if residual is None else residual + x
    return _Dropout.apply(residual, x, rng.keep(x.detach(), probability))  # type: ignore[return-value]
