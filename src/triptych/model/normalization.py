"""Norms with fp32 parameters and statistics, and their places around each part of a block.

Each part is a residual branch with a norm before it, one of its result and one of the sum, each of
which may be missing. So post-norm (2017) and pre-norm (Xiong et al. 2020) share one forward.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .ops.dropout import DropoutRng, dropout


class LayerNorm(nn.Module):
    """Normalise the last axis (Ba et al. 2016), with statistics in fp32."""

    def __init__(self, width: int, epsilon: float, has_bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if has_bias else None
        self.width, self.epsilon = width, epsilon

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if weight.dtype != x.dtype:
            weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        return functional.layer_norm(x, (self.width,), weight, bias, self.epsilon)


class RMSNorm(nn.Module):
    """Divide by the root mean square (Zhang & Sennrich 2019), computed in fp32.

    The result is multiplied by weight + offset.
    """

    def __init__(self, width: int, epsilon: float, offset: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), 1.0 - offset))
        self.width, self.epsilon, self.offset = width, epsilon, offset

    def forward(self, x: Tensor) -> Tensor:
        wide, weight = x.float(), self.weight.float()
        if self.offset:
            weight = weight + self.offset
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return (wide * scale * weight).to(x.dtype)


Norm = LayerNorm | RMSNorm


def norm(config: StackConfig, width: int | None = None) -> Norm:
    """Build the norm that a configuration asks for, of the states or of another width."""
    width = width or config.width
    if config.norm == "layer":
        return LayerNorm(width, config.norm_epsilon, config.norm_bias)
    return RMSNorm(width, config.norm_epsilon, config.norm_offset)


def head_norm(config: StackConfig, heads: int) -> Norm | None:
    """Build the norm of the queries or the keys, if there is one."""
    if config.query_key_norm is None:
        return None
    return norm(config, config.size_of_head * (heads if config.query_key_norm == "whole" else 1))


def normed_heads(norm: Norm | None, x: Tensor) -> Tensor:
    """Normalise heads (N, heads, E), each for itself or all at once, by the width of the norm."""
    return x if norm is None else norm(x.reshape(x.shape[0], -1, norm.width)).view(x.shape)


class ResidualBranch(nn.Module):
    """Wrap one part of a block: after(x + dropout(branch(part(before(x)))))."""

    def __init__(self, config: StackConfig, has_before: bool = True) -> None:
        super().__init__()
        place = config.norm_placement
        has_before = has_before and place in ("pre", "both")
        self.before = norm(config) if has_before else nn.Identity()
        self.branch = norm(config) if place in ("branch", "both") else None
        self.after = norm(config) if place == "post" else nn.Identity()
        self.dropout = config.dropout

    def residual(self, x: Tensor, rng: DropoutRng | None) -> Tensor | None:
        """Return the residual if the part is to add it, in one pass with its last product."""
        return x if rng is None and self.branch is None else None

    def forward(self, x: Tensor, y: Tensor, rng: DropoutRng | None) -> Tensor:
        """Return after(x + dropout(branch(y))) for x and y (N, D), or after(y) if y has x in it."""
        if self.branch is not None:
            return self.after(dropout(self.branch(y), self.dropout, rng, x))
        return self.after(y if rng is None else dropout(y, self.dropout, rng, x))
