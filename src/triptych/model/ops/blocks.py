"""Block-sparse self-attention without a gradient, by torch's fused kernel and without padding.

`ops/tiles.py` cuts the same pattern for training. Here some neighbouring blocks at a time gather
the blocks of keys that they see, all heads together.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

from ..block_pattern import BlockPattern
from ..layout import PackedLayout
from ..typed import to_ints

TOGETHER = 8  # blocks of queries whose keys are gathered at a time, so that they stay in a cache


def block_attention(
    query: Tensor, heads: int, layout: PackedLayout, pattern: BlockPattern, scale: float
) -> Tensor:
    """Attend by a pattern (Zaheer et al. 2020, section 2): (N, H + 2K, E) -> (N, H, E)."""
    key_heads = (query.shape[1] - heads) // 2
    queries, keys, values = torch.split(query, [heads, key_heads, key_heads], 1)
    if key_heads < heads:
        keys, values = (x.repeat_interleave(heads // key_heads, 1) for x in (keys, values))
    out = torch.empty_like(queries, memory_format=torch.contiguous_format)
    start = 0
    for length in to_ints(layout.lengths):
        rows = slice(start, start + length)
        _attend(queries[rows], keys[rows], values[rows], out[rows], pattern, scale)
        start += length
    return out


def _attend(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, pattern: BlockPattern, scale: float
) -> None:
    """Attend within one sequence (S, H, E), into `out` (S, H, E)."""
    blocks, size = pattern.count(len(q)), pattern.size
    all_k, all_v = (x.transpose(0, 1)[None] for x in (k, v))  # (1, H, S, E)
    last = max(0, (blocks - 1) * size)
    for rows in (slice(0, size), slice(last, None)) if blocks else (slice(None),):
        own = q[rows].transpose(0, 1)[None]
        mixed = functional.scaled_dot_product_attention(own, all_k, all_v, scale=scale)
        out[rows] = mixed[0].transpose(0, 1)
    if not blocks:
        return
    seen, bias = _seen(pattern, blocks, len(q))
    seen, bias = seen.to(q.device), bias.to(q.device)
    k, v = (_whole(x, blocks, size) for x in (k, v))  # (A, size, H, E)
    for first in range(0, len(bias), TOGETHER):
        chosen = seen[:, first : first + TOGETHER]
        rows = slice((first + 1) * size, (first + 1 + chosen.shape[1]) * size)
        # (A, H, size, E)
        own, into = (x[rows].view(-1, size, *x.shape[1:]).transpose(1, 2) for x in (q, out))
        into.copy_(
            functional.scaled_dot_product_attention(
                own,
                _gather(k, chosen),
                _gather(v, chosen),
                bias[first : first + TOGETHER].expand(-1, -1, size, -1),
                scale=scale,
            )
        )


def _whole(x: Tensor, blocks: int, size: int) -> Tensor:
    """Cut (S, H, E) into blocks (A, size, H, E); the end of a short last block is zero."""
    spare = blocks * size - len(x)
    if spare:
        x = torch.cat((x, x.new_zeros(spare, *x.shape[1:])))
    return x.view(blocks, size, *x.shape[1:])


def _gather(x: Tensor, seen: Tensor) -> Tensor:
    """Take the blocks (H or 1, A, n) of x (blocks, size, H, E) -> (A, H, n * size, E)."""
    heads, inner, count = seen.shape
    if heads == 1:
        found = x.index_select(0, seen.reshape(-1))  # (A * n, size, H, E)
        return found.view(inner, count * x.shape[1], *x.shape[2:]).transpose(1, 2)
    head = torch.arange(heads, device=x.device)[:, None, None]
    found = x.permute(2, 0, 1, 3)[head, seen]  # (H, A, n, size, E)
    return found.flatten(2, 3).transpose(0, 1)


@functools.lru_cache(maxsize=64)
def _seen(pattern: BlockPattern, blocks: int, length: int) -> tuple[Tensor, Tensor]:
    """Return the blocks that each inner block sees (H or 1, A, n), and a bias of their scores.

    The bias (A, 1, 1, n * size) hides what is there twice and the end of a short last block, and
    counts the first block as often as the pattern says.
    """
    size, number = pattern.size, torch.arange(1, blocks - 1)
    near = number[:, None] + torch.tensor([-1, 0, 1])
    ends = torch.tensor([0, blocks - 1]).expand(len(number), -1)
    seen = torch.cat((ends, near), 1)[None]  # (1, A, 5)
    if pattern.draws:
        drawn = torch.stack([pattern.drawn(block) for block in range(1, blocks - 1)], 1)
        seen = torch.cat((seen.expand(len(drawn), -1, -1), drawn), 2)
    bias = torch.zeros(len(number), seen.shape[2], size)
    bias[0, 2] = bias[-1, 4] = -math.inf  # neighbours that are global blocks
    bias[:, 1].flatten(1)[:, size - (blocks * size - length) :] = -math.inf
    if not pattern.draws:
        bias[:, 0] = math.log(1 + pattern.random)
    return seen, bias.flatten(1)[:, None, None]
