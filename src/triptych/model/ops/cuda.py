"""Implementations for CUDA; on a CPU, tests compare them with the references."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..layout import PackedLayout
from ..masks import CAUSAL, FULL, Mask, allowed, shifted
from . import cpu
from .dropout import DropoutRng

# The first that supports the arguments is used: flash needs half precision and no explicit mask.
# cuDNN is left out: it plans each new shape for 16 ms, and most batches have a new shape.
BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
LOGITS = 1 << 29  # the most logits computed at a time
SHARE = 32  # they may take one part in this many of the device's memory
MULTIPLE = 64  # the vocabulary is padded to it: cuBLAS is slow for rows that are not aligned


def attention(
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
    """Compute attention with torch's fused kernels; see `ops.attention.PackedAttention`."""
    if mask.blocks is not None:  # no fused kernel has such a pattern; not run on a GPU yet
        given = query, keys, heads, queries, key_layout, mask, bias, scale, probability, rng
        return cpu.attention(*given)
    # (B, T, H, E), (B, S, K, E), (B, S, K, E)
    if keys is None:
        key_heads = (query.shape[1] - heads) // 2
        q, k, v = torch.split(_dense(query, queries), [heads, key_heads, key_heads], 2)
    else:
        q = _dense(query, queries)
        k, v = _dense(keys, key_layout).chunk(2, 2)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    # The padding of a causal sequence comes after all of its queries.
    is_causal = mask is CAUSAL and queries is key_layout
    pairs = None if is_causal and bias is None else allowed(queries, key_layout, mask)
    added, empty = shifted(bias, queries, key_layout, mask, q.dtype), None
    if pairs is not None:
        empty = ~pairs.any(-1, keepdim=True)  # a softmax over nothing would be NaN
        seen = pairs | empty
        added = seen if added is None else added.masked_fill(~seen, float("-inf"))
    if (
        added is not None and k.shape[1] != heads
    ):  # kernels with a mask do not support groups of heads
        k, v = (x.repeat_interleave(heads // x.shape[1], 1) for x in (k, v))
    dropped = 0.0 if rng is None else probability
    if rng is not None and dropped:
        rng.seed_default(query.device)
    with sdpa_kernel(BACKENDS):
        mixed = functional.scaled_dot_product_attention(
            q,
            k,
            v,
            added,
            dropped,
            is_causal=added is None and is_causal,
            scale=scale,
            enable_gqa=k.shape[1] != heads,
        )
    if empty is not None:
        mixed = mixed.masked_fill(empty, 0.0)
    mixed = mixed.transpose(1, 2)  # (B, T, H, E)
    if queries.dense:
        return mixed.reshape(queries.total, heads, -1)
    return _Pack.apply(mixed, queries)  # type: ignore[return-value]


def _dense(x: Tensor, layout: PackedLayout) -> Tensor:
    """Map (N, ...) -> (B, T, ...); the values of padding are undefined."""
    if layout.dense:
        return x.view(layout.count, layout.longest, *x.shape[1:])
    return _Pad.apply(x, layout)  # type: ignore[return-value]


class _Pad(torch.autograd.Function):
    """Gather whole rows both ways, because scattered additions are serialised."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: PackedLayout) -> Tensor:
        ctx.layout = layout
        return x.index_select(0, layout.padded.reshape(-1)).view(*layout.padded.shape, *x.shape[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.layout.pack(grads[0]), None  # padding has no gradient


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: PackedLayout) -> Tensor:
        ctx.layout = layout
        return layout.pack(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.layout.pad(grads[0]), None


def chunk_logits(memory_bytes: int, item_bytes: int) -> int:
    """Return how many logits to compute at a time, by the device's total memory.

    Its free memory must not decide how a sum is rounded.
    """
    return max(1, min(LOGITS, memory_bytes // SHARE // item_bytes))
