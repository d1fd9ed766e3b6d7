"""Losses of classification."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def losses(
    logits: Tensor,
    temperature: Tensor,
    targets: Tensor,
    kind: str,
    smoothing: float = 0.0,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the loss to minimise and the negative log-likelihood, summed over texts, in nats.

    Args:
        logits: (B, C).
        temperature: (1,), divides the logits for the second result.
        targets: (B,), or (B * C,) for "labels".
        kind: "label", where a target of -1 is ignored; "labels" of 0 and 1, averaged for each text;
            or "value", with the squared error.
        smoothing: Label smoothing.
        weights: (B,), multiplies the loss to minimise of each text, for "label".
    """
    if kind == "value":
        squared = (logits[:, 0] - targets).square().sum()
        return squared, squared
    scaled = logits / temperature.float()
    if kind == "label":
        if weights is None:
            learnt = functional.cross_entropy(
                logits, targets, ignore_index=-1, reduction="sum", label_smoothing=smoothing
            )
        else:
            each = functional.cross_entropy(
                logits, targets, ignore_index=-1, reduction="none", label_smoothing=smoothing
            )
            learnt = (each * weights).sum()
        return learnt, functional.cross_entropy(scaled, targets, ignore_index=-1, reduction="sum")
    wanted = targets.view_as(logits)
    smoothed = wanted * (1 - smoothing) + smoothing / 2
    binary = functional.binary_cross_entropy_with_logits
    return tuple(
        binary(x, y, reduction="sum") / logits.shape[1]
        for x, y in ((logits, smoothed), (scaled, wanted))
    )  # type: ignore[return-value]


def r_drop_divergence(logits: Tensor, kind: str) -> Tensor:
    """Return half the symmetric divergence of two passes (R-Drop, Liang et al. 2021, section 2)."""
    first, second = logits.chunk(2)
    if kind == "value":
        return (first - second).square().sum()
    if kind == "labels":
        gap = (torch.sigmoid(first) - torch.sigmoid(second)) * (first - second)
        return gap.sum() / logits.shape[1]
    p, q = (torch.log_softmax(each, -1) for each in (first, second))
    return ((p.exp() - q.exp()) * (p - q)).sum()
