"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2): one signature, by device.

`reference.plain_attention` is the formula; tests hold every entry of the table against it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from ..layout import PackedLayout
from ..masks import FULL, Mask
from . import cpu, cuda
from .dropout import DropoutRng


class CachedKeys(NamedTuple):
    """Keys and values (R, K, S, E) that a cache holds, and what is added to their scores."""

    keys: Tensor
    values: Tensor
    bias: Tensor | None


class PackedAttention(Protocol):
    """What a device brings: attention over packed rows, with a gradient."""

    def __call__(
        self,
        query: Tensor,
        keys: Tensor | None,
        heads: int,
        queries: PackedLayout,
        key_layout: PackedLayout,
        mask: Mask = FULL,
        bias: Tensor | None = None,
        scale: float | None = None,
        probability: float = 0.0,
        rng: DropoutRng | None = None,
    ) -> Tensor:
        """Mix values by what queries and keys have in common.

        Args:
            query: of self-attention (N, H + 2K, E), queries, keys and values side by side, as one
                product gives them; of attention to others (N, H, E).
            keys: None of self-attention, else keys and values (M, 2K, E).
            heads: H.
            queries: how the N rows stand.
            key_layout: how the M rows stand; of self-attention the same value.
            mask: which keys a query may see. A query that sees none gets zeros.
            bias: added to the scores, (B or 1, H, T, S), with a gradient.
            scale: of the scores; None: 1 / sqrt(E).
            probability: with which a weight is dropped.
            rng: what dropout draws from; None: nothing is dropped.

        Returns:
            (N, H, E).
        """
        ...


# others than these do as a CPU does
BY_DEVICE: dict[str, PackedAttention] = {"cpu": cpu.attention, "cuda": cuda.attention}
attention, attend_cached = cpu.attention, cpu.attend_cached
