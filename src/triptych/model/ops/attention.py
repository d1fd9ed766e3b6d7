"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2): one signature, by device.

`reference.plain_attention` is the formula; tests compare every entry of the table with it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from ..layout import PackedLayout
from ..masks import FULL, Mask
from . import cpu, cuda
from .dropout import DropoutRng


class CachedKeys(NamedTuple):
    """Hold cached keys and values (R, K, S, E), and the bias of their scores."""

    keys: Tensor
    values: Tensor
    bias: Tensor | None


class PackedAttention(Protocol):
    """Compute attention over packed rows, with a gradient, on one kind of device."""

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
        """Average values by the similarity of queries and keys.

        Args:
            query: (N, H + 2K, E) for self-attention, the concatenated queries, keys and values;
                (N, H, E) for cross-attention.
            keys: None for self-attention, else keys and values (M, 2K, E).
            heads: H.
            queries: Layout of the N rows.
            key_layout: Layout of the M rows; for self-attention the same object.
            mask: Which keys a query may see. A query that sees none gets zeros.
            bias: Added to the scores, (B or 1, H, T, S), with a gradient.
            scale: Scale of the scores; None: 1 / sqrt(E).
            probability: Dropout probability of a weight.
            rng: Source of dropout; None: no dropout.

        Returns:
            (N, H, E).
        """
        ...


# other devices use the implementation for CPUs
BY_DEVICE: dict[str, PackedAttention] = {"cpu": cpu.attention, "cuda": cuda.attention}
attention, attend_cached = cpu.attention, cpu.attend_cached
