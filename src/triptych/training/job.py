"""The input of the training loop, and the progress it yields. Imports no torch."""

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
    """Hold everything that one training needs.

    Args:
        model: The network.
        head: Maps its states to the task's output; its parameters are saved under `head.`.
        task: Only `loss(output, batch) -> {name: (sum, count, weight)}` is used. A loss named X is
            divided by the step's `counts[X]` if the Batch counts X, else by `counts["tokens"]`.
        batches: The endless order of micro-batches.
        run: The folder to write to.
        settings: The recipe's table `training`.
        accumulate: Micro-batches in a step, over all processes.
        validation: The recipe's table `validation`.
        validate: Called with the model in eval mode and averaged weights in place; returns named
            scores, beginning with the task's main one.
        resume: Go on from the newest checkpoint.
        data: Digests of the "train" and "validation" data. If the training data differs from the
            checkpoint's, a new pass over it begins; if the validation data differs, the best score
            is reset.
        places: Maps the index of an Example to its place ("train.en:17"), for messages.
        command: What a user types to resume, for messages.
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


# finished: the weights are written. interrupted: Ctrl-C or SIGTERM came during an update, which is
# saved; the next step of the iterator raises KeyboardInterrupt or SystemExit(143).
Event = Literal["notice", "step", "validation", "checkpoint", "interrupted", "finished"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Report one event of a training; `message` is a sentence for the user, empty for steps."""

    event: Event
    step: int
    fraction: float  # share of the run that is done, 0 to 1
    seconds: float  # in the loop, over all resumptions
    epoch: float = 0.0
    loss: float | None = None  # a step's training loss, nats per target token, smoothing included
    learning_rate: float | None = None
    gradient_norm: float | None = None
    # sparse models: least and largest share of tokens of an expert, and share of dropped tokens
    experts: tuple[float, float, float] | None = None
    tokens: int = 0  # source and target tokens of this step; of the whole run where it is finished
    scores: dict[str, float] = field(default_factory=dict[str, float])  # a validation's
    best: bool = False  # this validation beats those before
    message: str = ""
