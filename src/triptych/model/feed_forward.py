"""The position-wise feed-forward network, plain or gated."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .kernels import Chance, dropout
from .linear import Linear


def _gelu_tanh(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": functional.silu,
}


class FeedForward(nn.Module):
    """output(activation(inner(x))) (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.inner = Linear(config.width, config.inner_width, config.bias)
        self.output = Linear(config.inner_width, config.width, config.bias)
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = config.inner_dropout

    def forward(self, x: Tensor, chance: Chance | None) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.output(dropout(self.activation(self.inner(x)), self.dropout, chance))


class GatedFeedForward(FeedForward):
    """output(activation(gate(x)) * inner(x)) (Shazeer 2020, section 2)."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__(config)
        self.gate = Linear(config.width, config.inner_width, config.bias)

    def forward(self, x: Tensor, chance: Chance | None) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.output(dropout(self.activation(self.gate(x)) * self.inner(x), self.dropout, chance))


def feed_forward(config: StackConfig) -> FeedForward:
    return GatedFeedForward(config) if config.gated else FeedForward(config)
