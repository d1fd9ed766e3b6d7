"""Attention masks, as values made from lengths and predicates, never from pad ids."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import Tensor

from .layout import PackedLayout


@dataclass(frozen=True, eq=False)
class Mask:
    """Describe which keys a query may see within its sequence; all given conditions must hold.

    A key is at most `before` positions before its query and `after` behind it (None: any).
    With blocks (A, B) bool, query t may see key s if blocks[t // block_size, s // block_size].
    With segments of packed queries (N,) and keys (M,), only equal ones see each other.
    """

    before: int | None = None
    after: int | None = None
    blocks: Tensor | None = None
    block_size: int = 1
    segments: tuple[Tensor, Tensor] | None = None

    def pairs(self, queries: Tensor, keys: Tensor) -> Tensor | None:
        """Return which pairs of positions, (B, T) and (B, S), may attend: (B, T, S) or None."""
        query, key, found = queries[:, :, None], keys[:, None, :], None
        if self.after is not None:
            found = key <= query + self.after
        if self.before is not None:
            near = key >= query - self.before
            found = near if found is None else found & near
        if self.blocks is not None:
            block = self.blocks.to(key.device)[query // self.block_size, key // self.block_size]
            found = block if found is None else found & block
        return found


FULL = Mask()
CAUSAL = Mask(after=0)  # query t sees key s when s <= t (Vaswani et al. 2017, section 3.2.3)


@functools.cache
def masked(is_causal: bool, window: int | None = None) -> Mask:
    """Return the mask of a block, the same object for the same arguments.

    A causal query sees `window` tokens, itself and those before; otherwise half on either side.
    """
    if window is None:
        return CAUSAL if is_causal else FULL
    return Mask(window - 1, 0) if is_causal else Mask(window // 2, window // 2)


def allowed(queries: PackedLayout, keys: PackedLayout, mask: Mask) -> Tensor | None:
    """Return (B or 1, 1, T or 1, S) bool of the pairs that may attend, or None when all may."""
    found = None if keys.dense else keys.real[:, None, None, :]
    pairs = None
    if mask is CAUSAL:
        pairs = keys.grid[:, None, :] <= queries.grid[:, :, None]
    elif mask is not FULL:
        pairs = mask.pairs(queries.grid, keys.grid)
    if pairs is not None:
        found = pairs[:, None] if found is None else found & pairs[:, None]
    if mask.segments is not None:
        own, others = queries.pad(mask.segments[0]), keys.pad(mask.segments[1])
        same = (own[:, :, None] == others[:, None, :])[:, None]
        found = same if found is None else found & same
    return found
