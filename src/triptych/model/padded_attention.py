"""Attention on padded tensors, for one's own way to weigh keys: easy to write, and slower."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from .attention import Attention
from .config import StackConfig
from .layout import PackedLayout
from .masks import FULL, Mask, allowed, shifted
from .ops.dropout import DropoutRng


class PaddedAttention(Attention):
    """Compute attention by `weigh` of a subclass, in training, decoding and inspection alike.

    A subclass may have parameters: its constructor takes what `Attention` takes and passes it on.
    All passes call the same `weigh`, so cached decoding and shown weights agree with training.
    """

    def __init__(
        self, config: StackConfig, memory_width: int | None = None, mask: Mask = FULL
    ) -> None:
        super().__init__(config, memory_width, mask)
        self.packed, self.plain, self.attend_cached = self._packed, self._mixed, self._cached

    @abstractmethod
    def weigh(
        self, query: Tensor, key: Tensor, hidden: Tensor | None, bias: Tensor | None, scale: float
    ) -> Tensor:
        """Return weights (B, H, T, S) of keys for each query, zero where hidden.

        Scores are to stay within `self.softcap` if that is not None (`attention_softcap`).

        Args:
            query: (B, H, T, E).
            key: (B, H, S, E).
            hidden: True where a key must not be seen, broadcast to (B, H, T, S); None: all may be.
            bias: Numbers of relative positions to add to scores, broadcast to (B, H, T, S).
            scale: What scores are multiplied with, usually 1 / sqrt(E).
        """

    def _packed(self, *scored: Any) -> Tensor:
        """Compute attention over packed rows; see `ops.attention.PackedAttention`."""
        return self._mixed(*scored)[0]

    def _mixed(
        self,
        query: Tensor,
        memory: Tensor | None,
        heads: int,
        queries: PackedLayout,
        keys: PackedLayout,
        mask: Mask = FULL,
        bias: Tensor | None = None,
        scale: float | None = None,
        probability: float = 0.0,
        rng: DropoutRng | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the mixed values (N, H, E), and the weights (B, H, T, S) after dropout."""
        source, first = (query, heads) if memory is None else (memory, 0)
        key_heads = (source.shape[1] - first) // 2
        q = queries.pad(query[:, :heads]).transpose(1, 2)  # (B, H, T, E)
        k, v = (
            keys.pad(part).transpose(1, 2).repeat_interleave(heads // key_heads, 1)
            for part in torch.split(source[:, first:], key_heads, 1)
        )
        pairs = allowed(queries, keys, mask)
        factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
        shift = shifted(bias, queries, keys, mask, q.dtype)
        weights = self.weigh(q, k, None if pairs is None else ~pairs, shift, factor)
        real = queries.real[:, None, :, None]
        weights = torch.where(real, weights, weights.new_zeros(())).to(v.dtype)
        if rng is not None and probability:
            weights = weights * rng.keep(weights, probability)
        return queries.pack((weights @ v).transpose(1, 2)), weights

    def _cached(
        self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, scale: float | None
    ) -> Tensor:
        """Compute attention of new tokens to cached keys; see `ops.cpu.attend_cached`."""
        (count, _, heads, width), sources = query.shape, keys.shape[0]
        beams, groups = count // sources, heads // keys.shape[1]
        key, value = (
            one.repeat_interleave(groups, 1).repeat_interleave(beams, 0) for one in (keys, values)
        )
        if bias is not None:  # (R, H or 1, beams or 1, T or 1, S) -> (B, H or 1, T or 1, S)
            bias = bias.expand(-1, -1, beams, -1, -1).transpose(1, 2).flatten(0, 1)
        hidden = None if bias is None else bias == float("-inf")
        shown = None if bias is None or hidden is None else bias.masked_fill(hidden, 0.0)
        factor = 1.0 / math.sqrt(width) if scale is None else scale
        weights = self.weigh(query.transpose(1, 2), key, hidden, shown, factor)
        return (weights.to(value.dtype) @ value).transpose(1, 2)
