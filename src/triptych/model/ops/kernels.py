"""The few places where the hardware decides how a formula is computed, each beside its plain
reference.

`DropoutRng` draws dropout bits; `attention` is scaled dot-product attention over packed rows, or of
new tokens to cached keys;
`projected_cross_entropy` is the vocabulary projection and its loss in one pass. Plain references
(`plain_*`) compute the same formulas with ordinary operations; tests hold the pairs together.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..masks import PackedLayout, allowed

BLOCK = 128  # queries of a causal sequence that are computed together
# logits computed at a time: rows x vocabulary that stay in the last-level cache
CHUNK_LOGITS = 8_000_000


class DropoutRng:
    """Dropout's only source of chance: seeded anew for every micro-batch, so nothing depends on
    what ran before.

    On a CPU the bytes come from numpy's SFC64 (about ten times faster than `torch.bernoulli`);
    elsewhere from torch.
    """

    def __init__(self) -> None:
        self.seed(0)

    def seed(self, seed: int) -> None:
        self._seed = seed
        self._numpy = np.random.Generator(np.random.SFC64(seed))
        self._torch: torch.Generator | None = None

    def keep(self, x: Tensor, probability: float) -> Tensor:
        """x's shape and dtype: 0 where dropped, else the factor that keeps the mean. Probabilities
        move in steps of 1/256.

        Of bf16 on a CPU it is the factor's bit pattern times 0 or 1, in numpy: torch has no fast
        way from bytes or booleans to 16 bits. Elsewhere comparing into a float tensor avoids
        boolean operands, which convert at six times the cost of the multiplication.
        """
        threshold = max(1, min(255, round(probability * 256)))  # bytes below this are dropped
        factor, count, device = 256.0 / (256 - threshold), x.numel(), x.device
        if device.type == "cpu":
            words = self._numpy.bit_generator.random_raw((count + 7) // 8)
            drawn = torch.from_numpy(words.view(np.uint8))[:count].view(x.shape)
        else:
            if self._torch is None or self._torch.device != device:
                self._torch = torch.Generator(device).manual_seed(self._seed)
            drawn = torch.randint(
                0, 256, x.shape, dtype=torch.uint8, device=device, generator=self._torch
            )
        if x.dtype == torch.bfloat16 and device.type == "cpu":
            bits = torch.tensor(factor, dtype=x.dtype).view(torch.int16).numpy()
            return torch.from_numpy(
                np.multiply((drawn.numpy() >= threshold).view(np.int8), bits, dtype=np.int16)
            ).view(x.dtype)
        return torch.ge(drawn, threshold, out=torch.empty_like(x)).mul_(factor)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor) -> Tensor:
        ctx.save_for_backward(keep)
        return x * keep

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return grads[0] * keep, None


class _DropoutAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, keep: Tensor) -> Tensor:
        ctx.save_for_backward(keep)
        return torch.addcmul(residual, x, keep)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (keep,) = ctx.saved_tensors
        return grads[0], grads[0] * keep, None


def dropout(x: Tensor, probability: float, rng: DropoutRng | None) -> Tensor:
    """Zero each element with `probability`, scale the others up. `rng` None: nothing is
    dropped.
    """
    if rng is None or probability == 0.0:
        return x
    return _Dropout.apply(x, rng.keep(x.detach(), probability))  # type: ignore[return-value]


def add_dropped(residual: Tensor, x: Tensor, probability: float, rng: DropoutRng | None) -> Tensor:
    """residual + dropout(x): the residual connection (Vaswani et al. 2017, section 5.4)."""
    if rng is None or probability == 0.0:
        return residual + x
    return _DropoutAdd.apply(residual, x, rng.keep(x.detach(), probability))  # type: ignore[return-value]


class _Attention(torch.autograd.Function):
    """softmax(scale Q K^T + bias) V over packed rows, with its derivative written out.

    Padding exists only inside. Gathers go both ways by index, so the backward needs no scattered
    additions. Of long causal
    sequences the queries go in blocks, each against the keys up to its own end: half of all scores
        are never computed.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        memory: Tensor | None,
        heads: int,
        key_heads: int,
        queries: PackedLayout,
        keys: PackedLayout,
        places: tuple[Tensor, ...],
        mask: Tensor | None,
        blocks: list[tuple[int, int, int]],
        probability: float,
        rng: DropoutRng | None,
    ) -> Tensor:
        source = (query if memory is None else memory).reshape(-1, query.shape[2])
        (b, t, s), width = (queries.count, queries.longest, keys.longest), query.shape[2]
        groups = heads // key_heads
        # (BK, G, T, E), (BK, S, E), (BK, S, E)
        q = (
            query.reshape(-1, width)
            .index_select(0, places[0])
            .view(b * key_heads, groups, t, width)
        )
        k = source.index_select(0, places[1]).view(b * key_heads, s, width)
        v = source.index_select(0, places[2]).view(b * key_heads, s, width)
        factor, kept, out = 1.0 / math.sqrt(width), [], []
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
            if mask is not None:
                shown = mask[:, :, start:end, :seen] if mask.shape[2] > 1 else mask
                bias = torch.zeros(shown.shape, dtype=q.dtype, device=q.device)
                bias.masked_fill_(~shown, float("-inf"))
                scores.view(b, key_heads, groups, size, seen).add_(bias[:, :, None])
            weights = torch.softmax(scores, -1)
            if mask is not None and not bool(shown.any(-1).all()):
                weights = weights.nan_to_num_(nan=0.0)  # a fully masked row gives zeros
            # rows of no token: zero, so that they give nothing to anyone's gradient
            if not queries.dense:
                weights.view(b, heads, size, seen).mul_(queries.real[:, None, start:end, None])
            keep = None if rng is None or not probability else rng.keep(weights, probability)
            # (BK, GT, E)
            mixed = torch.bmm(weights if keep is None else weights * keep, v[:, :seen])
            out.append(mixed.view(b * key_heads, groups, size, width))
            kept += [weights, keep]
        ctx.save_for_backward(q, k, v, *kept)
        ctx.sizes = (heads, key_heads, queries, keys, query.shape, blocks)
        ctx.memory_shape = None if memory is None else memory.shape
        whole = (out[0] if len(out) == 1 else torch.cat(out, 2)).reshape(-1, width)
        return whole.index_select(0, places[3]).view(queries.total, heads, width)  # (N, H, E)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        q, k, v, *kept = ctx.saved_tensors
        heads, key_heads, queries, keys, query_shape, blocks = ctx.sizes
        grad = _gather(grads[0].contiguous(), queries, 0, heads).view(q.shape)
        parts, grad_k, grad_v = [], torch.empty(0), torch.empty(0)
        # the last block sees all keys
        for number, (start, end, seen) in reversed(list(enumerate(blocks))):
            weights, keep = kept[2 * number : 2 * number + 2]
            own_q, own_grad = _rows(q, start, end), _rows(grad, start, end)
            dropped = weights if keep is None else weights * keep
            more_v = torch.bmm(dropped.transpose(1, 2), own_grad)
            grad_weights = torch.bmm(own_grad, v[:, :seen].transpose(1, 2))
            if keep is not None:
                grad_weights = grad_weights.mul_(keep)
            factor = 1.0 / math.sqrt(q.shape[-1])
            grad_scores = torch._softmax_backward_data(
                grad_weights, weights, -1, weights.dtype
            ).mul_(factor)
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
        return grad_query, grad_memory, *(9 * (None,))


