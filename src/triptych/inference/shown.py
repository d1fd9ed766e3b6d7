"""Describe a loaded model, for a Python prompt and a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from ..errors import TriptychError
from ..presets.estimate import size_of

if TYPE_CHECKING:
    from .loaded import LoadedModel

NO_SCORES = ("step", "split", "best", "epoch", "seconds")  # of a line of metrics.jsonl
CELL = "text-align: left; padding: 0.1em 0.8em 0.1em 0; border: 0; background: none"


def facts(loaded: LoadedModel) -> dict[str, str]:
    """Return what identifies a model: task, architecture, size, run and its best score."""
    config = loaded.model.config
    vocabulary = {config.vocabulary_size, getattr(config, "source_vocabulary_size", None)} - {None}
    found = {
        "task": loaded.task.name,
        "architecture": f"{_architecture(loaded)} {'Transformer' if config.stacks else 'RNN'}",
        "shape": size_of(config),
        "parameters": f"{_parameters(loaded):,}",
        "vocabulary": " and ".join(f"{size:,}" for size in sorted(vocabulary)),
    }
    targets = loaded.languages.get("targets", [])
    if targets:
        found["target languages"] = ", ".join(targets)
    if loaded.run is not None:
        found["run"] = str(loaded.run.path)
    score = best_score(loaded)
    if score:
        found["best validation"] = score
    return found


def text(loaded: LoadedModel) -> str:
    """Return the facts on one line, as `repr` prints them."""
    known = facts(loaded)
    parts = [
        f"{known['task']}: {known['architecture']}",
        f"{known['parameters']} parameters",
        f"vocabulary {known['vocabulary']}",
        *([f"run {known['run']!r}"] if "run" in known else []),
        *([known["best validation"]] if "best validation" in known else []),
    ]
    return f"Predictor({', '.join(parts)})"


def markup(loaded: LoadedModel) -> str:
    """Return the facts as a table that leaves the notebook's own style alone."""
    rows = "".join(
        f'<tr style="background: none"><th style="{CELL}">{html.escape(name)}</th>'
        f'<td style="{CELL}">{html.escape(value)}</td></tr>'
        for name, value in facts(loaded).items()
    )
    return f"<div><strong>{html.escape(loaded.name)}</strong><table>{rows}</table></div>"


def best_score(loaded: LoadedModel) -> str:
    """Return the first score of the best validation with its name, or nothing without one."""
    if loaded.run is None:
        return ""
    try:
        lines = loaded.run.read_metrics()
    except TriptychError:
        return ""  # What is shown of a model must not fail where the model itself works.
    best = next((line for line in reversed(lines) if line.get("best")), {})
    for name, value in best.items():
        if name not in NO_SCORES and isinstance(value, int | float):
            return f"{name} {value:.2f}"
    return ""


def _architecture(loaded: LoadedModel) -> str:
    architecture = loaded.task.spec.architecture
    return architecture if "-" in architecture else f"{architecture}-only"


def _parameters(loaded: LoadedModel) -> int:
    if loaded.config is not None and loaded.config.parameters:
        return loaded.config.parameters
    return sum(parameter.numel() for parameter in loaded.model.parameters())
