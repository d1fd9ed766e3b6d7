"""The learning rate over the run, as a share of its peak."""

from __future__ import annotations

import math

from .settings import TrainingSettings


def fraction_done(
    settings: TrainingSettings, step: int, seconds: float, epoch: float = 0.0
) -> float:
    """How much of the run is behind us, 0 to 1, by the limit that comes first. epoch: passes over
    the data so far.
    """
    by_steps = step / settings.steps if settings.steps else 0.0
    by_time = seconds / (60 * settings.minutes) if settings.minutes else 0.0
    by_epochs = epoch / settings.epochs if settings.epochs else 0.0
    return min(1.0, max(by_steps, by_time, by_epochs))


def rate(
    settings: TrainingSettings, step: int, fraction: float, ahead: float | None = None
) -> float:
    """The learning rate of step `step` (the first is 1) with `fraction` of the run done.

    Every schedule rises linearly over `warmup_steps`, or over `warmup_share` of the run, where
    `ahead` is the fraction that is done after this step (None: as before it). inverse_square_root:
    Vaswani et al. 2017, section 5.3; trapezoid: constant, then linear (Hägele et al. 2024); cosine:
    Loshchilov & Hutter 2017.
    """
    warmup, floor = max(1, settings.warmup_steps), settings.final_rate
    if settings.warmup_share is None:
        rising = min(1.0, step / warmup)
    else:
        rising = (
            min(1.0, (fraction if ahead is None else ahead) / settings.warmup_share)
            if settings.warmup_share
            else 1.0
        )
    match settings.schedule:
        case "inverse_square_root":
            share = min(1.0, math.sqrt(warmup / step))
        case "linear":
            share = floor + (1 - floor) * (1 - fraction)
        case "cosine":
            share = floor + (1 - floor) * (1 + math.cos(math.pi * fraction)) / 2
        case "trapezoid":
            falling = max(0.0, fraction - settings.decay_start) / max(
                1e-9, 1 - settings.decay_start
            )
            share = 1 - (1 - floor) * falling
        case "constant":
            share = 1.0
    return settings.learning_rate * rising * share
