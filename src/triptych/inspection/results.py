"""Gather what interventions found for one text: for the page, a file, and `Trace.interventions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .ablation import AblationMap
from .at_checkpoints import AtCheckpoints
from .attributions import DeletionCurves
from .contributions import Contributions
from .gold_heads import GoldHeads
from .lens import Lens
from .patching import Patching

VERSION = 1  # of the JSON format
COLUMNS = ("view", "place", "position", "token", "value")  # of the CSV format
Row = tuple[str, str, int | str, str, float | int | str]


@dataclass(kw_only=True)
class InterventionResults:
    """Hold what interventions found. Positions count tokens, from 1 in files and on pages.

    Args:
        source: Labels of the encoder's tokens.
        target: Labels of the decoder's tokens, as they were read.
        written: Labels of the tokens that the decoder's rows predict.
        score: What was scored: "" for the whole answer, else a token or label.
        value: The score, usually a log-probability in nats.
        without: Sites that are off in everything here.
        has_means: They are replaced by their means, not by zero.
        ablation: Maps of the score and of development metrics.
        lens: Of each stack; `answers` names the places of its likeliest answers (S, R, K).
        answers: Labels of the likeliest answers of each lens.
        patching: Between this sentence and `other`.
        other: Labels of the tokens of the other sentence, on the patched side.
        contributions: To the chosen minus the rival logit.
        attributions: Method -> a number for each token of `axis`.
        axis: "source" or "target": whose tokens are attributed.
        deletion: Mean deletion curves over development sentences.
        arcs: How often each head's most attended word is the gold head.
        checkpoints: Parts that were followed through the run's checkpoints.
    """

    source: list[str] = field(default_factory=list[str])
    target: list[str] = field(default_factory=list[str])
    written: list[str] = field(default_factory=list[str])
    score: str = ""
    value: float = 0.0
    without: list[str] = field(default_factory=list[str])
    has_means: bool = False
    ablation: list[AblationMap] = field(default_factory=list[AblationMap])
    lens: list[Lens] = field(default_factory=list[Lens])
    answers: list[list[list[list[str]]]] = field(default_factory=list[list[list[list[str]]]])
    patching: list[Patching] = field(default_factory=list[Patching])
    other: list[list[str]] = field(default_factory=list[list[str]])
    contributions: Contributions | None = None
    attributions: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    axis: str = "source"
    deletion: DeletionCurves | None = None
    arcs: GoldHeads | None = None
    checkpoints: list[AtCheckpoints] = field(default_factory=list[AtCheckpoints])

    @property
    def tokens(self) -> list[str]:
        """Return the labels of the attributed tokens."""
        return self.source if self.axis == "source" else self.target

    def row_labels(self, lens: Lens) -> list[str]:
        """Return what the rows of a lens are called: tokens read by a stack, or a head's rows."""
        count = lens.probabilities.shape[1]
        known = self.target if lens.stack == "decoder" else self.source
        return known if len(known) == count else [str(row) for row in range(1, count + 1)]

    def to_json(self) -> dict[str, Any]:
        """Return everything for JSON, with the version of its format."""
        found: dict[str, Any] = {
            "version": VERSION,
            "source": self.source,
            "target": self.target,
            "written": self.written,
            "score": {"of": self.score, "value": self.value},
            "without": self.without,
            "replacement": "mean" if self.has_means else "zero",
        }
        if self.ablation:
            found["ablation"] = [one.to_json() for one in self.ablation]
        if self.lens:
            found["lens"] = [
                {**one.to_json(), "answers": answers}
                for one, answers in zip(self.lens, self.answers, strict=True)
            ]
        if self.patching:
            found["patching"] = [
                {**one.to_json(), "other_tokens": other}
                for one, other in zip(self.patching, self.other, strict=True)
            ]
        if self.contributions is not None:
            found["contributions"] = self.contributions.to_json()
        if self.attributions:
            values = {name: one.tolist() for name, one in self.attributions.items()}
            found["attributions"] = {"axis": self.axis, "values": values}
        if self.deletion is not None:
            found["deletion"] = self.deletion.to_json()
        if self.arcs is not None:
            found["arcs"] = self.arcs.to_json()
        if self.checkpoints:
            found["checkpoints"] = [one.to_json() for one in self.checkpoints]
        return found

    def rows(self) -> list[Row]:
        """Return every number as one row for CSV, in the order of COLUMNS."""
        found: list[Row] = []
        for one in self.ablation:
            found += [
                (f"ablation of {one.measure}", str(site), "", "", change)
                for site, change in zip(one.sites, one.changes, strict=True)
            ]
        for one in self.lens:
            names, view = self.row_labels(one), f"lens of {one.stack}"
            for stage, name in enumerate(one.stages):
                for kind, table in (("probability", one.probabilities), ("rank", one.ranks)):
                    found += _cells(f"{view}, {kind}", name, names, table[stage])
        for one, other in zip(self.patching, self.other, strict=True):
            for layer, name in enumerate(one.layers):
                found += _cells(f"patching of {one.stack}", name, other, one.changes[layer])
        if self.contributions is not None:
            pairs = zip(self.contributions.names, self.contributions.values, strict=True)
            found += [("contribution", name, "", "", float(value)) for name, value in pairs]
        for name, values in self.attributions.items():
            found += _cells("attribution", name, self.tokens, values)
        if self.deletion is not None:
            for name, curve in self.deletion.curves.items():
                for share, value in zip(self.deletion.shares, curve, strict=True):
                    found.append(("deletion", name, f"{share:.1f}", "", float(value)))
        return [*found, *self._kept_rows()]

    def _kept_rows(self) -> list[Row]:
        """Return the rows of gold arcs and checkpoints."""
        found: list[Row] = []
        if self.arcs is not None:
            for row, name in enumerate(self.arcs.relations):
                pairs = [*zip(map(str, self.arcs.sites), self.arcs.shares[row], strict=True)]
                pairs += [(f"offset {at:+d}", each[row]) for at, each in self.arcs.offsets.items()]
                found += [("arcs", place, "", name, float(share)) for place, share in pairs]
        for one in self.checkpoints:
            for at in one.steps:
                step = "final" if at.step is None else at.step
                values = {"score": at.score, "change": at.change}
                if at.loss is not None and at.loss_change is not None:
                    values |= {"loss": at.loss, "loss change": at.loss_change}
                for name, value in values.items():
                    found.append((f"checkpoint, {name}", str(one.site), step, "", value))
        return found


def _cells(view: str, place: str, names: Sequence[str], values: np.ndarray) -> list[Row]:
    return [
        (view, place, position, name, value.item())
        for position, (name, value) in enumerate(zip(names, values, strict=True), 1)
    ]
