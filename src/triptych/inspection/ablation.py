"""Measure what each head and feed-forward is worth, by switching it off (Michel et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .interventions import MOST_TOKENS, Means, ablated
from .probe import Probe
from .sites import Site, is_recurrent, sites


@dataclass(frozen=True, slots=True)
class AblationMap:
    """Hold the change of one number when each site is off.

    Args:
        sites: What was switched off, one at a time.
        base: The number with all of them on.
        changes: With a site off, minus `base`.
        measure: "score" (nats, of the probe), "loss" (nats per target token on development
            sentences) or a metric of the task.
        has_means: Sites were replaced by their means over development sentences, not by zero.
        examples: How many development sentences were measured; 0: the probe alone.
    """

    sites: list[Site]
    base: float
    changes: list[float]
    measure: str = "score"
    has_means: bool = False
    examples: int = 0

    def rows(self) -> list[dict[str, object]]:
        """Return one record for each site."""
        return [
            {"measure": self.measure, "site": str(site), "change": change}
            for site, change in zip(self.sites, self.changes, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the map for JSON."""
        return {
            "measure": self.measure,
            "base": self.base,
            "replacement": "mean" if self.has_means else "zero",
            "examples": self.examples,
            "sites": [str(site) for site in self.sites],
            "changes": self.changes,
        }


def ablation_map(
    probe: Probe, chosen: Sequence[Site] | None = None, means: Means | None = None
) -> AblationMap:
    """Return the change of the probe's score with each site off: one batch, a row for each.

    Args:
        probe: The sequence and its score.
        chosen: The sites; None: every head and feed-forward of the model.
        means: What replaces a site; None: zero.
    """
    found = list(sites(probe.model) if chosen is None else chosen)
    if is_recurrent(probe.model):  # its context is off in all rows or in none
        base = float(probe.measured()[0])
        with ablated(probe.model, found, means):
            off = float(probe.measured()[0])
        return AblationMap(found, base, [off - base] * len(found), has_means=means is not None)
    probe = probe.cut()
    rows: list[list[Site]] = [[], *([one] for one in found)]
    tokens = sum(len(one) for name, one in probe.inputs.items() if name in ("source", "target"))
    most = max(1, MOST_TOKENS // tokens)
    values: list[float] = []
    for start in range(0, len(rows), most):
        part = rows[start : start + most]
        with ablated(probe.model, part, means):
            values += probe.measured(len(part)).tolist()
    changes = [value - values[0] for value in values[1:]]
    return AblationMap(found, values[0], changes, has_means=means is not None)


def measured_map(
    model: Any,
    measure: Callable[[], float],
    name: str,
    examples: int,
    chosen: Sequence[Site] | None = None,
    means: Means | None = None,
    done: Callable[[float], object] | None = None,
) -> AblationMap:
    """Return the change of any number, like a development loss or BLEU, with each site off.

    Args:
        model: The model that `measure` runs.
        measure: Computes the number.
        name: What the number is called.
        examples: How many sentences it is measured on.
        chosen: The sites; None: every head and feed-forward.
        means: What replaces a site; None: zero.
        done: Called with 1 after each site.
    """
    found = list(sites(model) if chosen is None else chosen)
    base, changes = measure(), list[float]()
    for site in found:
        with ablated(model, [site], means), torch.no_grad():
            changes.append(measure() - base)
        if done is not None:
            done(1)
    return AblationMap(found, base, changes, name, means is not None, examples)
