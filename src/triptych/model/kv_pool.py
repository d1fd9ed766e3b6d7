"""Keys and values of a decoder's layers, of which layers with a window keep only that."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

# Bytes of a vector register; softmax over rows that are not multiples of it is far slower.
LANE_BYTES = 64
# Tokens behind a window that are kept, so that drafts can be taken back.
REWIND = 64
# Slots that are forgotten at once, because forgetting copies the rest.
FORGOTTEN = 64


@dataclass(slots=True)
class KVPool:
    """Hold keys and values (R, K, C, E) of R sources for every layer, in the order of writing.

    `used` slots are filled. A layer with mask number m holds slots from `first[m]` on; those before
    are outside of its window. States may share a pool; the first to write keeps it, and any other
    copies it first.
    """

    keys: list[Tensor]
    values: list[Tensor]
    numbers: tuple[int, ...]  # number of each layer's mask
    first: tuple[int, ...]  # slots that are forgotten under each mask
    used: int = 0

    @property
    def slots(self) -> int:
        """Return the number of slots, with those that are forgotten."""
        return self.keys[0].shape[2] + self.first[self.numbers[0]]

    def select(self, sources: Tensor, used: int) -> KVPool:
        """Return the first `used` slots of `sources`."""
        keys, values = (
            [x.index_select(0, sources) for x in each] for each in (self.keys, self.values)
        )
        return dataclasses.replace(self, keys=keys, values=values, used=used)

    def widen(self, slots: int) -> None:
        """Make room for `slots` slots."""
        self.keys, self.values = self._placed(self.first, 0, slots)

    def forget(self, number: int, first: int) -> KVPool:
        """Return the pool without the slots before `first` under one mask."""
        starts = tuple(first if one == number else old for one, old in enumerate(self.first))
        keys, values = self._placed(starts, 0, self.slots)
        return dataclasses.replace(self, keys=keys, values=values, first=starts)

    def gather(self, order: Tensor, seen: Tensor, slots: int) -> KVPool:
        """Return the slots `order` (R, U) of each source first, then room up to `slots`.

        seen (R, C) tells which slots a source sees; those in the order come last in it.
        """
        used = order.shape[1]
        first = tuple(
            used - int(seen[:, start:].sum(1).max()) if used else 0 for start in self.first
        )
        keys, values = (
            [
                place(
                    x.gather(
                        2,
                        (order[:, first[number] :] - self.first[number])
                        .clamp_min(0)[:, None, :, None]
                        .expand(-1, x.shape[1], -1, x.shape[3]),
                    ),
                    0,
                    slots - first[number],
                )
                for x, number in zip(each, self.numbers, strict=True)
            ]
            for each in (self.keys, self.values)
        )
        return KVPool(keys, values, self.numbers, first, used)

    def join(self, other: KVPool, shifts: tuple[int, int], slots: int, used: int) -> KVPool:
        """Return the sources of both pools, the slots of each moved by its shift."""
        first = tuple(
            min(one + shifts[0], two + shifts[1])
            for one, two in zip(self.first, other.first, strict=True)
        )
        own, others = self._placed(first, shifts[0], slots), other._placed(first, shifts[1], slots)
        keys, values = (
            [torch.cat(pair) for pair in zip(one, two, strict=True)]
            for one, two in zip(own, others, strict=True)
        )
        return KVPool(keys, values, self.numbers, first, used)

    def _placed(
        self, first: tuple[int, ...], shift: int, slots: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return keys and values from the slots `first` up to `slots`, moved by `shift`."""
        places = [
            (self.first[one] + shift - first[one], slots - first[one]) for one in self.numbers
        ]
        keys, values = (
            [place(x, *where) for x, where in zip(each, places, strict=True)]
            for each in (self.keys, self.values)
        )
        return keys, values


@dataclass(slots=True)
class Cells:
    """Hold the cells of recurrent units, each in the slot of its token, as values without keys.

    So rows are reordered, joined and taken back as with attention. `slots` (B,) are those of
    each row's last token, below 0 before the first; None: no row has one. New tokens are written
    from slot `used` on, and each source has `beams` rows.
    """

    pool: KVPool
    slots: Tensor | None
    rows: int
    beams: int
    used: int

    def newest(self, layer: int) -> Tensor:
        """Return the cell (B, D) fp32 after each row's last token; zeros before the first."""
        values = self.pool.values[layer]  # (R, 1, C, D)
        if self.slots is None:
            return values.new_zeros(self.rows, values.shape[3])
        slots = self.slots - self.pool.first[self.pool.numbers[layer]]
        rows = torch.arange(self.rows, device=values.device)
        found = values[rows // self.beams, 0, slots.clamp_min(0)]
        return found.masked_fill((self.slots < 0)[:, None], 0.0)

    def append(self, layer: int, cells: Tensor) -> None:
        """Write the cells (B, T, D) of new tokens."""
        values = self.pool.values[layer]
        start = self.used - self.pool.first[self.pool.numbers[layer]]
        new = self.pool.used - self.used
        values[:, 0, start : start + new] = cells.reshape(values.shape[0], new, -1)


def place(x: Tensor, start: int, room: int) -> Tensor:
    """Move (B, K, C, E) to slot `start` (below 0: cut) of (B, K, room, E).

    Other slots are zeros, which give no NaN where masked.
    """
    if start < 0:
        x, start = x[:, :, -start:], 0
    x = x[:, :, : room - start]
    if x.shape[2] == room:
        return x.contiguous()
    shape = (x.shape[0], x.shape[1])
    parts = [x, x.new_zeros(*shape, room - start - x.shape[2], x.shape[3])]
    return torch.cat([x.new_zeros(*shape, start, x.shape[3]), *parts] if start else parts, 2)


def whole_lanes(count: int, dtype: torch.dtype) -> int:
    """Round `count` up to whole vector registers of `dtype`."""
    lanes = LANE_BYTES // dtype.itemsize
    return -(-count // lanes) * lanes


def first_needed(hidden: Tensor, lengths: Tensor, before: int) -> int:
    """Return the first slot that a row still sees, or may after taking back drafts.

    hidden (B, C) is zero at the slots of each row; its next token is at `lengths` (B,).
    """
    seen = hidden == 0
    order = seen.cumsum(1)  # the position of each seen slot, from 1
    needed = (seen & (order > (lengths - before - REWIND)[:, None])).any(0).nonzero()
    return int(needed[0]) if needed.numel() else 0
