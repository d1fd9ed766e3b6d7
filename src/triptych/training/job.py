"""What the loop is given, and what it tells. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..runs.run import Run
from .settings import TrainingSettings, ValidationSettings

if TYPE_CHECKING:
    from torch import nn

    from ..data.batches.order import MicroBatches
    from ..tasks.task import Task


@dataclass(kw_only=True)
class Job:
    """Everything one training needs.

    model, head: the network and what stands on it; parameters of the head are saved under `head.`.
    task: only its slot `loss(output, batch) -> {name: (sum, count, weight)}` is used; a loss named
        X is divided by the step's `counts[X]` where the Batch counts X, else by its
        `counts["tokens"]`.
    batches: the endless order of micro-batches; `accumulate` of them, over all processes, make one
        step.
    validate: called with the model in eval mode (averaged weights in place); returns named scores,
        the task's first first.
    places: an Example's place ("train.en:17") by its index, for messages.
    data: digests of the "train" and "validation" data. Where a checkpoint was made on other
        training data, a new pass over it begins; where on other validation data, the best score is
        forgotten.
    command: what a user types to go on, for messages.
    """

    model: nn.Module
    head: nn.Module
    task: Task
    batches: MicroBatches
    run: Run
    settings: TrainingSettings
    accumulate: int = 1
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    validate: Callable[[nn.Module], dict[str, float]] | None = None
    resume: bool = False
    data: dict[str, str] = field(default_factory=dict[str, str])
    places: Callable[[int], str] = lambda index: f"example {index}"
    command: str = "the same command with --resume"


# finished: the weights are written. interrupted: Ctrl-C or SIGTERM came during an update; the last
# whole one is saved, and the next step of the iterator raises KeyboardInterrupt or SystemExit(143).
Event = Literal["notice", "step", "validation", "checkpoint", "interrupted", "finished"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened. Every step gives one; `message` is a sentence for a person, empty
    for plain steps.
    """

    event: Event
    step: int
    fraction: float  # of the run that is done, 0 to 1
    seconds: float  # in the loop, over all resumptions
    epoch: float = 0.0
    loss: float | None = None  # a step's training loss, nats per target token, smoothing included
    learning_rate: float | None = None
    gradient_norm: float | None = None
    tokens: int = 0  # source and target tokens of this step; of the whole run where it is finished
    scores: dict[str, float] = field(default_factory=dict[str, float])  # a validation's
    best: bool = False  # this validation beats those before
    message: str = ""
