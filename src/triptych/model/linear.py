"""Linear layers with fp32 parameters, computed in the precision of their input.

No other module reads a `weight`: products go through `Linear.forward` or `join`, and kernels that
need the matrix itself call `matrix`. So a layer of another precision is another `Linear`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from .ops.onednn import ACTIVATIONS as PREPACKED
from .ops.onednn import PrepackedLinear, joined


def _gelu_tanh(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


Product = Callable[[Tensor], Tensor]  # (N, inputs) -> (N, outputs)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": functional.silu,
}


class Linear(nn.Module):
    """Compute y = x W^T + b with W (outputs, inputs), in x's dtype.

    With prepacked weights, an activation or a residual is computed in the same pass.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.inputs, self.outputs = inputs, outputs
        self.prepacked: PrepackedLinear | None = None
        self.is_spare = False  # another prepacked product holds the same weight

    def matrix(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return W (outputs, inputs), in `dtype` if that is given."""
        return self.weight if dtype is None else self.weight.to(dtype)

    def prepack(self) -> None:
        """Prepack the weight for decoding on a CPU."""
        self.prepacked = PrepackedLinear([self.weight], [self.bias], self.is_spare)

    def forward(
        self, x: Tensor, activation: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        """Map x (..., inputs) -> activation(y) or residual + y (..., outputs).

        The activation is a key of ACTIVATIONS.
        """
        prepacked = self.prepacked
        if prepacked is not None and not torch.is_grad_enabled() and prepacked.fits(x):
            if residual is not None and residual.dtype == x.dtype:
                return prepacked.added(x, residual)
            y = prepacked(x) if activation is None else prepacked(x, *PREPACKED[activation])
        else:
            bias = None if self.bias is None else self.bias.to(x.dtype)
            y = functional.linear(x, self.weight.to(x.dtype), bias)
            y = y if activation is None else ACTIVATIONS[activation](y)
        return y if residual is None else residual + y


def join(parts: Sequence[Linear], dtype: torch.dtype) -> Product:
    """Return one product for several layers of the same input, with concatenated outputs."""
    if not _is_joinable(parts):
        return lambda x: torch.cat([part(x) for part in parts], -1)
    weight, bias = joined([(part.weight, part.bias) for part in parts])
    bias = None if bias is None else bias.to(dtype)
    return partial(functional.linear, weight=weight.to(dtype), bias=bias)


def prepack_joined(parts: Sequence[Linear]) -> PrepackedLinear | None:
    """Prepack the joined product of several layers; None if it is not a single product."""
    if not _is_joinable(parts):
        return None
    return PrepackedLinear([part.weight for part in parts], [part.bias for part in parts])


def _is_joinable(parts: Sequence[Linear]) -> bool:
    return all(type(part).forward is Linear.forward for part in parts)
