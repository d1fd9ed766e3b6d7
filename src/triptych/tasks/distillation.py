"""Train a student on its task and on the answers of a larger teacher (Hinton et al. 2015).

As in DistilBERT (Sanh et al. 2019, section 3) there are soft targets at a temperature, and a cosine
loss that aligns the student's last states with the teacher's. Any task can be wrapped whose head's
output has `logits` (rows, classes), one row for each target; in validation and in use the task is
unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from ..data.batches.encoded import Batch
from ..errors import UsageError
from .task import Labels, Losses, Task, Teacher

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..model.config import AnyConfig

COSINE = "cosine_distance"  # a mean over the states of the last stack (training/step.py)


@dataclass(frozen=True)
class Weights:
    """Weight the parts of the loss; the task's own part has weight 1."""

    temperature: float
    soft: float
    cosine: float


class HeadOutput(NamedTuple):
    """Hold a head's output in training, with the states and inputs that the teacher needs."""

    output: object
    states: Tensor
    inputs: dict[str, Tensor]


@runtime_checkable
class WithLogits(Protocol):
    """Describe a head's output that can be compared with a teacher's."""

    @property
    def logits(self) -> Tensor:
        """(rows, classes)."""
        ...


def distilled(task: Task, teacher: Teacher, weights: Weights) -> Task:
    """Return `task` with the teacher's part in its loss.

    The heads that it builds pass on the states while they train.
    """

    def head(config: AnyConfig, labels: Labels) -> nn.Module:
        made = task.head(config, labels)
        # All states are compared with the teacher's, so the last block must compute them all.
        made.is_seen_whole = True  # type: ignore[assignment]
        made.register_forward_hook(_with_states)
        return made

    def loss(output: object, batch: Batch) -> Losses:
        if not isinstance(output, HeadOutput):
            return task.loss(output, batch)
        return {**task.loss(output.output, batch), **_taught(output, batch, teacher, weights, task)}

    return replace(task, head=head, loss=loss)


def _with_states(
    module: nn.Module, given: tuple[nn.Module, Tensor, dict[str, Tensor]], output: object
) -> HeadOutput | None:
    """Add the states and inputs to the head's output while it trains."""
    return HeadOutput(output, given[1], given[2]) if module.training else None


def _taught(
    seen: HeadOutput, batch: Batch, teacher: Teacher, weights: Weights, task: Task
) -> Losses:
    """Return the teacher's part of the loss.

    soft: T^2 KL(teacher || student), a mean over targets; cosine_distance: 1 - cos of the last
    states, a mean over them.
    """
    import torch
    from torch.nn import functional

    if not isinstance(seen.output, WithLogits):
        raise UsageError(
            f"The head of task {task.name} has no logits to compare with a teacher's. Leave out "
            "training.teacher."
        )
    with torch.no_grad():
        states, logits = teacher(seen.inputs)
    found: Losses = {}
    if weights.soft:
        apart = divergence(
            seen.output.logits.float(),
            logits.float(),
            weights.temperature,
            task.options.get("learn", "label"),
        )
        found["soft"] = (apart, batch.counts["tokens"], weights.soft)
    if weights.cosine:
        distance = (
            1 - functional.cosine_similarity(seen.states.float(), states.float(), dim=-1)
        ).sum()
        found[COSINE] = (distance, batch.counts["states"], weights.cosine)
    return found


def divergence(student: Tensor, teacher: Tensor, heat: float, kind: str) -> Tensor:
    """Return T^2 KL(teacher || student) of logits (rows, classes), summed over rows.

    heat: the temperature T. kind, as in classification: "label": the classes are one distribution;
    "labels": each class is a distribution of its own, and a row counts their mean; "value": a
    number has no distribution, so this is the squared error.
    """
    import torch
    from torch.nn import functional

    if kind == "value":
        return (student - teacher).square().sum()
    student, teacher = student / heat, teacher / heat
    if kind == "labels":
        apart = torch.sigmoid(teacher) * (
            functional.logsigmoid(teacher) - functional.logsigmoid(student)
        )
        apart = apart + torch.sigmoid(-teacher) * (
            functional.logsigmoid(-teacher) - functional.logsigmoid(-student)
        )
        return apart.sum() * heat**2 / student.shape[1]
    return (
        functional.kl_div(
            student.log_softmax(-1), teacher.log_softmax(-1), reduction="sum", log_target=True
        )
        * heat**2
    )
