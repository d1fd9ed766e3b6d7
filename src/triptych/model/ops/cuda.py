"""What a CUDA device does in its own way. Nothing here asks for the device: all of it runs on a CPU
too, where tests hold it against the references.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..layout import PackedLayout
from ..masks import CAUSAL, FULL, Mask, allowed
from .dropout import DropoutRng

# In this order, where each can: flash takes half precision and no mask of ours. cuDNN is left out:
# it plans anew for every new shape, 16 ms each, and batches of sentences are all new shapes.
BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
LOGITS = 1 << 29  # computed at a time, at most
SHARE = 32  # one part in so many of the device's memory may hold them
MULTIPLE = 64  # of the vocabulary: cuBLAS takes slow kernels for rows that are not aligned


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
    """Mix values with torch's fused kernels, over rows that are dense or padded whole; see
    `ops.attention`.
    """
    # (B, T, H, E), (B, S, K, E), (B, S, K, E)
    if keys is None:
        key_heads = (query.shape[1] - heads) // 2
        q, k, v = torch.split(_dense(query, queries), [heads, key_heads, key_heads], 2)
    else:
        q = _dense(query, queries)
        k, v = _dense(keys, key_layout).chunk(2, 2)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    # What pads a causal sequence stands behind all of its queries.
    is_causal = mask is CAUSAL and queries is key_layout
    pairs = None if is_causal and bias is None else allowed(queries, key_layout, mask)
    added, empty = bias if bias is None else bias.to(q.dtype), None
    if pairs is not None:
        empty = ~pairs.any(-1, keepdim=True)  # a softmax over nothing would be NaN
        seen = pairs | empty
        added = seen if added is None else added.masked_fill(~seen, float("-inf"))
    if added is not None and k.shape[1] != heads:  # kernels with a mask know no groups of heads
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
    """(N, ...) -> (B, T, ...); what stands where no token is, is not to be read."""
    if layout.dense:
        return x.view(layout.count, layout.longest, *x.shape[1:])
    return _Pad.apply(x, layout)  # type: ignore[return-value]


class _Pad(torch.autograd.Function):
    """Gather whole rows both ways, because adding them up would take turns at every place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: PackedLayout) -> Tensor:
        ctx.layout = layout
        return x.index_select(0, layout.padded.reshape(-1)).view(*layout.padded.shape, *x.shape[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.layout.pack(grads[0]), None  # nothing comes back from where no token is


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: PackedLayout) -> Tensor:
        ctx.layout = layout
        return layout.pack(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.layout.pad(grads[0]), None


def chunk_logits(memory_bytes: int, item_bytes: int) -> int:
    """Return how many logits to compute at a time, by the device's whole memory: what happens to be
    free must not decide how a sum is rounded.
    """
    return max(1, min(LOGITS, memory_bytes // SHARE // item_bytes))
