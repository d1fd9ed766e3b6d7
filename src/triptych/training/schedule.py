"""Schedule the learning rate over the run."""

from __future__ import annotations

import math

from .settings import TrainingSettings


def fraction_done(
    settings: TrainingSettings, step: int, seconds: float, epoch: float = 0.0
) -> float:
    """Return the share of the run that is done, 0 to 1, by the limit that comes first.

    Args:
        settings: The limits.
        step: Steps so far.
        seconds: Time so far.
        epoch: Passes over the data so far.
    """
    by_steps = step / settings.steps if settings.steps else 0.0
    by_time = seconds / (60 * settings.minutes) if settings.minutes else 0.0
    by_epochs = epoch / settings.epochs if settings.epochs else 0.0
    return min(1.0, max(by_steps, by_time, by_epochs))


def rate(
    settings: TrainingSettings, step: int, fraction: float, ahead: float | None = None
) -> float:
    """Return the learning rate of one step.

    Every schedule rises linearly over `warmup_steps`, or over `warmup_share` of the run.
    inverse_square_root: Vaswani et al. 2017, section 5.3; trapezoid: constant, then linear (Hägele
    et al. 2024); cosine: Loshchilov & Hutter 2017.

    Args:
        settings: The schedule.
        step: Number of the step, from 1.
        fraction: Share of the run that is done before it.
        ahead: Share of the run that is done after it; None: `fraction`.
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
