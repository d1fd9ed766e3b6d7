"""The decoder's cache: its own keys and values, and the memory's, computed once per source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from .attention import Attention
from .kv_pool import FORGOTTEN, REWIND, Cells, KVPool, first_needed, place, whole_lanes
from .layout import PackedLayout
from .linear import Product
from .masks import CAUSAL, Mask
from .ops.attention import CachedKeys
from .position_bias import PositionBias
from .recurrent_unit import SimplerRecurrentUnit
from .typed import UNTYPED


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
    windows: tuple[int | None, ...]  # tokens before a query that each mask shows; None: all
    # (B,) lengths below which the keys that a window needs are forgotten; None: nothing is
    least: Tensor | None = None
    last: Tensor | None = None  # (B * T, D) states of the last step, if its logits were rounded

    @staticmethod
    def empty(
        attentions: Sequence[Attention | SimplerRecurrentUnit],
        count: int,
        cross: CrossKeys | None,
        precision: torch.dtype,
        device: torch.device,
    ) -> TransformerState:
        """Return the state of `count` rows of different sources, before the first token."""
        empty = [_no_slots(one, count, precision, device) for one in attentions]
        keys, values = [key for key, _ in empty], [value for _, value in empty]
        lengths = torch.zeros(count, dtype=torch.int64, device=device)
        hidden = torch.empty(count, 0, dtype=precision, device=device)
        products: list[Product | None] = [None for _ in attentions]
        masks = {one.mask_number: one.mask.before for one in attentions}
        windows = tuple(masks[number] for number in range(len(masks)))
        numbers, first = tuple(one.mask_number for one in attentions), (0,) * len(masks)
        pool = KVPool(keys, values, numbers, first)
        return TransformerState(pool, 0, hidden, lengths, cross, 1, products, count, windows)

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
            least=None if self.least is None else self.least.index_select(0, rows),
            cross=cross,
            beams=beams,
            last=None,
        )

    def join(self, other: TransformerState) -> TransformerState:
        """Return the rows of both states, those of this one first."""
        a, b = (self, other) if self.beams == other.beams else (self._apart(), other._apart())
        used, slots = max(a.used, b.used), max(a.hidden.shape[1], b.hidden.shape[1])
        shifts = 0, 0
        if any(one is not None for one in self.windows):
            # The newest slots of both stand together, so that windows stay short.
            lanes = whole_lanes(1, a.hidden.dtype)
            shifts = (used - a.used) // lanes * lanes, (used - b.used) // lanes * lanes
        hidden = [
            functional.pad(x.hidden, (shift, 0), value=float("-inf"))[:, :slots]
            for x, shift in zip((a, b), shifts, strict=True)
        ]
        hidden = [functional.pad(x, (0, slots - x.shape[1]), value=float("-inf")) for x in hidden]
        least = None
        if a.least is not None or b.least is not None:
            least = torch.cat(
                [torch.zeros_like(x.lengths) if x.least is None else x.least for x in (a, b)]
            )
        cross = None if a.cross is None or b.cross is None else join_cross(a.cross, b.cross)
        return TransformerState(
            a.pool.join(b.pool, shifts, slots, used),
            used,
            torch.cat(hidden),
            torch.cat((a.lengths, b.lengths)),
            cross,
            a.beams,
            a.products,
            a.began + b.began,
            a.windows,
            least,
        )

    def _apart(self) -> TransformerState:
        """Return the same rows, each with its own copy of what the rows of a source share."""
        sources = torch.arange(self.lengths.numel(), device=self.lengths.device) // self.beams
        cross = None if self.cross is None else self.cross.select(sources)
        return replace(self, pool=self.pool.select(sources, self.used), cross=cross, beams=1)

    def repeat(self, count: int) -> TransformerState:
        """Return `count` rows of different sources, each with a copy of this state's only row."""
        rows = torch.zeros(count, dtype=torch.int64, device=self.lengths.device)
        return replace(self.select(rows)._apart(), began=count)

    def truncate(self, lengths: Tensor, alone: bool = False) -> TransformerState:
        """Forget what is past `lengths` (B,) in each row: rejected drafts, padding of prompts.

        Set `alone` if no other state that shares the pool will be used again, so that its slots may
        be overwritten without a copy.
        """
        lengths = torch.minimum(lengths, self.lengths)
        if self.least is not None and bool((lengths < self.least).any()):
            raise ValueError(f"A state with a window can go back at most {REWIND} tokens.")
        order = (self.hidden == 0).cumsum(1)  # the position of each seen slot, from 1
        hidden = self.hidden.masked_fill(order > lengths[:, None], float("-inf"))
        seen = (hidden == 0).any(0).nonzero()
        used = int(seen[-1]) + 1 if seen.numel() else 0
        if alone:
            self.pool.used = used
        return replace(self, hidden=hidden, lengths=lengths, used=used, last=None)

    def compact(self) -> TransformerState:
        """Return a copy without the slots that no row of a source sees.

        Rows that join and leave leave such slots. The newest slots of all sources stand together.
        """
        sources = self.pool.keys[0].shape[0]
        hidden = self.hidden[:, : self.used]
        seen = (hidden == 0).view(sources, self.beams, self.used).any(1)  # (R, used)
        used = int(seen.sum(1).max()) if self.used else 0
        order = seen.int().sort(dim=1, stable=True)[1][:, self.used - used :]  # the seen ones last
        slots = whole_lanes(used + self.beams, hidden.dtype)
        seen_by_rows = hidden.gather(1, order.repeat_interleave(self.beams, 0))
        hidden = functional.pad(seen_by_rows, (0, slots - used), value=float("-inf"))
        pool = self.pool.gather(order, seen, slots)
        return replace(self, pool=pool, used=used, hidden=hidden, last=None)

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
        pool = self._forget()
        pool.used = start + self.beams * steps
        slots = whole_lanes(pool.used, self.hidden.dtype)
        if slots > pool.slots:
            pool.widen(slots)
        slots = pool.slots
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

    def _forget(self) -> KVPool:
        """Drop slots that no row will see again, in layers whose mask has a window.

        Another state may share the pool and still see them, so they are left out of a new one.
        """
        for number, before in enumerate(self.windows):
            first = self.pool.first[number]
            if before is None or self.used - first < before + REWIND + FORGOTTEN:
                continue
            needed = first_needed(self.hidden, self.lengths, before)
            needed -= needed % FORGOTTEN
            if needed > first:
                self.pool = self.pool.forget(number, needed)
                least = (self.lengths - REWIND).clamp_min(0)
                self.least = least if self.least is None else torch.maximum(self.least, least)
        return self.pool

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write (B, T, K, E) of new tokens and return all keys and values of the layer."""
        keys, values = self.pool.keys[layer], self.pool.values[layer]
        shape, new = (keys.shape[0], -1, *key.shape[2:]), self.pool.used - self.used
        start = self.used - self.pool.first[self.pool.numbers[layer]]
        keys.narrow(2, start, new).copy_(key.reshape(shape).transpose(1, 2))
        values.narrow(2, start, new).copy_(value.reshape(shape).transpose(1, 2))
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
        for first, mask in zip(self.pool.first, masks, strict=True):
            pairs = None if mask is CAUSAL else mask.pairs(queries, keys)  # (B, T, C)
            if pairs is None:
                found.append(hidden)
            else:
                unseen = ~pairs.view(*shape, *pairs.shape[1:])[:, None]
                shown = hidden.masked_fill(unseen, float("-inf"))
                found.append(shown[..., first:] if first else shown)
        return tuple(found)

    def cells(self) -> Cells:
        """Return what recurrent units keep, between `extend` and `advance`."""
        place = torch.arange(1, self.used + 1, device=self.lengths.device)
        seen = (self.hidden[:, : self.used] == 0) * place  # 0: not seen
        newest = seen.amax(1) - 1 if self.used else None
        return Cells(self.pool, newest, self.lengths.numel(), self.beams, self.used)

    def advance(self, steps: int) -> None:
        self.lengths = self.lengths + steps
        self.used = self.pool.used


def _no_slots(
    part: Attention | SimplerRecurrentUnit, count: int, precision: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the keys and values (R, K, 0, E) of a layer; those of a recurrent unit are cells."""
    if isinstance(part, Attention):
        found = torch.empty(
            count, part.key_heads, 0, part.head_width, dtype=precision, device=device
        )
        return found, found.clone()
    return torch.empty(count, 1, 0, 0, device=device), torch.empty(
        count, 1, 0, part.width, device=device
    )


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
        torch.cat((place(x, 0, longest), place(y, 0, longest)))
        for x, y in zip(a.keys, b.keys, strict=True)
    ]
    values = [
        torch.cat((place(x, 0, longest), place(y, 0, longest)))
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
