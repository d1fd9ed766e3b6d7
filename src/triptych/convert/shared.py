"""Hold what imports and exports share: names of files and tasks, and checks of models."""

from __future__ import annotations

from ..errors import RunError
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


def refuse_activation(config: ModelConfig, task: str, where: str) -> None:
    """Raise RunError for a masked-words model whose blocks do not use GELU, as our head does."""
    if task == MASKED and config.encoder is not None and config.encoder.activation != "gelu":
        raise RunError(
            f"{where} has the activation {config.encoder.activation}; a head for masked words is "
            "exchanged with gelu alone."
        )