def _rows(x: Tensor, start: int, end: int) -> Tensor:
    """(BK, G, T, E) -> (BK, G * (end - start), E)."""
    return x[:, :, start:end].reshape(x.shape[0], -1, x.shape[3])


def _gather(x: Tensor, rows: PackedLayout, first: int, heads: int) -> Tensor:
    """(N, total heads, E) packed -> (B, heads, T, E) padded."""
    return x.reshape(-1, x.shape[2]).index_select(0, rows.head_index(x.shape[1], first, heads))


def _ungather(x: Tensor, rows: PackedLayout, heads: int) -> Tensor:
    """(B, heads, T, E) padded, in any view -> (N, heads, E) packed."""
    return (
        x.reshape(-1, x.shape[-1])
        .index_select(0, rows.pack_index(heads))
        .view(rows.total, heads, x.shape[-1])
    )


class CachedKeys(NamedTuple):
    """Keys and values (R, K, S, E) that a cache holds, and what is added to their scores."""

    keys: Tensor
    values: Tensor
    bias: Tensor | None


def attention(
    query: Tensor,
    keys: Tensor | CachedKeys | None,
    heads: int,
    queries: PackedLayout | None = None,
    key_layout: PackedLayout | None = None,
    is_causal: bool = False,
    probability: float = 0.0,
    rng: DropoutRng | None = None,
) -> Tensor:
    """Mix values by scaled dot-product attention (Vaswani et al. 2017, section 3.2).

    Self-attention over packed rows: query (N, H + 2K, E) holds queries, keys and values, keys is
    None and both layouts are the same. Attention to a memory: query (N, H, E), keys (M, 2K, E)
    holds keys and values. Returns (N, H, E). Fully masked rows give zeros. To cached keys: query
    (B, T, H, E) -> (B, T, H, E).
    """
    if isinstance(keys, CachedKeys):
        return attend_cached(query.contiguous(), *keys)
    assert queries is not None and key_layout is not None, "packed rows have a layout"
    total, first = (query.shape[1], heads) if keys is None else (keys.shape[1], 0)
    key_heads = (total - first) // 2
    places = (
        queries.head_index(query.shape[1], 0, heads),
        key_layout.head_index(total, first, key_heads),
        key_layout.head_index(total, first + key_heads, key_heads),
        queries.pack_index(heads),
    )
    mask = allowed(queries, key_layout, is_causal)
    # (start, end of the queries, number of keys they may see), computed one after the other
    queried, seen = queries.longest, key_layout.longest
    blocks = [(0, queried, seen)]
    if is_causal and queried == seen and queried > BLOCK:
        ends = [*range(BLOCK, queried, BLOCK), queried]
        blocks = [(start, end, end) for start, end in pairwise([0, *ends])]
    return _Attention.apply(  # type: ignore[return-value]
        query.contiguous(),
        keys,
        heads,
        key_heads,
        queries,
        key_layout,
        places,
        mask,
        blocks,
        probability,
        rng,
    )


