"""Distillation: a student learns its task and, beside it, to answer as a larger teacher does (Hinton et al. 2015).

As in DistilBERT (Sanh et al. 2019, section 3): soft targets at a temperature, and a cosine loss that turns the student's last
states towards the teacher's. Any task whose head's output has `logits` (rows, classes), one row for each target, can be
wrapped; while validating and in use the task is as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..data.batching import Batch
from ..errors import UsageError
from .task import Labels, Task

if TYPE_CHECKING:
    from torch import Tensor

Teacher = Callable[["dict[str, Tensor]"], "tuple[Tensor, Tensor]"]  # a batch's inputs -> (states (N, D), logits (rows, classes))
COSINE = "cosine_distance"  # a mean over source tokens (training/step.py)


@dataclass(frozen=True)
class Weights:
    """What the parts of the loss count for; the task's own counts 1."""

    temperature: float
    soft: float
    cosine: float


class Seen(NamedTuple):
    """A head's output in training, with what the teacher is to see."""

    output: Any
    states: Any
    inputs: Any


def distilled(task: Task, teacher: Teacher, weights: Weights) -> Task:
    """`task` with the teacher's part in its loss; heads that it makes hand on the states while they train."""

    def head(config: Any, labels: Labels) -> Any:
        made = task.head(config, labels)
        made.is_seen_whole = True  # all states are held against the teacher's
        made.register_forward_hook(lambda module, given, output: Seen(output, given[1], given[2]) if module.training else None)
        return made

    def loss(output: Any, batch: Batch) -> dict[str, tuple[Any, int, float]]:
        if not isinstance(output, Seen):
            return task.loss(output, batch)
        return {**task.loss(output.output, batch), **_taught(output, batch, teacher, weights, task.name)}

    return replace(task, head=head, loss=loss)


def _taught(seen: Seen, batch: Batch, teacher: Teacher, weights: Weights, name: str) -> dict[str, tuple[Any, int, float]]:
    """soft: T^2 KL(teacher || student), a mean over targets; cosine_distance: 1 - cos of the last states, over source tokens."""
    import torch
    from torch.nn import functional

    if not hasattr(seen.output, "logits"):
        raise UsageError(f"The head of task {name} gives no logits that a teacher's could be compared with. Leave out training.teacher.")
    with torch.no_grad():
        states, logits = teacher(seen.inputs)
    found: dict[str, tuple[Any, int, float]] = {}
    if weights.soft:
        heat = weights.temperature
        student = (seen.output.logits.float() / heat).log_softmax(-1)
        wanted = (logits.float() / heat).log_softmax(-1)
        apart = functional.kl_div(student, wanted, reduction="sum", log_target=True) * heat**2
        found["soft"] = (apart, batch.counts["tokens"], weights.soft)
    if weights.cosine:
        distance = (1 - functional.cosine_similarity(seen.states.float(), states.float(), dim=-1)).sum()
        found[COSINE] = (distance, batch.counts["source_tokens"], weights.cosine)
    return found
