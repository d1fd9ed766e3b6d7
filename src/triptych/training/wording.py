"""Word what the training loop reports: stopped, validated, finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..messages import Message, message

if TYPE_CHECKING:
    from .checkpoint import LoopState


def stopped(step: int, command: str) -> Message:
    """Say that training was interrupted after a step, and how to go on."""
    if not step:
        return message("Stopped before the first step; nothing to save.")
    return message(
        "Stopped after step {step}, and saved. Go on with: {command}", step=step, command=command
    )


def validated(step: int, scores: Mapping[str, object], is_best: bool) -> Message:
    """Say what a validation scored."""
    listed = (f"{name} {value:.2f}" for name, value in scores.items() if isinstance(value, float))
    return message(
        "Step {step}, validation: {scores}{best}",
        step=step,
        scores=", ".join(listed),
        best=message(" (best)") if is_best else "",
    )


def finished(state: LoopState, chosen: int, path: Path) -> Message:
    """Say how long the training took, what its best score is, and which weights were written."""
    score = ""
    if state.best_score is not None:
        score = message(
            ", best {metric} {score:.2f} at step {step}",
            metric=state.metric,
            score=state.best_score,
            step=state.best_step,
        )
    return message(
        "Finished after {step} steps and {minutes:.1f} minutes{early}{score}. Weights of step "
        "{chosen}: {path}",
        step=state.step,
        minutes=state.seconds / 60,
        early=message(", stopped early") if state.stopped_early else "",
        score=score,
        chosen=chosen,
        path=path,
    )
