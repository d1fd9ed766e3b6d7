"""Functions of torch whose stubs lack types, with their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import numpy as np

UNTYPED: Any = torch


# returns a tensor that shares the memory of an array
from_numpy: Callable[[np.ndarray], Tensor] = UNTYPED.from_numpy


def split(tensor: Tensor, sizes: int | list[int]) -> tuple[Tensor, ...]:
    """Cut a tensor along its first axis into pieces of one size, or of the given sizes."""
    return cast("tuple[Tensor, ...]", cast(Any, tensor).split(sizes))


def to_ints(tensor: Tensor) -> list[int]:
    """Return an integer tensor (N,) as a list."""
    return cast("list[int]", cast(Any, tensor).tolist())


def to_int_rows(tensor: Tensor) -> list[list[int]]:
    """Return an integer or boolean tensor (N, M) as a list of rows."""
    return cast("list[list[int]]", cast(Any, tensor).tolist())


def to_floats(tensor: Tensor) -> list[float]:
    """Return a floating-point tensor (N,) as a list."""
    return cast("list[float]", cast(Any, tensor).tolist())


def to_float_rows(tensor: Tensor) -> list[list[float]]:
    """Return a floating-point tensor (N, M) as a list of rows."""
    return cast("list[list[float]]", cast(Any, tensor).tolist())


def named_modules(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return a module and all modules below it by name."""
    return cast("list[tuple[str, nn.Module]]", list(cast(Any, module).named_modules()))


def backward(loss: Tensor, retain_graph: bool = False) -> None:
    """Add the gradients of a scalar to the parameters that it was computed from."""
    cast(Any, loss).backward(retain_graph=retain_graph)
