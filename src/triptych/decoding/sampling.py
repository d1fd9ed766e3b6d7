"""Drawing tokens: temperature, top-k, top-p, min-p. A row's draw depends on (seed, its index, the step) and on nothing else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .settings import DecodingSettings


def uniform(seed: int, rows: np.ndarray, step: int) -> np.ndarray:
    """(B,) float64 in [0, 1), a hash (SplitMix64, Steele et al. 2014) of seed, row and step."""
    with np.errstate(over="ignore"):
        x = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed % 2**63) * np.uint64(0xD1B54A32D192ED03)
        x += np.uint64(step + 1) * np.uint64(0x8CB92BA72F3D8DD7)
        for _ in range(2):
            x += np.uint64(0x9E3779B97F4A7C15)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53


def draw(logits: Tensor, settings: DecodingSettings, chance: np.ndarray) -> Tensor:
    """logits (B, V), chance (B,) in [0, 1) -> token ids (B,). Filters apply to the probabilities after the temperature."""
    ordered, order = (logits.float() / settings.temperature).sort(-1, descending=True)
    probabilities = ordered.softmax(-1).double()
    keep = torch.ones_like(probabilities, dtype=torch.bool)
    if settings.top_k:
        keep[:, settings.top_k :] = False
    if settings.top_p < 1:
        keep &= probabilities.cumsum(-1) - probabilities < settings.top_p  # the token that crosses p stays
    if settings.min_p > 0:
        keep &= probabilities >= settings.min_p * probabilities[:, :1]
    reached = (probabilities * keep).cumsum(-1)
    wanted = torch.from_numpy(chance).to(reached.device)[:, None] * reached[:, -1:]
    place = torch.searchsorted(reached, wanted, right=True).clamp_(max=logits.shape[1] - 1)
    return order.gather(1, place)[:, 0]
