"""Cut attention into tiles: some queries and the only keys that a mask lets them see."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor

from ..block_pattern import BlockPattern
from ..layout import PackedLayout
from ..masks import FULL, Mask
from ..typed import to_int_rows, to_ints

QUERIES = 128  # queries of a sequence that are computed together
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tile:
    """Name queries `start` to `end` of some sequences, and the spans of keys that they see.

    `drawn` (H, n) are the places of further keys of each head. The keys of the first `repeats[0]`
    places count `repeats[1]` times.
    """

    sequences: Span
    start: int
    end: int
    spans: tuple[Span, ...]
    drawn: Tensor | None = None
    repeats: tuple[int, int] = (0, 1)
    is_masked: bool = True  # False: all queries see all of these keys but padding

    def rows(self, heads: int = 1) -> slice:
        """Return the slice of (B * heads, ...) that holds these sequences."""
        return slice(self.sequences[0] * heads, self.sequences[1] * heads)

    def take(self, x: Tensor) -> Tensor:
        """Select the keys of x (b, H, S, ...) -> (b, H, s, ...)."""
        parts = [x[:, :, first:last] for first, last in self.spans]
        if self.drawn is not None:
            parts.append(torch.gather(x, 2, self._places(x)))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 2)

    def give(self, total: Tensor, x: Tensor) -> None:
        """Add x (b, H, s, ...) to the keys of `total` (b, H, S, ...) that `take` selects."""
        done = 0
        for first, last in self.spans:
            total[:, :, first:last] += x[:, :, done : done + last - first]
            done += last - first
        if self.drawn is not None:
            total.scatter_add_(2, self._places(total), x[:, :, done:])

    def scores(self, x: Tensor) -> Tensor:
        """Select the queries and keys of x (B or 1, H, T, S) -> (b or 1, H, t, s)."""
        return self.take(self._each(x)[:, :, self.start : self.end].transpose(2, 3)).transpose(2, 3)

    def allowed(self, queries: PackedLayout, keys: PackedLayout, mask: Mask) -> Tensor | None:
        """Return (b or 1, 1, t or 1, s) bool of the pairs that may attend, or None when all may.

        It is the part of `masks.allowed` that this tile covers.
        """
        found = None
        if not keys.dense:
            found = self._columns(keys.real[self.rows()])[:, None, None]
        if self.is_masked and mask is not FULL:
            own = self._each(queries.grid)[:, self.start : self.end]
            counts = None if keys.global_counts is None else keys.global_counts[self.rows()]
            pairs = mask.pairs(own, self._columns(self._each(keys.grid)), counts)
            if pairs is not None:
                found = pairs[:, None] if found is None else found & pairs[:, None]
        if mask.segments is not None:
            own, others = (
                rows.pad(one)[self.rows()]
                for rows, one in zip((queries, keys), mask.segments, strict=True)
            )
            own, others = own[:, self.start : self.end], self._columns(others)
            same = (own[:, :, None] == others[:, None, :])[:, None]
            found = same if found is None else found & same
        return found

    def _columns(self, x: Tensor) -> Tensor:
        """Select the keys of x (b, S) -> (b, s); drawn ones, which are never padding, give 1."""
        parts = [x[:, first:last] for first, last in self.spans]
        if self.drawn is not None:
            parts.append(x.new_ones(x.shape[0], self.drawn.shape[1]))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def _each(self, x: Tensor) -> Tensor:
        """Select these sequences of x (B or 1, ...)."""
        return x if x.shape[0] == 1 else x[self.rows()]

    def _places(self, x: Tensor) -> Tensor:
        assert self.drawn is not None, "further keys are drawn"
        places = self.drawn.view(1, *self.drawn.shape, *(1,) * (x.ndim - 3))
        return places.to(x.device).expand(x.shape[0], -1, -1, *x.shape[3:])


def tiles(queries: PackedLayout, keys: PackedLayout, mask: Mask) -> list[Tile]:
    """Cut attention with a mask into tiles, so that the cost of sparse masks grows linearly."""
    everyone, seen = (0, queries.count), keys.longest
    if mask.blocks is not None:
        return _of_blocks(queries, keys, mask.blocks)
    is_same, queried = queries is keys, queries.longest
    is_short = queried <= QUERIES if is_same else mask.before is None or not queried
    if is_short or (mask.before is None and mask.after != 0):
        return [Tile(everyone, 0, queried, ((0, seen),))]
    globals_ = keys.global_counts if mask.has_globals else None
    front = 0 if globals_ is None or not keys.count else int(globals_.max())
    found: list[Tile] = []
    for start, end in pairwise([*range(0, queried, QUERIES), queried]):
        first, last = (start, end) if is_same else _reach(queries, start, end)
        first = 0 if mask.before is None else max(0, first - mask.before)
        last = seen if mask.after is None else min(seen, last + mask.after)
        found.append(Tile(everyone, start, end, _merged([(0, front), (first, last)])))
    return found


def _reach(queries: PackedLayout, start: int, end: int) -> Span:
    """Return the first position of queries `start` to `end`, and the one after the last."""
    grid, real = queries.grid[:, start:end], queries.real[:, start:end]
    first = int(grid.masked_fill(~real, int(grid.max())).min())
    return first, int(grid.masked_fill(~real, 0).max()) + 1


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """Join spans, in rising order of their beginnings, that touch or overlap."""
    found: list[Span] = []
    for first, last in spans:
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        elif last > first:
            found.append((first, last))
    return tuple(found) or ((0, 0),)


def _of_blocks(queries: PackedLayout, keys: PackedLayout, pattern: BlockPattern) -> list[Tile]:
    """Cut by the pattern of each sequence; neighbours of equally many blocks share their tiles."""
    lengths, queried = to_ints(keys.lengths), to_ints(queries.lengths)
    is_same = queries is keys
    grid = [] if is_same else to_int_rows(queries.grid.expand(queries.count, -1))
    found: list[Tile] = []

    def kind(row: int) -> tuple[int, int]:
        return pattern.count(lengths[row]), 0 if is_same else row

    for (blocks, _), members in groupby(range(len(lengths)), kind):
        first, *others = members
        sequences = (first, max([first, *others]) + 1)
        length, most = max(lengths[slice(*sequences)]), max(queried[slice(*sequences)])
        if not most:
            continue
        if not blocks:
            found.append(Tile(sequences, 0, most, ((0, length),), is_masked=False))
            continue
        positions = list(range(most)) if is_same else grid[first][:most]
        place = 0
        for block, rows in groupby(positions, lambda position: position // pattern.size):
            start, place = place, place + len(list(rows))
            found.append(_of_block(pattern, block, blocks, (sequences, start, place), length))
    return found


def _of_block(
    pattern: BlockPattern, block: int, blocks: int, queries: tuple[Span, int, int], length: int
) -> Tile:
    """Return the tile of queries of one block, in sequences of at most `length` tokens."""
    if block in (0, blocks - 1):
        return Tile(*queries, ((0, length),), is_masked=False)
    size, last = pattern.size, blocks - 1
    numbers = [(0, 1), (block - 1, block + 2), (last, blocks)]
    spans = _merged([(first * size, min(end * size, length)) for first, end in numbers])
    if not pattern.draws:
        return Tile(*queries, spans, repeats=(size, 1 + pattern.random), is_masked=False)
    inside = torch.arange(size)
    drawn = (pattern.drawn(block)[:, :, None] * size + inside).flatten(1)
    return Tile(*queries, spans, drawn, is_masked=False)
