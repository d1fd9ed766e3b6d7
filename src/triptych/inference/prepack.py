"""Lay the weights of a loaded model out for oneDNN (model/ops/onednn.py), at once or when used.

A run of gigabytes is mapped, not read (runs/mapped.py). To lay its weights out takes longer than to
compute with them once, so that waits until they are used again: a model that is asked once answers
from the mapped file. Nothing that is answered depends on it.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..model.ops.onednn import PrepackedLinear


def can_prepack(precision: torch.dtype) -> bool:
    """Tell whether this machine supports prepacked products in a precision."""
    if not torch.backends.mkldnn.is_available() or platform.machine() not in ("x86_64", "AMD64"):
        return False
    ops: Any = torch.ops.mkldnn
    if not hasattr(ops, "_reorder_linear_weight") or not hasattr(ops, "_linear_pointwise"):
        return False
    return precision == torch.float32 or (
        precision == torch.bfloat16 and bool(ops._is_mkldnn_bf16_supported())
    )


def prepack(
    model: nn.Module,
    precision: torch.dtype,
    after: Callable[[Tensor], None] = lambda weight: None,
    waits: bool = False,
) -> bool:
    """Prepack every product of `model`, or return False if that is not possible.

    Args:
        model: A Transformer. Matrices on another device, or of another type, are left alone.
        precision: The type of its weights.
        after: Receives each matrix that was laid out.
        waits: Lay each matrix out when it is used for the second time, or with a single row, if
            that changes no bit on this processor.
    """
    weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    if not can_prepack(precision) or any(
        weight.dtype != precision or weight.device.type != "cpu" for weight in weights
    ):
        return False
    for module in model.modules():
        prepacked = getattr(module, "prepack", None)
        if prepacked is not None:
            prepacked()
    waits = waits and is_alike(precision)
    for product in _products(model):
        product.after, product.waits = after, waits
    if not waits:
        lay_out(model)
    return True


@functools.cache
def is_alike(precision: torch.dtype) -> bool:
    """Tell whether products of several rows have the same bits before weights are laid out."""
    for outputs, inputs in ((72, 300), (40, 1030)):
        drawn = torch.linspace(-9, 9, (outputs + 17) * inputs).sin().view(-1, inputs).to(precision)
        product, x = PrepackedLinear([drawn[:outputs]], [None]), drawn[outputs:]
        product.waits = True
        if not torch.equal(product(x), product(x)):
            return False
    return True


def lay_out(model: nn.Module) -> None:
    """Lay out all weights of `model` that wait for their second use."""
    for product in _products(model):
        if not product.is_spare:  # another product holds the same weight
            product.lay_out()


def _products(model: nn.Module) -> Iterator[PrepackedLinear]:
    for module in model.modules():
        yield from (one for one in vars(module).values() if isinstance(one, PrepackedLinear))
