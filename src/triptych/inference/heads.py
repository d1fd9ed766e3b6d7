"""Build the head of a run, once labels, tokenizer and weights confirm it."""

from __future__ import annotations

from typing import Any

import torch

from ..data.tokenizers.sides import Tokenizers
from ..errors import RunError, brief
from ..runs.files import lacking_labels
from ..runs.run import Run, RunConfig
from ..runs.storage import tensor_shapes
from ..tasks.task import Labels, Task


def head_of(
    run: Run, task: Task, config: RunConfig, labels: Labels, tokenizers: Tokenizers
) -> Any:  # fmt: skip
    """Build the head that a run's options and labels describe.

    No size is trusted: the head is first described without memory, and compared with the header of
    the weights.

    Args:
        run: The run folder.
        task: The run's task.
        config: The run's configuration.
        labels: What the task found in the data.
        tokenizers: Of source and target.

    Raises:
        RunError: The labels or the tokenizer lack something that the task needs, or the options
            describe an impossible head, or another one than the file has.
    """
    lacking_labels(labels, task.spec.labels, task.name, run.path / "labels.json")
    if labels.get("mask") and tokenizers.source.mask_id is None:
        lacking = "has no mask token, which masked words need"
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
        reason = f"has options for a head that cannot be built ({brief(problem)})"
        raise RunError(f"{where} {reason}. Copy it again.") from None
    held = tensor_shapes(weights)
    for name, tensor in described.items():
        shape = held.get(f"head.{name}")
        if shape is not None and shape != tuple(tensor.shape):
            raise RunError(
                f"{where} describes a head whose '{name}' has shape {tuple(tensor.shape)}, but in "
                f"{weights.name} it has {shape}, so they are from different runs. Copy both again."
            )
    return task.head(config.model, labels)
