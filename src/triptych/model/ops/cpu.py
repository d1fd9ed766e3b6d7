"""Attention over packed rows, with its derivative, and of new tokens to cached keys.

It is made for CPUs but runs on every device, and serves those without a faster implementation.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from ..layout import PackedLayout
from ..masks import FULL, Mask
from .blocks import block_attention
from .dropout import DropoutRng
from .tiles import Tile, tiles

SOFTMAX_BACKWARD: Any = cast(Any, torch)._softmax_backward_data


class _Attention(torch.autograd.Function):
    """Compute softmax(scale Q K^T + bias) V over packed rows, and its derivative.

    Padding exists only inside. Rows are gathered by index in both directions, so the backward needs
    no scattered additions. Tiles of queries are computed one after the other, each with the keys
    that the mask lets them see: half of the scores of a long causal sequence are skipped, and the
    cost of a window or of a block-sparse pattern grows linearly.
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
        mask: Mask,
        factor: float,
        probability: float,
        rng: DropoutRng | None,
    ) -> Tensor:
        source = (query if memory is None else memory).reshape(-1, query.shape[2])
        (b, t, s), width = (queries.count, queries.longest, keys.longest), query.shape[2]
        groups, flat = heads // key_heads, query.reshape(-1, width)
        # (BK, G, T, E), (B, K, S, E), (B, K, S, E)
        q = flat.index_select(0, places[0]).view(b * key_heads, groups, t, width)
        k = source.index_select(0, places[1]).view(b, key_heads, s, width)
        v = source.index_select(0, places[2]).view(b, key_heads, s, width)
        kept: list[Tensor | None] = []
        cut, has_gradient = tiles(queries, keys, mask), any(ctx.needs_input_grad)
        whole = torch.empty(0) if len(cut) == 1 else torch.empty_like(q)
        for tile in cut:
            own = tile.rows(key_heads), slice(None), slice(tile.start, tile.end)
            own_k, own_v = (tile.take(one[tile.rows()]).flatten(0, 1) for one in (k, v))
            weights = _weights(q[own], own_k, bias, tile, (queries, keys, mask), factor)
            keep = None if rng is None or not probability else rng.keep(weights, probability)
            # (bK, Gt, E)
            mixed = torch.bmm(weights if keep is None else weights * keep, own_v)
            if has_gradient:
                kept += [weights, keep]
            if len(cut) == 1:
                whole = mixed
            else:
                whole[own] = mixed.view(-1, groups, tile.end - tile.start, width)
        ctx.save_for_backward(q, k, v, *kept)
        ctx.sizes = (heads, key_heads, queries, keys, query.shape, cut, factor)
        ctx.bias_shape = bias.shape if bias is not None and ctx.needs_input_grad[2] else None
        ctx.memory_shape = None if memory is None else memory.shape
        whole = whole.reshape(-1, width)
        return whole.index_select(0, places[3]).view(queries.total, heads, width)  # (N, H, E)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        q, k, v, *kept = ctx.saved_tensors
        cut: list[Tile]
        heads, key_heads, queries, keys, query_shape, cut, factor = ctx.sizes
        grad_bias = None if ctx.bias_shape is None else q.new_zeros(ctx.bias_shape)
        grad = _gather(grads[0].contiguous(), queries, 0, heads).view(q.shape)
        grad_q = torch.empty(0) if len(cut) == 1 else torch.empty_like(q)
        totals: list[Tensor | None] = [None, None]  # gradients of keys and values (B, K, S, E)
        # The last tile of a causal sequence sees all keys.
        for number, tile in reversed(list(enumerate(cut))):
            weights, keep = kept[2 * number : 2 * number + 2]
            own = tile.rows(key_heads), slice(None), slice(tile.start, tile.end)
            own_k, own_v = (tile.take(one[tile.rows()]).flatten(0, 1) for one in (k, v))
            own_q, own_grad = (x[own].reshape(*weights.shape[:2], q.shape[3]) for x in (q, grad))
            dropped = weights if keep is None else weights * keep
            more_v = torch.bmm(dropped.transpose(1, 2), own_grad)
            grad_weights = torch.bmm(own_grad, own_v.transpose(1, 2))
            if keep is not None:
                grad_weights = grad_weights.mul_(keep)
            grad_scores = SOFTMAX_BACKWARD(grad_weights, weights, -1, weights.dtype)
            if grad_bias is not None:
                _add_scores(grad_bias, grad_scores, tile)
            grad_scores = grad_scores.mul_(factor)
            more_k = torch.bmm(grad_scores.transpose(1, 2), own_q)
            more_q = torch.bmm(grad_scores, own_k)
            if len(cut) == 1:
                grad_q = more_q
            else:
                grad_q[own] = more_q.view(-1, q.shape[1], tile.end - tile.start, q.shape[3])
            _collect(totals, (more_k, more_v), k, tile)
        grad_query = grad_q.new_empty(query_shape)
        grad_query[:, :heads] = _ungather(grad_q, queries, heads)
        grad_memory = None if ctx.memory_shape is None else grad_q.new_empty(ctx.memory_shape)
        into, first = (grad_query, heads) if grad_memory is None else (grad_memory, 0)
        for total in totals:
            total = torch.zeros_like(k) if total is None else total
            into[:, first : first + key_heads] = _ungather(total, keys, key_heads)
            first += key_heads
        return grad_query, grad_memory, grad_bias, *(9 * (None,))


