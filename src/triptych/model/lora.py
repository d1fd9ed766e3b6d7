"""Low-rank adapters (LoRA, Hu et al. 2021): W is frozen, and the layer uses W + alpha / rank B A.

A (rank, inputs) starts at N(0, 1/inputs) and B (outputs, rank) at zero, so training starts from the
original model. The sum is formed where the weight is read, so joined projections and all kernels
work unchanged (docs/decisions/009-adapters.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import UsageError, unknown
from .linear import Linear
from .typed import named_modules

DOWN, UP, SCALE = "adapter_down", "adapter_up", "adapter_scale"


class Adapted(Linear):
    """Add an adapter to a frozen weight; `adapt` turns a `Linear` into this in place."""

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        return summed(
            self._parameters["weight"],  # type: ignore[arg-type]
            getattr(self, DOWN),
            getattr(self, UP),
            getattr(self, SCALE),
        )


def summed(base: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
    """Return W (O, I) + scale B (O, R) A (R, I)."""
    return torch.addmm(base, up, down * scale)


def adapt(model: nn.Module, rank: int, alpha: float, targets: Sequence[str]) -> list[str]:
    """Freeze `model`, add adapters to layers of its blocks, and return the layers' names.

    Args:
        model: A Transformer.
        rank: Rank of the adapters.
        alpha: Their scale times the rank.
        targets: Last parts of names of layers.

    Raises:
        UsageError: A target does not exist, or the rank is not below that of a matrix.
    """
    named = named_modules(model)
    layers = {
        name: module for name, module in named if isinstance(module, Linear) and "blocks." in name
    }
    kinds = sorted({name.rsplit(".", 1)[-1] for name in layers})
    if not kinds:
        raise UsageError(
            "model.lora_rank adapts the layers of Transformer blocks, and this model has none. "
            "Leave it out."
        )
    if not targets:
        raise UsageError(
            f"model.lora_targets names no layer to adapt. There are: {', '.join(kinds)}."
        )
    for target in targets:
        if target not in kinds:
            raise unknown("LoRA target", target, kinds, "in model.lora_targets")
    model.requires_grad_(False)
    chosen = [name for name in layers if name.rsplit(".", 1)[-1] in targets]
    for name in chosen:
        layer = layers[name]
        outputs, inputs = layer.matrix().shape
        if rank >= min(outputs, inputs):
            raise UsageError(
                f"model.lora_rank is {rank}, but '{name}' is a matrix of {outputs} x {inputs}. Use "
                f"a rank below {min(outputs, inputs)}."
            )
        layer.register_parameter(DOWN, nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5))
        layer.register_parameter(UP, nn.Parameter(torch.zeros(outputs, rank)))
        layer.register_buffer(SCALE, torch.tensor(alpha / rank))
        layer.__class__ = Adapted
    return chosen


def merged(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by name, with every adapter added to its matrix."""
    found = {
        name: tensor
        for name, tensor in tensors.items()
        if name.rsplit(".", 1)[-1] not in (DOWN, UP, SCALE)
    }
    for name in tensors:
        if name.endswith(f".{DOWN}"):
            layer = name.removesuffix(DOWN)
            parts = [tensors[layer + part] for part in ("weight", DOWN, UP, SCALE)]
            found[f"{layer}weight"] = summed(*parts)
    return found


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Turn each adapted layer back into a plain one in place, with the sum as its weight."""
    for module in model.modules():
        if isinstance(module, Adapted):
            weight, plain = module.weight, cast(Any, module)
            plain.__class__ = Linear
            plain.weight.copy_(weight)
            for name in (DOWN, UP, SCALE):
                delattr(plain, name)
