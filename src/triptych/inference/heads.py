"""Build the head of a run, once its labels, tokenizer and weights say that it is such a head."""

from __future__ import annotations

from typing import Any

import torch

from ..data.tokenizers.sides import Tokenizers
from ..errors import RunError, brief
from ..runs.files import lacking_labels
from ..runs.run import Run, RunConfig
from ..runs.storage import tensor_shapes
from ..tasks.task import Task


def head_of(
    run: Run, task: Task, config: RunConfig, labels: dict[str, Any], tokenizers: Tokenizers
) -> Any:  # fmt: skip
    """Build the head that a run's options and labels describe.

    No size is believed: the head is described without memory first, and held against the header of
    the weights.

    Raises:
        RunError: The labels or the tokenizer lack something that the task needs, or the options
            describe no head, or another one than the file holds.
    """
    lacking_labels(labels, task.spec.labels, task.name, run.path / "labels.json")
    if labels.get("mask") and tokenizers.source.mask_id is None:
        lacking = "has no mask, which masked words need"
        raise RunError(f"The tokenizer of {run.path} {lacking}. Copy the whole run folder.")
    tagless = [tag for tag in labels.get("tags", ()) if tag not in tokenizers.source.tags]
    if tagless:
        lacking = f"has no tag for {brief(', '.join(tagless))}, which labels.json names"
        raise RunError(f"The tokenizer of {run.path} {lacking}. Copy the whole run folder.")
    where, weights = run.path / "config.json", run.weights()
    try:
        with torch.device("meta"):
            described = task.head(config.model, labels).state_dict()
    except (TypeError, ValueError, OverflowError, RuntimeError) as problem:
        reason = f"has options of a head that cannot be ({brief(problem)})"
        raise RunError(f"{where} {reason}. Copy it again.") from None
    held = tensor_shapes(weights)
    for name, tensor in described.items():
        shape = held.get(f"head.{name}")
        if shape is not None and shape != tuple(tensor.shape):
            raise RunError(
                f"{where} describes a head whose '{name}' has shape {tuple(tensor.shape)}, and in "
                f"{weights.name} it has {shape}: they are not of one run. Copy both again."
            )
    return task.head(config.model, labels)
