"""Attention over packed rows, with its derivative, and of new tokens to cached keys.

It is made for CPUs but runs on every device, and serves those without a faster implementation.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor

from ..layout import PackedLayout
from ..masks import FULL, Mask, allowed
from .dropout import DropoutRng

SOFTMAX_BACKWARD: Any = cast(Any, torch)._softmax_backward_data
BLOCK = 128  # queries of a causal sequence that are computed together


class _Attention(torch.autograd.Function):
    """Compute softmax(scale Q K^T + bias) V over packed rows, and its derivative.

    Padding exists only inside. Rows are gathered by index in both directions, so the backward needs
    no scattered additions. Long causal sequences are computed in blocks of queries, each with the
    keys up to its own end, which skips half of the scores.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        memory: Tensor | None,
        bias: Tensor | None,
        heads: int,
        key_heads: int,
        queries: PackedLayout,
        keys: PackedLayout,
        places: tuple[Tensor, ...],
        mask: Tensor | None,
        factor: float,
        blocks: list[tuple[int, int, int]],
        probability: float,
        rng: DropoutRng | None,
    ) -> Tensor:
        source = (query if memory is None else memory).reshape(-1, query.shape[2])
        (b, t, s), width = (queries.count, queries.longest, keys.longest), query.shape[2]
        groups, flat = heads // key_heads, query.reshape(-1, width)
        # (BK, G, T, E), (BK, S, E), (BK, S, E)
        q = flat.index_select(0, places[0]).view(b * key_heads, groups, t, width)
        k = source.index_select(0, places[1]).view(b * key_heads, s, width)
        v = source.index_select(0, places[2]).view(b * key_heads, s, width)
        kept: list[Tensor | None] = []
        out: list[Tensor] = []
        for start, end, seen in blocks:
            size = end - start
            # (BK, GT, S)
            scores = torch.baddbmm(
                q.new_empty(()),
                q[:, :, start:end].reshape(b * key_heads, groups * size, width),
                k[:, :seen].transpose(1, 2),
                beta=0,
                alpha=factor,
            )
            shown = mask
            if mask is not None:
                shown = mask[:, :, start:end, :seen] if mask.shape[2] > 1 else mask
                hidden = torch.zeros(shown.shape, dtype=q.dtype, device=q.device)
                hidden.masked_fill_(~shown, float("-inf"))
                scores.view(b, key_heads, groups, size, seen).add_(hidden[:, :, None])
            if bias is not None:
                scores.view(b, heads, size, seen).add_(bias[:, :, start:end, :seen])
            weights = torch.softmax(scores, -1)
            if shown is not None and not bool(shown.any(-1).all()):
                weights = weights.nan_to_num_(nan=0.0)  # a fully masked row gives zeros
            # Rows of padding must be zero, so that they add nothing to a gradient.
            if not queries.dense:
                weights.view(b, heads, size, seen).mul_(queries.real[:, None, start:end, None])
            keep = None if rng is None or not probability else rng.keep(weights, probability)
            # (BK, GT, E)
            mixed = torch.bmm(weights if keep is None else weights * keep, v[:, :seen])
            out.append(mixed.view(b * key_heads, groups, size, width))
            kept += [weights, keep]
        ctx.save_for_backward(q, k, v, *kept)
        ctx.sizes = (heads, key_heads, queries, keys, query.shape, blocks, factor)
        ctx.bias_shape = bias.shape if bias is not None and ctx.needs_input_grad[2] else None
        ctx.memory_shape = None if memory is None else memory.shape
        whole = (out[0] if len(out) == 1 else torch.cat(out, 2)).reshape(-1, width)
        return whole.index_select(0, places[3]).view(queries.total, heads, width)  # (N, H, E)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        q, k, v, *kept = ctx.saved_tensors
        blocks: list[tuple[int, int, int]]
        heads, key_heads, queries, keys, query_shape, blocks, factor = ctx.sizes
        grad_bias = None if ctx.bias_shape is None else q.new_zeros(ctx.bias_shape)
        grad = _gather(grads[0].contiguous(), queries, 0, heads).view(q.shape)
        parts: list[Tensor] = []
        grad_k, grad_v = torch.empty(0), torch.empty(0)
        # The last block sees all keys.
        for number, (start, end, seen) in reversed(list(enumerate(blocks))):
            weights, keep = kept[2 * number : 2 * number + 2]
            own_q, own_grad = _rows(q, start, end), _rows(grad, start, end)
            dropped = weights if keep is None else weights * keep
            more_v = torch.bmm(dropped.transpose(1, 2), own_grad)
            grad_weights = torch.bmm(own_grad, v[:, :seen].transpose(1, 2))
            if keep is not None:
                grad_weights = grad_weights.mul_(keep)
            grad_scores = SOFTMAX_BACKWARD(grad_weights, weights, -1, weights.dtype)
            if grad_bias is not None:
                _add_scores(grad_bias[:, :, start:end, :seen], grad_scores)
            grad_scores = grad_scores.mul_(factor)
            more_k = torch.bmm(grad_scores.transpose(1, 2), own_q)
            parts.append(
                torch.bmm(grad_scores, k[:, :seen]).view(q.shape[0], q.shape[1], end - start, -1)
            )
            if len(parts) == 1:
                grad_k, grad_v = more_k, more_v
            else:
                grad_k[:, :seen] += more_k
                grad_v[:, :seen] += more_v
        grad_q = parts[0] if len(parts) == 1 else torch.cat(parts[::-1], 2)
        grad_query = grad_q.new_empty(query_shape)
        grad_query[:, :heads] = _ungather(grad_q, queries, heads)
        grad_memory = None if ctx.memory_shape is None else grad_q.new_empty(ctx.memory_shape)
        into, first = (grad_query, heads) if grad_memory is None else (grad_memory, 0)
        into[:, first : first + key_heads] = _ungather(grad_k, keys, key_heads)
        into[:, first + key_heads :] = _ungather(grad_v, keys, key_heads)
        return grad_query, grad_memory, grad_bias, *(10 * (None,))