def _weights(
    q: Tensor,
    k: Tensor,
    bias: Tensor | None,
    tile: Tile,
    layouts: tuple[PackedLayout, PackedLayout, Mask],
    factor: float,
) -> Tensor:
    """Return the weights (bK, Gt, s) of a tile's keys (bK, s, E) for its queries (bK, G, t, E)."""
    queries = layouts[0]
    (groups, size), seen, b = q.shape[1:3], k.shape[1], tile.sequences[1] - tile.sequences[0]
    scores = torch.baddbmm(
        q.new_empty(()),
        q.reshape(len(k), groups * size, k.shape[2]),
        k.transpose(1, 2),
        beta=0,
        alpha=factor,
    )
    shown = tile.allowed(*layouts)
    if shown is not None:
        hidden = torch.zeros(shown.shape, dtype=q.dtype, device=q.device)
        hidden.masked_fill_(~shown, float("-inf"))
        scores.view(b, -1, groups, size, seen).add_(hidden[:, :, None])
    if tile.repeats[1] > 1:
        scores[..., : tile.repeats[0]].add_(math.log(tile.repeats[1]))
    if bias is not None:
        scores.view(b, -1, size, seen).add_(tile.scores(bias))
    weights = torch.softmax(scores, -1)
    if shown is not None and not bool(shown.any(-1).all()):
        weights = weights.nan_to_num_(nan=0.0)  # a fully masked row gives zeros
    # Rows of padding must be zero, so that they add nothing to a gradient.
    if not queries.dense:
        real = queries.real[tile.rows(), tile.start : tile.end]
        weights.view(b, -1, size, seen).mul_(real[:, None, :, None])
    return weights


def _collect(
    totals: list[Tensor | None], more: tuple[Tensor, Tensor], like: Tensor, tile: Tile
) -> None:
    """Add the gradients of a tile's keys and values (bK, s, E) to `totals` (B, K, S, E)."""
    sees_all = tile.sequences == (0, len(like)) and tile.spans == ((0, like.shape[2]),)
    for place, one in enumerate(more):
        each, total = one.view(-1, like.shape[1], *one.shape[1:]), totals[place]
        if total is None and sees_all and tile.drawn is None:
            totals[place] = each
            continue
        if total is None:
            total = totals[place] = torch.zeros_like(like)
        tile.give(total[tile.rows()], each)


def _add_scores(total: Tensor, scores: Tensor, tile: Tile) -> None:
    """Add a tile's scores (bK, Gt, s) to `total` (B or 1, H, T, S) in place."""
    each = scores.view(-1, total.shape[1], tile.end - tile.start, scores.shape[2])
    if total.shape[0] > 1:
        total = total[tile.rows()]
    else:
        each = each.sum(0, keepdim=True)
    tile.give(total[:, :, tile.start : tile.end].transpose(2, 3), each.transpose(2, 3))


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
    factor = 1.0 / math.sqrt(query.shape[2]) if scale is None else scale
    is_plain = keys is None and queries is key_layout and bias is None and mask.segments is None
    is_still = not (torch.is_grad_enabled() and query.requires_grad)
    if mask.blocks is not None and is_plain and is_still and (rng is None or not probability):
        return block_attention(query, heads, queries, mask.blocks, factor)
    total, first = (query.shape[1], heads) if keys is None else (keys.shape[1], 0)
    key_heads = (total - first) // 2
    places = (
        queries.head_index(query.shape[1], 0, heads),
        key_layout.head_index(total, first, key_heads),
        key_layout.head_index(total, first + key_heads, key_heads),
        queries.pack_index(heads),
    )
    return _Attention.apply(  # type: ignore[return-value]
        query.contiguous(),
        keys,
        bias if bias is None else bias.to(query.dtype),
        heads,
        key_heads,
        queries,
        key_layout,
        places,
        mask,
        factor,
        probability,
        rng,
    )


def attend_cached(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor | None,
    scale: float | None = None,
    *,
    softcap: float | None = None,
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
    if softcap is not None:
        scores = scores.div_(softcap).tanh_().mul_(softcap)
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
