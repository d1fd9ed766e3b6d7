"""Prepack weights for oneDNN once, so that decoding on a CPU does not do it at every step.

With the few hundred rows of a decoding step the vocabulary projection runs up to a third faster in
fp32, and small products in bf16 take two thirds of the time. After a weight changes it must be
prepacked again.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

ROWS = 128  # the number of rows that the layout is optimised for
EXACT = 32  # up to this number of rows a product is computed with just these
# oneDNN's names
ACTIVATIONS = {
    "relu": ("relu", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "silu": ("swish", ""),
}


def padding(rows: int) -> int:
    """Return how many more rows a product is computed with: few numbers of rows are to occur.

    oneDNN writes a program for each, in a millisecond. Beyond EXACT there are eight to an octave.
    """
    return 0 if rows <= EXACT else -rows % (1 << ((rows - 1).bit_length() - 4))


def _widened(x: Tensor, more: int) -> Tensor:
    """Return x (..., C) as rows (N + more, C); those at the end are the first ones again."""
    x = x.reshape(-1, x.shape[-1])
    return torch.cat((x, x[:more]))


class PrepackedLinear:
    """Compute x W^T + b without a gradient, with copies of W (outputs, inputs) and b."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.outputs, self.precision = weight.shape[0], weight.dtype
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), ROWS)
        self.bias = None if bias is None else bias.detach()

    def fits(self, x: Tensor) -> bool:
        """Tell whether x can use this; a compiled program cannot, as it lays weights out itself."""
        return (
            x.dtype == self.precision
            and not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
        )

    def __call__(self, x: Tensor, activation: str = "none", form: str = "") -> Tensor:
        """Map (..., inputs) -> (..., outputs), and apply one of ACTIVATIONS in the same pass."""
        if not x.numel():
            return x.new_empty(*x.shape[:-1], self.outputs)
        if more := padding(x.shape[:-1].numel()):
            y = self(_widened(x, more), activation, form)
            return y[:-more].view(*x.shape[:-1], self.outputs)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, activation, [], form)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return residual + x W^T + b in one pass; residual (..., outputs)."""
        if not x.numel():
            return residual
        if more := padding(x.shape[:-1].numel()):
            y = self.added(_widened(x, more), _widened(residual, more))
            return y[:-more].view(residual.shape)
        return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add")


class LatePrepacked(PrepackedLinear):
    """Become a PrepackedLinear when it is first used: another one mostly stands for its weight."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.outputs, self.precision, self._given = weight.shape[0], weight.dtype, (weight, bias)

    def __call__(self, x: Tensor, activation: str = "none", form: str = "") -> Tensor:
        """Map as a PrepackedLinear."""
        self._become()
        return PrepackedLinear.__call__(self, x, activation, form)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """Add as a PrepackedLinear."""
        self._become()
        return PrepackedLinear.added(self, x, residual)

    def _become(self) -> None:
        vars(self).update(vars(PrepackedLinear(*self._given)))
        cast(Any, self).__class__ = PrepackedLinear  # so that later calls cost nothing more


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
    model: nn.Module, precision: torch.dtype, after: Callable[[], None] = lambda: None
) -> bool:
    """Prepack every product of `model`, or return False if that is not possible.

    `after` is called after each module.
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
            after()
    return True
