"""Prepack weights for oneDNN once, so that decoding on a CPU does not do it at every step.

With the few hundred rows of a decoding step the vocabulary projection runs up to a third faster in
fp32, and small products in bf16 take two thirds of the time. After a weight changes it must be
prepacked again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

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
    """Compute x W^T + b without a gradient, with W (outputs, inputs) laid out when it is used.

    Several matrices of one input have their outputs joined.
    """

    def __init__(
        self, weights: Sequence[Tensor], biases: Sequence[Tensor | None], is_spare: bool = False
    ) -> None:
        self.outputs = sum(weight.shape[0] for weight in weights)
        self.precision = weights[0].dtype
        self.is_spare = is_spare  # another product holds the same weight, and is mostly used
        # True: the first product of several rows reads W as it is, which takes less time than to
        # lay W out, and has the same bits on most processors (inference/prepack.py)
        self.waits = False
        self.after: Callable[[Tensor], None] = lambda weight: None
        self._given = [  # empty as soon as they are laid out
            (weight.detach(), None if bias is None else bias.detach())
            for weight, bias in zip(weights, biases, strict=True)
        ]
        self.weight, self.bias = self._given[0]

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
        call = torch.ops.mkldnn._linear_pointwise
        if self._given and (given := self._as_given(x)):
            parts = [call(x, *one, activation, [], form) for one in given]
            return parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        return call(x, self.weight, self.bias, activation, [], form)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return residual + x W^T + b in one pass; residual (..., outputs)."""
        if not x.numel():
            return residual
        if more := padding(x.shape[:-1].numel()):
            y = self.added(_widened(x, more), _widened(residual, more))
            return y[:-more].view(residual.shape)
        weight, bias = self.weight, self.bias
        if self._given:  # one matrix, as what is joined adds nothing
            weight, bias = (self._as_given(x) or [(self.weight, self.bias)])[0]
        return torch.ops.mkldnn._linear_pointwise.binary(x, residual, weight, bias, "add")

    def lay_out(self) -> None:
        """Lay the weights out, once. Any thread may call this, at any time."""
        with LAYING_OUT:
            if given := self._given:
                weight, self.bias = given[0] if len(given) == 1 else joined(given)
                ops = torch.ops.mkldnn
                self.weight = ops._reorder_linear_weight(weight.contiguous(), ROWS)
                self._given = []
        for one, _ in given:
            self.after(one)

    def _as_given(self, x: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Return the weights as they are if x is to read them so; else lay them out."""
        given = self._given
        if self.waits and x.numel() > x.shape[-1]:
            self.waits = False
            return given
        self.lay_out()
        return []


LAYING_OUT = threading.Lock()


def joined(parts: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    """Concatenate the outputs of several products, of which some may have no bias."""
    weight = torch.cat([one for one, _ in parts])
    if all(bias is None for _, bias in parts):
        return weight, None
    zeros = [one.new_zeros(one.shape[0], dtype=torch.float32) for one, _ in parts]
    biases = [no if bias is None else bias for no, (_, bias) in zip(zeros, parts, strict=True)]
    return weight, torch.cat(biases).to(weight.dtype)
