"""Dropout, whose only source of chance is a generator that is seeded anew for every micro-batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

FROM_NUMPY: Callable[[Any], Tensor] = cast(Any, torch).from_numpy  # its stub has no types


class DropoutRng:
    """Dropout's only source of chance: seeded anew for every micro-batch, so nothing depends on
    what ran before.

    On a CPU the bytes come from numpy's SFC64 (about ten times faster than `torch.bernoulli`);
    elsewhere from torch.
    """

    def __init__(self) -> None:
        self.seed(0)

    def seed(self, seed: int) -> None:
        self._seed = seed
        self._numpy = np.random.Generator(np.random.SFC64(seed))
        self._torch: torch.Generator | None = None
        self._default: torch.device | None = None  # whose default generator has our seed

    def seed_default(self, device: torch.device) -> None:
        """Seed torch's default generator of a device once for each seed of ours: fused kernels draw
        from no other.
        """
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

        Probabilities move in steps of 1/256.

        Of bf16 on a CPU it is the factor's bit pattern times 0 or 1, in numpy: torch has no fast
        way from bytes or booleans to 16 bits. Elsewhere comparing into a float tensor avoids
        boolean operands, which convert at six times the cost of the multiplication.
        """
        threshold = max(1, min(255, round(probability * 256)))  # bytes below this are dropped
        factor, count, device = 256.0 / (256 - threshold), x.numel(), x.device
        if device.type == "cpu":
            words = self._numpy.bit_generator.random_raw((count + 7) // 8)
            drawn = FROM_NUMPY(words.view(np.uint8))[:count].view(x.shape)
        else:
            if self._torch is None or self._torch.device != device:
                self._torch = torch.Generator(device).manual_seed(self._seed)
            drawn = torch.randint(
                0, 256, x.shape, dtype=torch.uint8, device=device, generator=self._torch
            )
        if x.dtype == torch.bfloat16 and device.type == "cpu":
            bits = torch.tensor(factor, dtype=x.dtype).view(torch.int16).numpy()
            return FROM_NUMPY(
                np.multiply((drawn.numpy() >= threshold).view(np.int8), bits, dtype=np.int16)
            ).view(x.dtype)
        return torch.ge(drawn, threshold, out=torch.empty_like(x)).mul_(factor)


class _Dropout(torch.autograd.Function):
    """Drop, and add what is left to a residual where there is one."""

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
    """Zero each element with `probability`, scale the others up; `rng` None: nothing is dropped.

    residual: what the rest is added to, the residual connection (Vaswani et al. 2017, section 5.4).
    """
    if rng is None or probability == 0.0:
        return x if residual is None else residual + x
    return _Dropout.apply(residual, x, rng.keep(x.detach(), probability))  # type: ignore[return-value]
