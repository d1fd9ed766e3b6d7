"""What a decoder remembers between steps: its own keys and values, and the memory's, computed once for each source."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .masks import Rows

ROOM = 16  # cached positions are allocated this many at a time


@dataclass(slots=True)
class Memory:
    """What an encoder hands to a decoder: packed states (M, D) and the rows' layout."""

    states: Tensor
    rows: Rows

    @property
    def lengths(self) -> Tensor:
        """(B,) source lengths."""
        return self.rows.lengths


@dataclass(slots=True)
class CrossKeys:
    """Keys and values of R sources for every decoder layer: lists of (R, K, S, E); bias (R, 1, 1, 1, S) or None."""

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor
    bias: Tensor | None

    def select(self, sources: Tensor) -> CrossKeys:
        lengths = self.lengths[sources]
        longest = int(lengths.max()) if lengths.numel() else 0

        def keep(tensors: list[Tensor]) -> list[Tensor]:
            return [x.index_select(0, sources)[:, :, :longest].contiguous() for x in tensors]

        bias = None if self.bias is None else self.bias.index_select(0, sources)[..., :longest]
        return CrossKeys(keep(self.keys), keep(self.values), lengths, bias)


@dataclass(slots=True)
class State:
    """A decoder's state of B rows. `step` of the model appends to it in place and hands it back.

    keys, values: a list over layers of (B, K, C, E), of which the first lengths[b] positions are filled. Row b reads source
    sources[b] of `cross`; `beams` consecutive rows share each source (0: they stand in no such order).
    """

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor
    filled: int  # the longest row
    uniform: bool  # all rows have `filled` positions
    cross: CrossKeys | None
    sources: Tensor
    beams: int

    def select(self, rows: Tensor) -> State:
        """The state of `rows` (int64), in that order; rows may repeat or be left out."""
        lengths = self.lengths.index_select(0, rows)
        sources = self.sources.index_select(0, rows)
        cross, sources, beams = regroup(self.cross, sources)
        keys, values = ([x.index_select(0, rows) for x in part] for part in (self.keys, self.values))
        filled = self.filled if self.uniform or not lengths.numel() else int(lengths.max())
        return State(keys, values, lengths, filled, self.uniform, cross, sources, beams)

    def join(self, other: State) -> State:
        """Both states' rows, self's first."""
        room = max(self.keys[0].shape[2], other.keys[0].shape[2]) if self.keys else 0
        keys = [torch.cat((_widen(a, room), _widen(b, room))) for a, b in zip(self.keys, other.keys, strict=True)]
        values = [torch.cat((_widen(a, room), _widen(b, room))) for a, b in zip(self.values, other.values, strict=True)]
        count = 0 if self.cross is None else self.cross.lengths.numel()
        cross = None if self.cross is None or other.cross is None else join_cross(self.cross, other.cross)
        uniform = self.uniform and other.uniform and self.filled == other.filled
        return State(keys, values, torch.cat((self.lengths, other.lengths)), max(self.filled, other.filled), uniform, cross,
                     torch.cat((self.sources, other.sources + count)), self.beams if self.beams == other.beams else 0)  # fmt: skip

    def truncate(self, lengths: Tensor) -> State:
        """Forget what stands past `lengths` (B,) in each row: rejected drafts, padding of prompts."""
        lengths = torch.minimum(lengths, self.lengths)
        filled = int(lengths.max()) if lengths.numel() else 0
        return replace(self, lengths=lengths, filled=filled, uniform=bool((lengths == filled).all()))

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write (B, T, K, E) of new positions and give all cached ones of this layer: two (B, K, L, E)."""
        steps = key.shape[1]
        end = self.filled + steps
        if self.keys[layer].shape[2] < end:
            room = -(-end // ROOM) * ROOM
            self.keys[layer], self.values[layer] = _widen(self.keys[layer], room), _widen(self.values[layer], room)
        keys, values = self.keys[layer], self.values[layer]
        if self.uniform:
            keys[:, :, self.filled : end] = key.transpose(1, 2)
            values[:, :, self.filled : end] = value.transpose(1, 2)
        else:
            places = self.lengths[:, None] + torch.arange(steps, device=key.device)  # (B, T)
            batch = torch.arange(key.shape[0], device=key.device)[:, None].expand_as(places)
            keys[batch, :, places] = key
            values[batch, :, places] = value
        return keys[:, :, :end], values[:, :, :end]

    def mask(self, steps: int) -> Tensor | None:
        """(B, 1, 1, T, L) bias for `steps` new tokens: own past and no future; None when all may be seen."""
        if self.uniform and steps == 1:
            return None
        limit = self.lengths[:, None] + torch.arange(steps, device=self.lengths.device)  # (B, T) last position seen
        places = torch.arange(self.filled + steps, device=self.lengths.device)
        seen = places[None, None] <= limit[:, :, None]
        return torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, float("-inf"))[:, None, None]

    def advance(self, steps: int) -> None:
        self.lengths = self.lengths + steps
        self.filled += steps


def _widen(x: Tensor, room: int) -> Tensor:
    """(B, K, C, E) -> (B, K, room, E); new places are zero, so that a masked one never brings NaN."""
    if x.shape[2] == room:
        return x
    return torch.cat((x, x.new_zeros(x.shape[0], x.shape[1], room - x.shape[2], x.shape[3])), 2)


def regroup(cross: CrossKeys | None, sources: Tensor) -> tuple[CrossKeys | None, Tensor, int]:
    """Keep only the sources still read, and find how many consecutive rows share each (0: no such order)."""
    if cross is None or not sources.numel():
        return cross, sources, 1
    used, inverse, counts = torch.unique_consecutive(sources, return_inverse=True, return_counts=True)
    beams = int(counts[0])
    if bool((counts != beams).any()):
        return cross, sources, 0
    same = used.numel() == cross.lengths.numel() and bool((used == torch.arange(used.numel(), device=used.device)).all())
    return (cross, sources, beams) if same else (cross.select(used), inverse, beams)


def join_cross(a: CrossKeys, b: CrossKeys) -> CrossKeys:
    longest = max(a.keys[0].shape[2], b.keys[0].shape[2])
    keys = [torch.cat((_widen(x, longest), _widen(y, longest))) for x, y in zip(a.keys, b.keys, strict=True)]
    values = [torch.cat((_widen(x, longest), _widen(y, longest))) for x, y in zip(a.values, b.values, strict=True)]
    lengths = torch.cat((a.lengths, b.lengths))
    return CrossKeys(keys, values, lengths, length_bias(lengths, longest, keys[0].dtype))


def length_bias(lengths: Tensor, longest: int, dtype: torch.dtype) -> Tensor | None:
    """(R, 1, 1, 1, S) bias that hides what stands past each length; None when nothing does."""
    if bool((lengths == longest).all()):
        return None
    hidden = torch.arange(longest, device=lengths.device)[None] >= lengths[:, None]
    return torch.zeros(hidden.shape, dtype=dtype, device=lengths.device).masked_fill_(hidden, float("-inf"))[:, None, None, None]
