"""Linear maps and norms whose parameters stay in fp32 while the activations decide the precision of
the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .ops.onednn import ACTIVATIONS as PREPACKED
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

    def forward(
        self, x: Tensor, activation: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        """Map x (..., inputs) -> activation(y) or residual + y (..., outputs); activation: one of
        ACTIVATIONS.
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
