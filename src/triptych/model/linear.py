"""Linear maps and norms whose parameters stay in fp32 while the activations decide the precision of
the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .ops.onednn import ACTIVATIONS as PACKED_ACTIVATIONS
from .ops.onednn import PrepackedLinear


def _gelu_tanh(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": functional.silu,
}


class Linear(nn.Module):
    """y = x W^T + b with W (outputs, inputs); computed in x's dtype. What follows it at once is one
    pass with packed weights.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.prepacked: PrepackedLinear | None = None

    def prepack(self) -> None:
        self.prepacked = PrepackedLinear(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        if self.prepacked is not None and self.prepacked.fits(x):
            return self.prepacked(x)
        return functional.linear(
            x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype)
        )

    def activated(self, x: Tensor, activation: str) -> Tensor:
        """activation(y): one of ACTIVATIONS."""
        if self.prepacked is not None and self.prepacked.fits(x):
            return self.prepacked(x, *PACKED_ACTIVATIONS[activation])
        return ACTIVATIONS[activation](self(x))

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """residual + y."""
        if self.prepacked is not None and self.prepacked.fits(x) and residual.dtype == x.dtype:
            return self.prepacked.added(x, residual)
        return residual + self(x)


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016) over the last axis; statistics in fp32."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if weight.dtype != x.dtype:
            weight, bias = weight.to(x.dtype), bias.to(x.dtype)
        return functional.layer_norm(x, x.shape[-1:], weight, bias, self.epsilon)


class RMSNorm(nn.Module):
    """Root mean square normalisation (Zhang & Sennrich 2019); statistics in fp32."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (
            wide
            * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
            * self.weight.float()
        ).to(x.dtype)


def norm(config: StackConfig) -> nn.Module:
    return (LayerNorm if config.norm == "layer" else RMSNorm)(config.width, config.norm_epsilon)
