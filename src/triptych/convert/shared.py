"""Hold what imports and exports share: names of files and tasks, and shapes of models."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from ..errors import RunError
from ..model.config import ModelConfig
from ..tasks import embedding, masked_words
from ..tasks.task import Task

IMPORT = "import.json"
KEPT = "original"  # the folder of a run with the files that an export gives back unchanged
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


def keep_files(source: Path, names: Iterable[str], dest: Path) -> None:
    """Copy files into the folder `original` of a run. Raises RunError if one cannot be read."""
    for name in names:
        (dest / KEPT).mkdir(exist_ok=True)
        copy_file(source / name, dest / KEPT / name)


def copy_file(source: Path, dest: Path) -> None:
    """Copy a file. Raises RunError if it cannot be read."""
    try:
        shutil.copyfile(source, dest)
    except OSError as error:
        raise RunError(f"{source} cannot be read: {error.strerror}.") from None
