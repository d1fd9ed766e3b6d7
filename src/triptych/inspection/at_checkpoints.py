"""Follow one head, or one other part, through the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .attribution import exact
from .interventions import ablated
from .probe import Probe
from .sites import Site, is_recurrent

KINDS = {("encoder", "self"): "encoder", ("decoder", "self"): "decoder"}


@dataclass(frozen=True, slots=True)
class AtStep:
    """Hold what a part does at one checkpoint.

    Args:
        step: Of the checkpoint; None: the run's own weights.
        score: Of the same answer by this checkpoint, usually a log-probability in nats.
        change: The score without the part, minus `score`.
        attention: Of the head, (T, S); None for a feed-forward or a whole part.
        loss: On development sentences, nats per target token; None: not measured.
        loss_change: The loss without the part, minus `loss`.
    """

    step: int | None
    score: float
    change: float
    attention: np.ndarray | None = None
    loss: float | None = None
    loss_change: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON; weights have four digits."""
        found: dict[str, Any] = {"step": self.step, "score": self.score, "change": self.change}
        if self.attention is not None:
            found["attention"] = np.round(self.attention.astype(float), 4).tolist()
        if self.loss is not None:
            found |= {"loss": self.loss, "loss_change": self.loss_change}
        return found


@dataclass(frozen=True, slots=True)
class AtCheckpoints:
    """Hold what one part does at each checkpoint, oldest first.

    Args:
        site: The part.
        steps: One for each checkpoint.
        examples: How many development sentences the losses are means over.
    """

    site: Site
    steps: list[AtStep]
    examples: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "site": str(self.site),
            "examples": self.examples,
            "steps": [one.to_json() for one in self.steps],
        }


@torch.no_grad()
def head_attention(model: Any, site: Site, inputs: Mapping[str, Tensor]) -> np.ndarray | None:
    """Return the attention of one head (T, S); None for a part without weights of its own."""
    has_weights = site.head is not None and site.part in ("self", "cross")
    if not has_weights or (is_recurrent(model) and not model.config.attention):
        return None
    kind = KINDS.get((site.stack, site.part), "cross")
    with exact(model):
        weights = model.attention_weights(kind=kind, **inputs)[:, 0].float()  # (L, H, T, S)
    return weights[site.layer, site.head].cpu().numpy()


def without(probe: Probe, site: Site) -> tuple[float, float]:
    """Return the probe's score, and how it changes without a part."""
    score = float(probe.measured()[0])
    with ablated(probe.model, [site]):
        return score, float(probe.measured()[0]) - score
