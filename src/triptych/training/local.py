"""Tell sharded tensors from whole ones without importing torch's modules for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor

# (a whole tensor, one that is placed) -> the first, on the device and cut as the second
Place = Callable[[Tensor, Tensor], Tensor]


def is_sharded(tensor: Tensor) -> bool:
    """Tell whether this process holds only a part of a tensor (a DTensor)."""
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, which shares its memory; a whole one as it is."""
    return cast(Any, tensor).to_local() if is_sharded(tensor) else tensor


def moved(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a tensor on the device of another one: the `Place` of what is not sharded."""
    return tensor.to(like.device)
