"""Hold what imports and exports share: names of files and tasks, and shapes of models."""

from __future__ import annotations

from ..model.config import ModelConfig
from ..tasks import embedding, masked_words
from ..tasks.task import Task

IMPORT = "import.json"
# The tasks of imported encoders.
VECTORS, MASKED = embedding.SPEC.name, masked_words.SPEC.name


def shapes(
    config: ModelConfig, task: Task, labels: dict[str, object]
) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of a run, without drawing its weights."""
    import torch

    from ..model.build import build
    from ..runs.checkpoint import weights_of

    with torch.device("meta"):
        model, head = build(config), task.head(config, labels)
    return {name: tuple(tensor.shape) for name, tensor in weights_of(model, head).items()}
