"""Refuse what cannot be trained before anything is written, at a dry run too."""

from __future__ import annotations

import json
from collections.abc import Mapping

from torch import nn

from ..errors import UsageError
from .distributed import World, with_others
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


def refuse_unlike_processes(
    processes: World, recipe: Mapping[str, Mapping[str, object]], data: Mapping[str, str]
) -> None:
    """Compare what each process is about to train with the first one's.

    Raises:
        UsageError: A process has another recipe or other data; key or part are named.
    """
    if processes.size == 1:
        return
    settings = {
        f"{table}.{key}": json.dumps(value, default=str, sort_keys=True)
        for table, values in recipe.items()
        for key, value in values.items()
    }
    with with_others():
        several = processes.gather((settings, dict(data)))
    first, parts = several[0]
    for rank, (own, held) in enumerate(several):
        for name in sorted({*first, *own}):
            if first.get(name) != own.get(name):
                raise UsageError(
                    "Process {rank} has {name} = {own}, and the first process has {first}. Start "
                    "all processes with the same recipe and flags.",
                    rank=rank,
                    name=name,
                    own=own.get(name),
                    first=first.get(name),
                )
        for part in sorted({*parts, *held}):
            if parts.get(part) != held.get(part):
                raise UsageError(
                    "Process {rank} reads other {part} data than the first process. Give every "
                    "process the same files.",
                    rank=rank,
                    part=part,
                )
