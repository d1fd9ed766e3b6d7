"""Attention masks, as values made from lengths and predicates, never from pad ids."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from .block_pattern import BlockPattern
from .layout import PackedLayout
from .typed import to_ints


@dataclass(frozen=True, eq=False)
class Mask:
    """Describe which keys a query may see within its sequence; all given conditions must hold.

    A key is at most `before` positions before its query and `after` behind it (None: any); the
    first tokens of a sequence are exempt if `has_globals` (`PackedLayout.global_counts`).
    With `blocks`, a query sees the blocks of keys that the pattern gives its own block.
    With segments of packed queries (N,) and keys (M,), only equal ones see each other.
    """

    before: int | None = None
    after: int | None = None
    blocks: BlockPattern | None = None
    has_globals: bool = False
    segments: tuple[Tensor, Tensor] | None = None

    def pairs(
        self, queries: Tensor, keys: Tensor, global_counts: Tensor | None = None
    ) -> Tensor | None:
        """Return which pairs of positions, (B, T) and (B, S), may attend: (B, T, S) or None.

        Only `before`, `after` and the globals (B,) count here.
        """
        query, key, found = queries[:, :, None], keys[:, None, :], None
        if self.after is not None:
            found = key <= query + self.after
        if self.before is not None:
            near = key >= query - self.before
            found = near if found is None else found & near
        if self.has_globals and found is not None and global_counts is not None:
            found = found | (key < global_counts[:, None, None])
        return found


FULL = Mask()
CAUSAL = Mask(after=0)  # query t sees key s when s <= t (Vaswani et al. 2017, section 3.2.3)


@functools.cache
def masked(
    is_causal: bool,
    window: int | None = None,
    blocks: BlockPattern | None = None,
    has_globals: bool = False,
) -> Mask:
    """Return the mask of a block, the same object for the same arguments.

    A causal query sees `window` tokens, itself and those before; otherwise half on either side.
    """
    if blocks is not None:
        return Mask(blocks=blocks)
    if window is None:
        return CAUSAL if is_causal else FULL
    if is_causal:
        return Mask(window - 1, 0)
    return Mask(window // 2, window // 2, has_globals=has_globals)


def allowed(queries: PackedLayout, keys: PackedLayout, mask: Mask) -> Tensor | None:
    """Return (B or 1, H or 1, T or 1, S) bool of the pairs that may attend, or None when all may.

    Every pair is held, which long sequences cannot afford: `ops.tiles` computes sparse masks.
    """
    found = None if keys.dense else keys.real[:, None, None, :]
    pairs = None
    if mask is CAUSAL:
        pairs = keys.grid[:, None, :] <= queries.grid[:, :, None]
    elif mask is not FULL:
        pairs = mask.pairs(queries.grid, keys.grid, keys.global_counts)
    if pairs is not None:
        found = pairs[:, None] if found is None else found & pairs[:, None]
    if mask.blocks is not None:
        shown = _block_counts(queries, keys, mask.blocks) > 0
        found = shown if found is None else found & shown
    if mask.segments is not None:
        own, others = queries.pad(mask.segments[0]), keys.pad(mask.segments[1])
        same = (own[:, :, None] == others[:, None, :])[:, None]
        found = same if found is None else found & same
    return found


def shifted(
    bias: Tensor | None,
    queries: PackedLayout,
    keys: PackedLayout,
    mask: Mask,
    precision: torch.dtype,
) -> Tensor | None:
    """Add the logarithm of how often each key counts to a bias of scores (B or 1, H, T, S)."""
    bias = bias if bias is None else bias.to(precision)
    if mask.blocks is None:
        return bias
    shift = _block_counts(queries, keys, mask.blocks).clamp_min(1).to(precision).log()
    return shift if bias is None else bias + shift


def _block_counts(queries: PackedLayout, keys: PackedLayout, pattern: BlockPattern) -> Tensor:
    """Return how often each key counts for each query (B, H or 1, T, S), on the keys' device."""
    grid = queries.grid.expand(queries.count, -1)
    found = torch.ones(keys.count, pattern.heads, queries.longest, keys.longest, dtype=torch.long)
    for row, length in enumerate(to_ints(keys.lengths)):
        if blocks := pattern.count(length):
            query, key = (
                (one // pattern.size).clamp_max(blocks - 1)
                for one in (grid[row].cpu(), torch.arange(keys.longest))
            )
            found[row] = pattern.counts(blocks)[:, query][:, :, key]
    return found.to(keys.lengths.device)
