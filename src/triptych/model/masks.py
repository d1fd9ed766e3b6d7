"""Who may look at whom. Masks come from lengths and predicates, never from pad ids."""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import PackedLayout


def allowed(queries: PackedLayout, keys: PackedLayout, is_causal: bool) -> Tensor | None:
    """Return (B or 1, 1, T or 1, S) bool of the pairs that may attend, or None when all may.

    Causal: query t may see key s when s <= t (Vaswani et al. 2017, section 3.2.3).
    """
    mask = None if keys.dense else keys.real[:, None, None, :]
    if is_causal:
        size, device = (queries.longest, keys.longest), keys.lengths.device
        triangle = torch.ones(size, dtype=torch.bool, device=device).tril()[None, None]
        mask = triangle if mask is None else mask & triangle
    return mask