def plain_attention(
    query: Tensor,
    memory: Tensor | None,
    heads: int,
    queries: PackedLayout,
    keys: PackedLayout,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor]:
    """The reference of `attention` without dropout: (N, H, E) and the weights (B, H, T, S), zero
    outside real tokens.
    """
    source = query if memory is None else memory
    first = heads if memory is None else 0
    key_heads = (source.shape[1] - first) // 2
    q = queries.pad(query[:, :heads]).transpose(1, 2)  # (B, H, T, E)
    k = (
        keys.pad(source[:, first : first + key_heads])
        .transpose(1, 2)
        .repeat_interleave(heads // key_heads, 1)
    )
    v = (
        keys.pad(source[:, first + key_heads :])
        .transpose(1, 2)
        .repeat_interleave(heads // key_heads, 1)
    )
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (B, H, T, S)
    mask = allowed(queries, keys, is_causal)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = scores.softmax(-1).nan_to_num(nan=0.0) * queries.real[:, None, :, None]
    return queries.pack((weights @ v).transpose(1, 2)), weights


class _ProjectedCrossEntropy(torch.autograd.Function):
    """Loss and gradient chunk by chunk: the (N, V) logits never exist at once.

    The gradient of the logits is softmax - (1 - smoothing) onehot - smoothing / V; its last term
    has rank one, so it reaches states and weight as a row and a column sum and costs no pass over
    the logits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        offset: Tensor | None,
        targets: Tensor,
        smoothing: float,
    ) -> tuple[Tensor, Tensor]:
        count, vocabulary = states.shape[0], weight.shape[0]
        compute, spread = weight.to(states.dtype), smoothing / vocabulary
        weight_sum = weight.float().sum(0)  # (D,)
        wanted, learnt = any(ctx.needs_input_grad[:3]), ctx.needs_input_grad[1]
        grad_states = torch.empty_like(states)
        # of a frozen table: none
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if learnt else None
        grad_offset = None if offset is None else torch.zeros_like(offset, dtype=torch.float32)
        nll = states.new_zeros((), dtype=torch.float32)
        target_sum = states.new_zeros((), dtype=torch.float32)
        rows = max(1, CHUNK_LOGITS // vocabulary)
        for start in range(0, count, rows):
            chunk, wants = states[start : start + rows], targets[start : start + rows]
            # scatter_ copies all logits on a CPU
            places = torch.arange(wants.numel(), device=wants.device) * vocabulary + wants
            # (n, V)
            logits = functional.linear(
                chunk, compute, None if offset is None else offset.to(states.dtype)
            )
            target_sum += logits.view(-1)[places].float().sum()
            probabilities = torch.softmax(logits, -1)
            of_targets = probabilities.view(-1)[places]
            nll -= of_targets.float().clamp_min(1e-30).log_().sum()
            if not wanted:
                continue
            probabilities.view(-1).index_copy_(0, places, of_targets - (1 - smoothing))
            grad_states[start : start + rows] = probabilities @ compute
            if grad_weight is not None:
                grad_weight += probabilities.T @ chunk
            if grad_offset is not None:
                grad_offset += probabilities.float().sum(0)
        # sum over rows of (log norm - mean logit), from sums that are at hand
        states_sum = states.float().sum(0)  # (D,)
        mean_logits = (
            states_sum @ weight_sum + (0.0 if offset is None else count * offset.float().sum())
        ) / vocabulary
        smoothed = (1 - smoothing) * nll + smoothing * (nll + target_sum - mean_logits)
        if wanted:
            grad_states.sub_((spread * weight_sum).to(states.dtype))
            if grad_weight is not None:
                grad_weight.sub_(spread * states_sum)
            if grad_offset is not None:
                grad_offset.sub_(spread * count)
        ctx.save_for_backward(grad_states, grad_weight, grad_offset)
        ctx.mark_non_differentiable(nll)
        return smoothed, nll

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        grad_states, grad_weight, grad_offset = ctx.saved_tensors
        factor = grads[0]
        return (
            grad_states * factor.to(grad_states.dtype),
            None if grad_weight is None else grad_weight * factor,
            None if grad_offset is None else grad_offset * factor,
            None,
            None,
        )


def projected_cross_entropy(
    states: Tensor,
    weight: Tensor,
    offset: Tensor | None,
    targets: Tensor,
    smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Sum over N of the label-smoothed cross-entropy, and of the plain one, of softmax(states W^T +
    offset).

    states (N, D), weight (V, D), offset (V,) or None, targets (N,) int64; both results are scalars
    in nats (fp32). Only the first carries a gradient. Label smoothing as in Szegedy et al. 2016,
    section 7.
    """
    return _ProjectedCrossEntropy.apply(states, weight, offset, targets, smoothing)  # type: ignore[return-value]


def plain_projected_cross_entropy(
    states: Tensor, weight: Tensor, offset: Tensor | None, targets: Tensor, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The reference of `projected_cross_entropy`."""
    log_probabilities = functional.linear(states, weight.to(states.dtype)).float()
    if offset is not None:
        log_probabilities = log_probabilities + offset
    log_probabilities = log_probabilities.log_softmax(-1)
    nll = -log_probabilities.gather(1, targets[:, None]).sum()
    return (1 - smoothing) * nll - smoothing * log_probabilities.mean(1).sum(), nll.detach()


def attend_cached(query: Tensor, keys: Tensor, values: Tensor, mask_bias: Tensor | None) -> Tensor:
    """Attention of new tokens to cached keys while decoding.

    query (B, T, H, E); keys, values (R, K, S, E), where each of the R sources serves B / R
    consecutive rows (the beams of a sentence), so that nothing is copied for them; mask_bias None
    or (R, 1, B / R or 1, T or 1, S). Returns (B, T, H, E).
    """
    (count, steps, heads, width), (sources, key_heads, length) = query.shape, keys.shape[:3]
    beams, groups = count // sources, heads // key_heads
    single = beams * steps == 1  # the heads of a row stand in order already
    q = (
        query
        if single
        else query.view(sources, beams, steps, key_heads, groups, width).permute(0, 3, 1, 4, 2, 5)
    )
    q = q.reshape(sources * key_heads, beams * groups * steps, width)
    k, v = keys.view(-1, length, width), values.view(-1, length, width)
    # a compiled program has passes of its own that cost less than a product's call
    fused = torch.compiler.is_compiling() and sources == 1
    if fused:
        scores = (q[:, :, None].float() * k[:, None]).sum(-1) * (1.0 / math.sqrt(width))
    else:
        scores = torch.baddbmm(
            q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=1.0 / math.sqrt(width)
        )
    if mask_bias is not None:
        scores.view(sources, key_heads, beams, groups, steps, length).add_(mask_bias.unsqueeze(3))
    weights = torch.softmax(scores, -1)
    mixed = (weights[..., None] * v[:, None]).sum(2).to(v.dtype) if fused else torch.bmm(weights, v)
    if single:
        return mixed.view(count, 1, heads, width)
    return (
        mixed.view(sources, key_heads, beams, groups, steps, width)
        .permute(0, 2, 4, 1, 3, 5)
        .reshape(count, steps, heads, width)
    )