def _add_scores(total: Tensor, scores: Tensor) -> None:
    """Add scores (BK, GT, S) to `total` (B or 1, H, T, S) in place."""
    each = scores.view(-1, *total.shape[1:])
    total.add_(each if total.shape[0] > 1 else each.sum(0, keepdim=True))


def _rows(x: Tensor, start: int, end: int) -> Tensor:
    """Select queries of (BK, G, T, E) -> (BK, G * (end - start), E)."""
    return x[:, :, start:end].reshape(x.shape[0], -1, x.shape[3])


def _gather(x: Tensor, rows: PackedLayout, first: int, heads: int) -> Tensor:
    """Gather some heads of packed (N, total heads, E) -> padded (B, heads, T, E)."""
    return x.reshape(-1, x.shape[2]).index_select(0, rows.head_index(x.shape[1], first, heads))


def _ungather(x: Tensor, rows: PackedLayout, heads: int) -> Tensor:
    """Map padded (B, heads, T, E), in any view -> packed (N, heads, E)."""
    return (
        x.reshape(-1, x.shape[-1])
        .index_select(0, rows.pack_index(heads))
        .view(rows.total, heads, x.shape[-1])
    )


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
    """Compute attention over packed rows; see `ops.attention.PackedAttention`."""
    total, first = (query.shape[1], heads) if keys is None else (keys.shape[1], 0)
    key_heads = (total - first) // 2
    places = (
        queries.head_index(query.shape[1], 0, heads),
        key_layout.head_index(total, first, key_heads),
        key_layout.head_index(total, first + key_heads, key_heads),
        queries.pack_index(heads),
    )
    # (start, end of the queries, number of keys they may see), computed one after the other
    queried, seen = queries.longest, key_layout.longest
    blocks = [(0, queried, seen)]
    if mask.after == 0 and queries is key_layout and queried > BLOCK:
        ends = [*range(BLOCK, queried, BLOCK), queried]
        blocks = [(start, end, end) for start, end in pairwise([0, *ends])]
    return _Attention.apply(  # type: ignore[return-value]
        query.contiguous(),
        keys,
        bias if bias is None else bias.to(query.dtype),
        heads,
        key_heads,
        queries,
        key_layout,
        places,
        allowed(queries, key_layout, mask),
        1.0 / math.sqrt(query.shape[2]) if scale is None else scale,
        blocks,
        probability,
        rng,
    )


def attend_cached(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor | None,
    scale: float | None = None,
) -> Tensor:
    """Compute attention of new tokens to cached keys while decoding.

    query (B, T, H, E); keys, values (R, K, S, E), each source shared by B / R consecutive rows (the
    beams of a sentence) without a copy; bias None or (R, H or 1, B / R or 1, T or 1, S), minus
    infinity at what is not seen. Returns (B, T, H, E).
    """
    query, factor = query.contiguous(), 1.0 / math.sqrt(query.shape[3]) if scale is None else scale
    (count, steps, heads, width), (sources, key_heads, length) = query.shape, keys.shape[:3]
    beams, groups = count // sources, heads // key_heads
    single = beams * steps == 1  # the heads of a row are in order already
    q = (
        query
        if single
        else query.view(sources, beams, steps, key_heads, groups, width).permute(0, 3, 1, 4, 2, 5)
    )
    q = q.reshape(sources * key_heads, beams * groups * steps, width)
    k, v = keys.view(-1, length, width), values.view(-1, length, width)
    # Compiled elementwise kernels beat a batched GEMM for a single source.
    fused = torch.compiler.is_compiling() and sources == 1
    if fused:
        scores = (q[:, :, None].float() * k[:, None]).sum(-1) * factor
    else:
        scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=factor)
    if bias is not None:
        # a number for each head: (R, H, beams, T, S) -> (R, K, beams, G, T, S)
        bias = (
            bias.unsqueeze(3)
            if bias.shape[1] == 1
            else bias.view(sources, key_heads, groups, *bias.shape[2:]).transpose(2, 3)
        )
        scores.view(sources, key_heads, beams, groups, steps, length).add_(bias)
    weights = torch.softmax(scores, -1)
    mixed = (weights[..., None] * v[:, None]).sum(2).to(v.dtype) if fused else torch.bmm(weights, v)
    if single:
        return mixed.view(count, 1, heads, width)
    return (
        mixed.view(sources, key_heads, beams, groups, steps, width)
        .permute(0, 2, 4, 1, 3, 5)
        .reshape(count, steps, heads, width)
    )
