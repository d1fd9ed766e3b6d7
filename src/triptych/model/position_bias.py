"""Relative positions as a bias of attention scores: learned by bucket, or linear in distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .dials import RELATIVE_BUCKETS as BUCKETS
from .dials import RELATIVE_FARTHEST as FARTHEST


class RelativeBuckets(nn.Module):
    """Learn a bias for each head and bucket of distances (Raffel et al. 2020, section 2.1).

    Half of the buckets hold one distance each; the others widen up to FARTHEST, and the last holds
    all larger distances. Without a causal mask, half of each kind are for keys after the query.
    """

    def __init__(self, heads: int, is_causal: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(BUCKETS, heads))
        self.is_causal = is_causal

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Map positions of queries (B, T) and keys (B, S) -> the bias (B, H, T, S)."""
        buckets = self.buckets(keys[:, None, :] - queries[:, :, None])
        return functional.embedding(buckets, self.weight).permute(0, 3, 1, 2)

    def buckets(self, distances: Tensor) -> Tensor:
        """Map distances, key minus query, to buckets of the same shape."""
        count, first = BUCKETS, torch.zeros_like(distances)
        if self.is_causal:
            far = (-distances).clamp_min(0)
        else:
            count = count // 2
            first, far = (distances > 0).long() * count, distances.abs()
        exact = count // 2
        scale = (count - exact) / math.log(FARTHEST / exact)
        wide = exact + ((far.float() / exact).log() * scale).long().clamp(0, count - exact - 1)
        return first + torch.where(far < exact, far, wide)


class Alibi(nn.Module):
    """Compute minus slope times distance, a slope for each head (Press et al. 2022, section 3)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.slopes = torch.tensor(slopes(heads), device="cpu")  # not on the meta device

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Map positions of queries (B, T) and keys (B, S) -> the bias (B, H, T, S)."""
        if self.slopes.device != keys.device:
            self.slopes = self.slopes.to(keys.device)
        distances = (keys[:, None, :] - queries[:, :, None]).abs().float()
        return distances[:, None] * -self.slopes[:, None, None]


PositionBias = RelativeBuckets | Alibi


def slopes(heads: int) -> list[float]:
    """Return 2^(-8/n), 2^(-16/n), ... for n heads.

    If n is not a power of 2, take the slopes of the power below, and every other one of the power
    above.
    """
    power = 2 ** int(math.log2(heads))
    found = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    return found if power == heads else found + slopes(2 * power)[::2][: heads - power]


def position_bias(config: StackConfig, is_causal: bool) -> PositionBias | None:
    """Build the bias of a stack's self-attention, or None if its positions are of another kind."""
    if config.positions == "relative" or config.relative_bias:
        return RelativeBuckets(config.heads, is_causal)
    return Alibi(config.heads) if config.positions == "alibi" else None
