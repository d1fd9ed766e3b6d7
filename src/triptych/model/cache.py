"""The decoder's cache: its own keys and values, and the memory's, computed once per source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from .attention import Attention
from .layout import PackedLayout
from .linear import Product
from .masks import CAUSAL, Mask
from .ops.attention import CachedKeys
from .position_bias import PositionBias
from .typed import UNTYPED

# Bytes of a vector register; softmax over rows that are not multiples of it is far slower.
LANE_BYTES = 64


@dataclass(slots=True)
class Memory:
    """Hold the output of an encoder: packed states (M, D) and their layout."""

    states: Tensor
    rows: PackedLayout

    @property
    def lengths(self) -> Tensor:
        """Return the source lengths (B,)."""
        return self.rows.lengths


@dataclass(slots=True)
class CrossKeys:
    """Hold keys and values (R, K, S, E) of R sources for every decoder layer.

    The bias is (R, 1, 1, 1, S) or None.
    """

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor
    bias: Tensor | None

    @staticmethod
    def of(memory: Memory, projected: Iterable[Tensor], precision: torch.dtype) -> CrossKeys:
        """Pad the memory's keys and values (M, 2K, E) of every layer."""
        keys: list[Tensor] = []
        values: list[Tensor] = []
        longest = whole_lanes(memory.rows.longest, precision)
        for each in projected:
            first, second = memory.rows.pad(each, longest).transpose(1, 2).chunk(2, 1)
            keys.append(first.contiguous())  # (R, K, S, E)
            values.append(second.contiguous())
        bias = length_bias(memory.lengths, longest, precision)
        return CrossKeys(keys, values, memory.lengths, bias)

    def of_layer(self, layer: int) -> CachedKeys:
        """Return keys and values of one layer (R, K, S, E), and the bias of their scores."""
        return CachedKeys(self.keys[layer], self.values[layer], self.bias)

    def select(self, sources: Tensor) -> CrossKeys:
        lengths = self.lengths[sources]
        longest = whole_lanes(int(lengths.max()) if lengths.numel() else 0, self.keys[0].dtype)

        def keep(tensors: list[Tensor]) -> list[Tensor]:
            return [x.index_select(0, sources)[:, :, :longest].contiguous() for x in tensors]

        bias = (
            None
            if self.bias is None
            else self.bias.index_select(0, sources)[..., :longest].contiguous()
        )
        return CrossKeys(keep(self.keys), keep(self.values), lengths, bias)


class KVPool:
    """Hold keys and values (R, K, C, E) of R sources for every layer, in the order of writing.

    `used` of the C slots are filled. States may share a pool; the first to write keeps it, and any
    other copies it first.
    """

    def __init__(self, keys: list[Tensor], values: list[Tensor], used: int = 0) -> None:
        self.keys, self.values, self.used = keys, values, used

    def select(self, sources: Tensor, used: int) -> KVPool:
        """Return the first `used` slots of `sources`."""
        return KVPool(
            [x.index_select(0, sources) for x in self.keys],
            [x.index_select(0, sources) for x in self.values],
            used,
        )

    def widen(self, slots: int) -> None:
        self.keys, self.values = (
            [_widen(x, slots) for x in self.keys],
            [_widen(x, slots) for x in self.values],
        )


