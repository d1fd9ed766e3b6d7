"""Compute once what another library's model looks up: scaled embeddings, fixed positions.

Tensors keep our names. `model` is the configuration of the run that they are from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..model.config import ModelConfig, StackConfig

if TYPE_CHECKING:
    from torch import Tensor


def with_scaled_rows(tensors: Mapping[str, Tensor], model: ModelConfig) -> dict[str, Tensor]:
    """Multiply the rows of the embedding by its scale, and keep the old ones for the output.

    The result is of a model without embedding_scale whose output is not tied to its embedding.
    """
    rows = tensors["embedding.weight"]
    scale = rows.shape[1] ** 0.5 if model.embedding_scale else 1.0
    return {"output.weight": rows, **tensors, "embedding.weight": rows * scale}


def with_temperature(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Divide a classifier's last layer by its temperature, and so its logits."""
    temperature = tensors.get("head.temperature")
    if temperature is None:
        return dict(tensors)
    last = ("head.project.weight", "head.project.bias")
    return {**tensors, **{name: tensors[name] / temperature for name in last}}


def with_first_segment(tensors: Mapping[str, Tensor], side: str) -> dict[str, Tensor]:
    """Add the vector of the first segment to every row of the embedding.

    This is for a model that never reads another segment.
    """
    found = dict(tensors)
    segments = found.pop(f"{side}_entrance.segments.weight", None)
    if segments is not None:
        found["embedding.weight"] = found["embedding.weight"] + segments[0]
    return found


def with_position_table(
    tensors: Mapping[str, Tensor], stacks: Mapping[str, StackConfig], rows: int
) -> dict[str, Tensor]:
    """Write the sinusoids of each stack as a table with a row for each position."""
    from ..model.positions import sinusoids

    tables = {
        f"{side}_entrance.positions.weight": sinusoids(rows, stack.width)
        for side, stack in stacks.items()
        if stack.positions == "sinusoidal"
    }
    return {**tensors, **tables}


def table_rows(stacks: Mapping[str, StackConfig], longest: int) -> int:
    """Return the rows of position tables that hold `longest` tokens.

    A learned table has the rows that it was trained with.
    """
    fixed = [one.max_positions for one in stacks.values() if one.positions == "learned"]
    return min(fixed) if fixed else max(longest, *(one.max_positions for one in stacks.values()))
