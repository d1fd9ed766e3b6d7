"""What is due after a step: a validation, a checkpoint, the end of the run."""

from __future__ import annotations

from .checkpoint import LoopState
from .settings import TrainingSettings, ValidationSettings

CHECKPOINT_MINUTES = 5.0  # where the settings name no interval
LOG_STEPS = 50  # between two lines of the log where the settings name no interval
LEAST_LINES = 50  # of metrics.jsonl, in every run of as many steps


def is_over(state: LoopState) -> bool:
    """Tell whether the run has reached its limit or lost its patience."""
    return state.fraction >= 1 or state.stopped_early


def line_is_due(step: int, settings: TrainingSettings) -> bool:
    """Tell whether metrics.jsonl gets a line after `step`.

    Without a setting the distance of lines grows with the step. So even a short run, or one that
    stops early, has enough points for a curve, and what is written depends on the step alone.
    """
    every = settings.log_every_steps or max(1, min(LOG_STEPS, step // LEAST_LINES))
    return step % every == 0


def validation_is_due(state: LoopState, settings: ValidationSettings) -> bool:
    """Tell whether to score the development data now, once for each step."""
    if state.validated_step == state.step:
        return False
    if is_over(state):
        return True
    if settings.every_steps is None and settings.every_minutes is None:
        return int(state.fraction * 10) > state.validated_tenths
    by_steps = settings.every_steps is not None and state.step % settings.every_steps == 0
    return by_steps or (
        settings.every_minutes is not None
        and state.seconds - state.validated_seconds >= 60 * settings.every_minutes
    )


def checkpoint_is_due(state: LoopState, settings: TrainingSettings) -> bool:
    """Tell whether to save the state now, once for each step."""
    if state.saved_step == state.step:
        return False
    if state.best_step == state.step:
        return True  # the best weights so far
    minutes = settings.checkpoint_every_minutes
    if settings.checkpoint_every_steps is None and minutes is None:
        minutes = CHECKPOINT_MINUTES
    by_steps = (
        settings.checkpoint_every_steps is not None
        and state.step % settings.checkpoint_every_steps == 0
    )
    return by_steps or (minutes is not None and state.seconds - state.saved_seconds >= 60 * minutes)
