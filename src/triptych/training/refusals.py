"""Refuse what cannot be trained before anything is written, at a dry run too."""

from __future__ import annotations

from torch import nn

from .optimizer import Optimizers
from .precision import choose_device, choose_precision
from .settings import TrainingSettings
from .transfer import freeze


def named_weights(model: nn.Module, head: nn.Module) -> dict[str, nn.Parameter]:
    """Return all weights by name, those of the head under `head.`."""
    return {
        **dict(model.named_parameters()),
        **{f"head.{name}": one for name, one in head.named_parameters()},
    }


def refuse_untrainable(model: nn.Module, head: nn.Module, settings: TrainingSettings) -> None:
    """Raise what the loop would raise before its first step.

    The parts of `training.freeze` are frozen, as the loop does.

    Raises:
        UsageError: The device, the precision, the frozen parts, the optimizer or its rates do not
            fit the machine or the model.
    """
    choose_precision(settings.precision, choose_device(settings.device))
    named = named_weights(model, head)
    freeze(named, settings.frozen)
    Optimizers(named, settings)
