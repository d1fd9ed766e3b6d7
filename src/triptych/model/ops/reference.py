"""Plain references of the other files, with ordinary operations; tests compare the pairs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..layout import PackedLayout
from ..masks import FULL, Mask, allowed, shifted
from .dropout import DropoutRng
from .rotary import Angles


def plain_attention(
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
    *,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute what `attention` does: (N, H, E), and the weights (B, H, T, S) before dropout.

    Weights are zero at padding. The default scale is 1 / sqrt(E). With a softcap c (Gemma Team
    2024, section 2), which no fused kernel has, scores are c tanh(score / c).
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
    scores = q @ k.transpose(2, 3)  # (B, H, T, S)
    scores = scores / math.sqrt(q.shape[-1]) if scale is None else scores * scale
    if softcap is not None:
        scores = (scores / softcap).tanh() * softcap
    bias = shifted(bias, queries, keys, mask, scores.dtype)
    if bias is not None:
        scores = scores + bias
    pairs = allowed(queries, keys, mask)
    if pairs is not None:
        scores = scores.masked_fill(~pairs, float("-inf"))
    weights = scores.softmax(-1).nan_to_num(nan=0.0) * queries.real[:, None, :, None]
    kept = weights * rng.keep(weights, probability) if rng is not None and probability else weights
    return queries.pack((kept @ v).transpose(1, 2)), weights


def capped_attention(*scored: Any, softcap: float) -> Tensor:
    """Compute attention with a softcap over packed rows, on every device; see `PackedAttention`."""
    return plain_attention(*scored, softcap=softcap)[0]


def plain_projected_cross_entropy(
    states: Tensor,
    weight: Tensor,
    offset: Tensor | None,
    targets: Tensor,
    smoothing: float = 0.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute what `projected_cross_entropy` does."""
    log_probabilities = functional.linear(states, weight.to(states.dtype)).float()
    if offset is not None:
        log_probabilities = log_probabilities + offset
    if softcap is not None:
        log_probabilities = (log_probabilities / softcap).tanh() * softcap
    log_probabilities = log_probabilities.log_softmax(-1)
    nll = -log_probabilities.gather(1, targets[:, None]).sum()
    return (1 - smoothing) * nll - smoothing * log_probabilities.mean(1).sum(), nll.detach()


def plain_rotate(x: Tensor, angles: Angles) -> Tensor:
    """Compute what `rotate` does."""
    width = angles[0].shape[-1]
    first, second = x[..., :width].float().chunk(2, -1)
    cosine, sine = (part.chunk(2, -1)[1] for part in angles)
    turned = torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)
    return torch.cat((turned.to(x.dtype), x[..., width:]), -1)
