"""Norms, with parameters in fp32 and statistics in fp32 whatever the precision of activations, and
the slots for them around every part of a block.

Every part is a residual branch with a norm slot before and one after; slots default to identity, so
post-norm (2017), pre-norm (Xiong et al. 2020) and both together share one straight forward.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .ops.dropout import DropoutRng, dropout


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
    """Make the norm that a stack's dials ask for."""
    return (LayerNorm if config.norm == "layer" else RMSNorm)(config.width, config.norm_epsilon)


class ResidualBranch(nn.Module):
    """The slots around one part: after(x + dropout(part(before(x))))."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        pre = config.norm_placement == "pre"
        self.before = norm(config) if pre else nn.Identity()
        self.after = nn.Identity() if pre else norm(config)
        self.dropout = config.dropout

    def forward(self, residual: Tensor, y: Tensor, rng: DropoutRng | None) -> Tensor:
        """Join a branch to its residual, both (N, D): after(residual + dropout(y)). Without `rng`
        the part has added the residual already, in one pass with its last product.
        """
        return self.after(y if rng is None else dropout(y, self.dropout, rng, residual))
