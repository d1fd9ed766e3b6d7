"""Block-sparse self-attention without a gradient: each head in three products, without padding.

`ops/tiles.py` cuts the same pattern for training. Here all blocks of a head that see the same
number of keys are computed together, from rows that are copied once.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from ..block_pattern import BlockPattern
from ..layout import PackedLayout
from ..typed import to_ints


def block_attention(
    query: Tensor, heads: int, layout: PackedLayout, pattern: BlockPattern, scale: float
) -> Tensor:
    """Attend by a pattern (Zaheer et al. 2020, section 2): (N, H + 2K, E) -> (N, H, E)."""
    out = torch.empty_like(query[:, :heads])
    start = 0
    for length in to_ints(layout.lengths):
        rows = query[start : start + length].transpose(0, 1)  # (H + 2K, S, E)
        own = out[start : start + length].transpose(0, 1)  # (H, S, E)
        _attend(rows, own, pattern, scale)
        start += length
    return out


def _attend(rows: Tensor, out: Tensor, pattern: BlockPattern, scale: float) -> None:
    """Attend within one sequence (H + 2K, S, E), into `out` (H, S, E)."""
    heads, length = out.shape[:2]
    key_heads, blocks = (rows.shape[0] - heads) // 2, pattern.count(length)
    for key_head in range(key_heads):
        keys = rows[heads + key_head].contiguous()  # (S, E)
        values = rows[heads + key_heads + key_head].contiguous()
        groups = heads // key_heads
        for head in range(key_head * groups, (key_head + 1) * groups):
            own = rows[head] * scale  # (S, E)
            if not blocks:
                out[head] = (own @ keys.t()).softmax(-1) @ values
                continue
            first, last = pattern.size, (blocks - 1) * pattern.size
            for global_ in (slice(first), slice(last, None)):
                out[head, global_] = (own[global_] @ keys.t()).softmax(-1) @ values
            out[head, first:last] = _inner(own, keys, values, pattern, head)


def _inner(own: Tensor, keys: Tensor, values: Tensor, pattern: BlockPattern, head: int) -> Tensor:
    """Attend from all blocks but the first and the last of one head (S, E) -> (A * size, E)."""
    size, (length, width) = pattern.size, own.shape
    blocks = pattern.count(length)
    inner, last = blocks - 2, (blocks - 1) * size
    seen = _seen(pattern, blocks, head if pattern.draws else 0).to(own.device)  # (A, n)
    queries = own[size:last]  # (A * size, E)

    def near(x: Tensor) -> Tensor:
        """Return the rows of x (S, E) that each block sees but the global ones (A, n * size, E)."""
        each = x[:last].view(blocks - 1, size * width)
        return each.index_select(0, seen.reshape(-1)).view(inner, -1, width)

    def everywhere(x: Tensor) -> Tensor:
        """Return the rows of x (S, E) of the first block and of the last, which may be short."""
        return torch.cat((x[:size], x[last:]))

    first = everywhere(keys)  # (G, E)
    scores = own.new_empty(inner, size, len(first) + seen.shape[1] * size)
    scores[:, :, : len(first)] = (queries @ first.t()).view(inner, size, -1)
    scores[:, :, len(first) :] = queries.view(inner, size, width) @ near(keys).transpose(1, 2)
    if not pattern.draws and pattern.random:
        scores[:, :, :size].add_(math.log(1 + pattern.random))
    # The first and the last block are neighbours of two blocks, and count only once.
    scores[0, :, len(first) : len(first) + size] = float("-inf")
    scores[-1, :, len(first) + 2 * size : len(first) + 3 * size] = float("-inf")
    weights = scores.softmax(-1)
    mixed = weights[:, :, : len(first)].reshape(-1, len(first)) @ everywhere(values)
    far = mixed.view(inner, size, width)
    return torch.baddbmm(far, weights[:, :, len(first) :], near(values)).view(-1, width)


@functools.lru_cache(maxsize=256)
def _seen(pattern: BlockPattern, blocks: int, head: int) -> Tensor:
    """Return the neighbours of each inner block, then its drawn ones (A, 3 or 3 + random).

    The last block, which may be short, is replaced by another; it is global anyway.
    """
    number = torch.arange(1, blocks - 1)
    found = (number[:, None] + torch.tensor([-1, 0, 1])).clamp_max(blocks - 2)
    if not pattern.draws:
        return found
    drawn = torch.stack([pattern.drawn(block)[head] for block in range(1, blocks - 1)])
    return torch.cat((found, drawn), 1)
