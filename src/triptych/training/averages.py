"""Average the weights exponentially over the run (Polyak & Juditsky 1992)."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from .local import Place, local, moved

FOREACH_LERP: Any = cast(Any, torch)._foreach_lerp_  # its stub has no types
EVERY = 10  # steps between updates: nearly the same average at a tenth of the cost


class Averages:
    """Keep an exponential moving average of parameters.

    `decay` is per step; it is at most (1 + t) / (10 + t), so that the first weights soon lose their
    influence.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        # by the parameter's name; empty before the first update
        self.tensors: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        if not self.decay or step % EVERY:
            return
        current = [parameter.detach() for parameter in self.parameters.values()]
        if not self.tensors:
            self.tensors = {
                name: tensor.clone() for name, tensor in zip(self.parameters, current, strict=True)
            }
            return
        kept = min(self.decay, (1 + step) / (10 + step)) ** EVERY
        FOREACH_LERP(
            [local(tensor) for tensor in self.tensors.values()],
            [local(tensor) for tensor in current],
            1 - kept,
        )

    def load(self, tensors: Mapping[str, Tensor], place: Place = moved) -> None:
        if self.decay:
            self.tensors = {
                name: place(tensors[name], parameter)
                for name, parameter in self.parameters.items()
                if name in tensors
            }

    @contextlib.contextmanager
    @torch.no_grad()
    def in_place(self) -> Generator[None]:
        """Put the averaged weights into the model, and its own back afterwards, bit for bit."""
        if not self.tensors:
            yield
            return
        own = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        try:
            for name, parameter in self.parameters.items():
                local(parameter).copy_(local(self.tensors[name]))
            yield
        finally:
            for name, parameter in self.parameters.items():
                local(parameter).copy_(local(own[name]))
