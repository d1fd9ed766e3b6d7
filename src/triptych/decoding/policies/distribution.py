"""Draw tokens with temperature, top-k, top-p and min-p.

A row's draw depends on the seed, the row's name and the step, and on nothing else.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...model.typed import from_numpy
from ..settings import DecodingSettings

# The most probable tokens tried first for top-p; a row that needs more of them is sorted whole.
HEAD = 128


def uniform(seed: int | np.ndarray, rows: np.ndarray, step: int | np.ndarray) -> np.ndarray:
    """Return (B,) float64 in [0, 1), a hash (SplitMix64, Steele et al. 2014) of the arguments."""
    seeds = np.uint64(seed % 2**63) if isinstance(seed, int) else seed.astype(np.uint64)
    with np.errstate(over="ignore"):
        x = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = x + seeds * np.uint64(0xD1B54A32D192ED03)
        x += (np.asarray(step).astype(np.uint64) + np.uint64(1)) * np.uint64(0x8CB92BA72F3D8DD7)
        for _ in range(2):
            x += np.uint64(0x9E3779B97F4A7C15)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53


def draw(logits: Tensor, settings: DecodingSettings, uniforms: np.ndarray) -> Tensor:
    """Draw token ids (B,) from logits (B, V) with uniform draws (B,) in [0, 1).

    Filters apply to the probabilities after the temperature. A token is drawn by inverting the
    cumulative distribution, in the order of ids, or of probability under top-k and top-p.
    """
    scaled = _scaled(logits, settings)
    if settings.top_k == 0 and settings.top_p == 1:
        probabilities = scaled.softmax(-1)
        if settings.min_p > 0:
            probabilities = probabilities * (
                probabilities >= settings.min_p * probabilities.amax(-1, keepdim=True)
            )
        return invert(probabilities, uniforms)
    norms = torch.logsumexp(scaled, -1, keepdim=True)
    width = min(settings.top_k or HEAD, logits.shape[1])
    values, order = scaled.topk(width, -1)
    probabilities = (values - norms).exp()
    whole = settings.top_k > 0 or width == logits.shape[1]
    missing = (
        torch.zeros(0, dtype=torch.int64)
        if whole
        else (probabilities.sum(-1) < settings.top_p).nonzero()[:, 0]
    )
    tokens = order.gather(1, invert(_filter(probabilities, settings), uniforms)[:, None])[:, 0]
    if missing.numel():
        values, order = scaled[missing].sort(-1, descending=True)
        kept = _filter((values - norms[missing]).exp(), settings)
        tokens[missing] = order.gather(1, invert(kept, uniforms[missing.cpu().numpy()])[:, None])[
            :, 0
        ]
    return tokens


def distribution(logits: Tensor, settings: DecodingSettings) -> Tensor:
    """Return the probabilities (B, V) fp32 with which `draw` draws each token."""
    scaled = _scaled(logits, settings)
    if settings.top_k == 0 and settings.top_p == 1:
        probabilities = scaled.softmax(-1)
        if settings.min_p == 0:
            return probabilities
        kept = probabilities * (
            probabilities >= settings.min_p * probabilities.amax(-1, keepdim=True)
        )
        return kept / kept.sum(-1, keepdim=True)
    norms = torch.logsumexp(scaled, -1, keepdim=True)
    values, order = scaled.topk(min(settings.top_k or logits.shape[1], logits.shape[1]), -1)
    kept = _filter((values - norms).exp(), settings)
    return torch.zeros_like(scaled).scatter_(1, order, kept / kept.sum(-1, keepdim=True))


def _scaled(logits: Tensor, settings: DecodingSettings) -> Tensor:
    """Divide logits (B, V) by the temperature -> (B, V) fp32, shifted so that the largest is 0.

    Without the shift they would overflow fp32 at a very small temperature.
    """
    logits = logits.float()
    return (logits - logits.amax(-1, keepdim=True)) / max(settings.temperature, 1e-30)


def _filter(probabilities: Tensor, settings: DecodingSettings) -> Tensor:
    """Set to zero what top-p and min-p leave out of falling probabilities (B, k).

    The token that crosses p stays.
    """
    before = probabilities.double().cumsum(-1) - probabilities
    keep = (before < settings.top_p) & (probabilities >= settings.min_p * probabilities[:, :1])
    return probabilities * keep


def invert(weights: Tensor, uniforms: np.ndarray) -> Tensor:
    """Map weights (B, k) and uniform draws (B,) in [0, 1) -> places (B,).

    A place is drawn with a probability in proportion to its weight.
    """
    reached = weights.double().cumsum(-1)
    wanted = from_numpy(uniforms).to(reached.device)[:, None] * reached[:, -1:]
    place = torch.searchsorted(reached, wanted, right=True)[:, 0]
    last = (reached < reached[:, -1:]).sum(-1)  # the last place with any weight
    return torch.minimum(place, last)
