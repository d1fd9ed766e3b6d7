"""Attention to contents and to relative positions apart, as in DeBERTa v2 and v3."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import StackConfig
from .layout import PackedLayout
from .normalization import norm


class Relative(NamedTuple):
    """Hold the vectors of relative positions (P, D), and which one each pair has (B or 1, T, S)."""

    vectors: Tensor
    places: Tensor


class RelativePositions(nn.Module):
    """Learn a vector for each bucket of distances on either side (He et al. 2021, section 3.2).

    All blocks share the vectors, which have a norm of their own; each block projects them with its
    own query and key. With `buckets`, half of them hold one distance each and the others widen up
    to `farthest` (DeBERTa v2 and v3); without, each distance up to `farthest` has its vector.
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        dials = config.disentangled
        assert dials is not None, "positions are disentangled"
        self.buckets, self.farthest = dials.get("buckets", 0), dials["farthest"]
        self.side = self.buckets or self.farthest  # vectors on either side
        self.weight = nn.Parameter(torch.empty(2 * self.side, config.width))
        self.norm = norm(config)

    def forward(self, queries: Tensor, keys: Tensor) -> Relative:
        """Map positions of queries (B, T) and keys (B, S) -> vectors, and those of the pairs."""
        distances = queries[:, :, None] - keys[:, None, :]
        if self.buckets:
            distances = log_buckets(distances, self.buckets, self.farthest)
        places = (distances + self.side).clamp(0, 2 * self.side - 1)
        return Relative(self.norm(self.weight), places)


def log_buckets(distances: Tensor, buckets: int, farthest: int) -> Tensor:
    """Map distances, query minus key, to signed buckets: exact ones, then logarithmic ones."""
    exact = buckets // 2
    far = distances.abs()
    widening = torch.tensor((farthest - 1) / exact).log().to(far.device)
    wide = (far.clamp_min(exact - 1).float() / exact).log() / widening * (exact - 1)
    bucket = wide.ceil().long() + exact
    return torch.where(far <= exact, distances, bucket * distances.sign())


def disentangled_bias(
    content: tuple[Tensor, Tensor],
    position: tuple[Tensor, Tensor],
    layouts: tuple[PackedLayout, PackedLayout],
    places: Tensor,
    scale: float,
) -> Tensor:
    """Compute content-to-position and position-to-content scores (B, H, T, S).

    Args:
        content: Queries (N, H, E) and keys (M, H, E) of packed tokens.
        position: Queries and keys (P, H, E) of relative positions.
        layouts: Layouts of the N and M rows.
        places: Which of the P positions each pair has (B or 1, T, S).
        scale: Scale of the scores.
    """
    heads, count = content[0].shape[1], layouts[0].count
    # (B, T, H, P) and (B, S, H, P)
    of_queries, of_keys = (
        layout.pad(torch.einsum("nhe,phe->nhp", own, other)).transpose(1, 2)
        for layout, own, other in zip(layouts, content, reversed(position), strict=True)
    )
    index = places[:, None].expand(count, heads, -1, -1)
    found = of_queries.gather(3, index) + of_keys.gather(3, index.transpose(2, 3)).transpose(2, 3)
    return found * scale
