"""Norms with fp32 parameters and statistics, and their places around each part of a block.

Each part is a residual branch with a norm before and one after, either of which may be the
identity. So post-norm (2017) and pre-norm (Xiong et al. 2020) share one forward.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .ops.dropout import DropoutRng, dropout


class LayerNorm(nn.Module):
    """Normalise the last axis (Ba et al. 2016), with statistics in fp32."""

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
    """Divide by the root mean square (Zhang & Sennrich 2019), computed in fp32."""

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
    """Build the norm that a configuration asks for."""
    return (LayerNorm if config.norm == "layer" else RMSNorm)(config.width, config.norm_epsilon)


class ResidualBranch(nn.Module):
    """Wrap one part of a block: after(x + dropout(part(before(x))))."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        pre = config.norm_placement == "pre"
        self.before = norm(config) if pre else nn.Identity()
        self.after = nn.Identity() if pre else norm(config)
        self.dropout = config.dropout

    def forward(self, residual: Tensor, y: Tensor, rng: DropoutRng | None) -> Tensor:
        """Return after(residual + dropout(y)) for residual and y (N, D).

        Without `rng` the part has already added the residual, in one pass with its last product.
        """
        return self.after(y if rng is None else dropout(y, self.dropout, rng, residual))