@dataclass(slots=True)
class TransformerState:
    """Keep a decoder's state of B rows; the model's `step` appends to it in place.

    Row b belongs to source b // beams. All rows of a source write into one pool, and `hidden` (B,
    C) is minus infinity at the slots that a row does not see, else 0. So beams can be reordered,
    copied and dropped without copying their past; only `hidden` changes. Attention runs over all C
    slots, because a product over a slice would copy it first.
    """

    pool: KVPool
    used: int  # slots
    hidden: Tensor
    lengths: Tensor  # (B,) tokens read
    cross: CrossKeys | None
    beams: int
    products: list[Product | None]  # the joined projection of each layer, once it is computed
    began: int  # number of sources at the start
    last: Tensor | None = None  # (B * T, D) states of the last step, if its logits were rounded

    @staticmethod
    def empty(
        attentions: Sequence[Attention],
        count: int,
        cross: CrossKeys | None,
        precision: torch.dtype,
        device: torch.device,
    ) -> TransformerState:
        """Return the state of `count` rows of different sources, before the first token."""
        keys, values = (
            [
                torch.empty(
                    (count, one.key_heads, 0, one.head_width), dtype=precision, device=device
                )
                for one in attentions
            ]
            for _ in "kv"
        )
        lengths = torch.zeros(count, dtype=torch.int64, device=device)
        hidden = torch.empty(count, 0, dtype=precision, device=device)
        products: list[Product | None] = [None for _ in attentions]
        return TransformerState(KVPool(keys, values), 0, hidden, lengths, cross, 1, products, count)

    def select(self, rows: Tensor) -> TransformerState:
        """Return the state of `rows` (int64), in that order; rows may repeat or be left out."""
        own = rows // self.beams
        sources, counts = cast(
            "tuple[Tensor, Tensor]", UNTYPED.unique_consecutive(own, return_counts=True)
        )
        beams = int(counts[0]) if counts.numel() else 1
        if bool((counts != beams).any()):  # rows without that order: each gets its own copy
            sources, beams = own, 1
        pool, cross, count = self.pool, self.cross, self.lengths.numel() // self.beams
        if sources.numel() != count or not torch.equal(
            sources, torch.arange(count, device=rows.device)
        ):
            pool, cross = (
                pool.select(sources, self.used),
                None if cross is None else cross.select(sources),
            )
        return replace(
            self,
            pool=pool,
            hidden=self.hidden.index_select(0, rows),
            lengths=self.lengths.index_select(0, rows),
            cross=cross,
            beams=beams,
            last=None,
        )

    def join(self, other: TransformerState) -> TransformerState:
        """Return the rows of both states, those of this one first."""
        a, b = (self, other) if self.beams == other.beams else (self._apart(), other._apart())
        slots = max(a.hidden.shape[1], b.hidden.shape[1])

        def both(first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
            return [
                torch.cat((_widen(x, slots), _widen(y, slots)))
                for x, y in zip(first, second, strict=True)
            ]

        pool = KVPool(
            both(a.pool.keys, b.pool.keys), both(a.pool.values, b.pool.values), max(a.used, b.used)
        )
        hidden = torch.cat(
            [
                functional.pad(x.hidden, (0, slots - x.hidden.shape[1]), value=float("-inf"))
                for x in (a, b)
            ]
        )
        cross = None if a.cross is None or b.cross is None else join_cross(a.cross, b.cross)
        return TransformerState(
            pool,
            pool.used,
            hidden,
            torch.cat((a.lengths, b.lengths)),
            cross,
            a.beams,
            a.products,
            a.began + b.began,
        )

    def _apart(self) -> TransformerState:
        """Return the same rows, each with its own copy of what the rows of a source share."""
        sources = torch.arange(self.lengths.numel(), device=self.lengths.device) // self.beams
        cross = None if self.cross is None else self.cross.select(sources)
        return replace(self, pool=self.pool.select(sources, self.used), cross=cross, beams=1)

    def truncate(self, lengths: Tensor, alone: bool = False) -> TransformerState:
        """Forget what is past `lengths` (B,) in each row: rejected drafts, padding of prompts.

        Set `alone` if no other state that shares the pool will be used again, so that its slots may
        be overwritten without a copy.
        """
        lengths = torch.minimum(lengths, self.lengths)
        order = (self.hidden == 0).cumsum(1)  # the position of each seen slot, from 1
        hidden = self.hidden.masked_fill(order > lengths[:, None], float("-inf"))
        seen = (hidden == 0).any(0).nonzero()
        used = int(seen[-1]) + 1 if seen.numel() else 0
        if alone:
            self.pool.used = used
        return replace(self, hidden=hidden, lengths=lengths, used=used, last=None)

    def extend(self, steps: int) -> Tensor:
        """Reserve consecutive slots for `steps` tokens in each row.

        Returns:
            The bias (R, 1, beams, steps or 1, C) that shows the new tokens their past.
        """
        pool, device, start = self.pool, self.lengths.device, self.used
        if pool.used != start:  # another state wrote here
            pool = self.pool = pool.select(
                torch.arange(pool.keys[0].shape[0], device=device), start
            )
        pool.used = start + self.beams * steps
        slots = whole_lanes(pool.used, self.hidden.dtype)
        if slots > pool.keys[0].shape[2]:
            pool.widen(slots)
        slots = pool.keys[0].shape[2]
        if slots > self.hidden.shape[1]:
            self.hidden = functional.pad(
                self.hidden, (0, slots - self.hidden.shape[1]), value=float("-inf")
            )
        if self.beams == steps == 1:
            self.hidden[:, start] = 0.0
            return self.hidden.view(-1, 1, 1, 1, self.hidden.shape[1])
        own = torch.arange(self.lengths.numel(), device=device) % self.beams
        place = torch.arange(self.beams * steps, device=device)
        fresh = torch.zeros_like(self.hidden[:, : place.numel()]).masked_fill_(
            own[:, None] != place // steps, float("-inf")
        )
        self.hidden[:, start : pool.used] = fresh
        bias = self.hidden.view(-1, 1, self.beams, 1, self.hidden.shape[1])
        if steps > 1:
            # (T, slots)
            future = (place % steps)[None] > torch.arange(steps, device=device)[:, None]
            bias = bias.repeat(1, 1, 1, steps, 1)
            bias[..., start : pool.used].masked_fill_(future, float("-inf"))
        return bias

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write (B, T, K, E) of new tokens and return all keys and values of the layer."""
        keys, values = self.pool.keys[layer], self.pool.values[layer]
        shape, new = (keys.shape[0], -1, *key.shape[2:]), self.pool.used - self.used
        keys.narrow(2, self.used, new).copy_(key.reshape(shape).transpose(1, 2))
        values.narrow(2, self.used, new).copy_(value.reshape(shape).transpose(1, 2))
        return keys, values

    def cross_keys(self, layer: int) -> CachedKeys:
        """Return the memory's keys and values of a layer (R, K, S, E), and their scores' bias."""
        assert self.cross is not None, "the memory's keys are cached"
        return self.cross.of_layer(layer)

    def joined(self, layer: int, attention: Attention, x: Tensor) -> Product:
        """Return the joined projection of a layer, computed once."""
        product = self.products[layer]
        if product is None:
            product = self.products[layer] = attention.joined(x)
        return product

    def positions(self, steps: int) -> tuple[Tensor, Tensor]:
        """Return the positions of the newest tokens (B, T) and of the seen slots (B, C).

        It is called between `extend` and `advance`.
        """
        new = torch.arange(steps, device=self.lengths.device)
        return self.lengths[:, None] + new, ((self.hidden == 0).cumsum(1) - 1).clamp_min(0)

    def biases(
        self, hidden: Tensor, steps: int, masks: Sequence[Mask], bias: PositionBias | None
    ) -> tuple[Tensor, ...]:
        """Return the bias of scores (R, H or 1, beams, T or 1, C) for each mask of a stack.

        `hidden` is the result of `extend`; `bias` is the stack's bias by positions.
        """
        if bias is None and masks == [CAUSAL]:  # `hidden` is that mask already
            return (hidden,)
        queries, keys = self.positions(steps)  # (B, T), (B, C)
        shape = hidden.shape[0], self.beams
        if bias is not None:
            added = bias(queries, keys).to(hidden.dtype)  # (B, H, T, C)
            hidden = hidden + added.view(*shape, *added.shape[1:]).transpose(1, 2)
        found: list[Tensor] = []
        for mask in masks:
            pairs = None if mask is CAUSAL else mask.pairs(queries, keys)  # (B, T, C)
            if pairs is None:
                found.append(hidden)
            else:
                unseen = ~pairs.view(*shape, *pairs.shape[1:])[:, None]
                found.append(hidden.masked_fill(unseen, float("-inf")))
        return tuple(found)

    def advance(self, steps: int) -> None:
        self.lengths = self.lengths + steps
        self.used = self.pool.used


def whole_lanes(count: int, dtype: torch.dtype) -> int:
    """Round `count` up to whole vector registers of `dtype`."""
    lanes = LANE_BYTES // dtype.itemsize
    return -(-count // lanes) * lanes


def _widen(x: Tensor, room: int) -> Tensor:
    """Widen (B, K, C, E) -> (B, K, room, E) with zeros, which give no NaN where masked."""
    if x.shape[2] == room:
        return x
    return torch.cat((x, x.new_zeros(x.shape[0], x.shape[1], room - x.shape[2], x.shape[3])), 2)


def regroup(cross: CrossKeys | None, sources: Tensor) -> tuple[CrossKeys | None, Tensor, int]:
    """Keep only the sources still read, and count the consecutive rows of each (0: no order)."""
    if cross is None or not sources.numel():
        return cross, sources, 1
    found = UNTYPED.unique_consecutive(sources, return_inverse=True, return_counts=True)
    used, inverse, counts = cast("tuple[Tensor, Tensor, Tensor]", found)
    beams = int(counts[0])
    if bool((counts != beams).any()):
        return cross, sources, 0
    same = used.numel() == cross.lengths.numel() and bool(
        (used == torch.arange(used.numel(), device=used.device)).all()
    )
    return (cross, sources, beams) if same else (cross.select(used), inverse, beams)


def join_cross(a: CrossKeys, b: CrossKeys) -> CrossKeys:
    longest = max(a.keys[0].shape[2], b.keys[0].shape[2])
    keys = [
        torch.cat((_widen(x, longest), _widen(y, longest)))
        for x, y in zip(a.keys, b.keys, strict=True)
    ]
    values = [
        torch.cat((_widen(x, longest), _widen(y, longest)))
        for x, y in zip(a.values, b.values, strict=True)
    ]
    lengths = torch.cat((a.lengths, b.lengths))
    return CrossKeys(keys, values, lengths, length_bias(lengths, longest, keys[0].dtype))


def length_bias(lengths: Tensor, longest: int, dtype: torch.dtype) -> Tensor | None:
    """Return the bias (R, 1, 1, 1, S) that hides padding, or None without padding."""
    if bool((lengths == longest).all()):
        return None
    hidden = torch.arange(longest, device=lengths.device)[None] >= lengths[:, None]
    return torch.zeros(hidden.shape, dtype=dtype, device=lengths.device).masked_fill_(
        hidden, float("-inf")
    )[:, None, None, None]
