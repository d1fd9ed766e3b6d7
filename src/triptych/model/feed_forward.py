"""The position-wise feed-forward network, plain or gated."""

from __future__ import annotations

from torch import Tensor, nn

from .config import StackConfig
from .linear import Linear
from .ops.kernels import DropoutRng, dropout


class FeedForward(nn.Module):
    """output(activation(inner(x))) (Vaswani et al. 2017, section 3.3); the block applies `output`
    together with the residual.
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.inner = Linear(config.width, config.inner_width, config.bias)
        self.output = Linear(config.inner_width, config.width, config.bias)
        self.activation = config.activation
        self.dropout = config.inner_dropout

    def hidden(self, x: Tensor, rng: DropoutRng | None) -> Tensor:
        """(..., D) -> (..., F), what `output` is to project."""
        return dropout(self.inner.activated(x, self.activation), self.dropout, rng)


class GatedFeedForward(FeedForward):
    """output(activation(gate(x)) * inner(x)) (Shazeer 2020, section 2)."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__(config)
        self.gate = Linear(config.width, config.inner_width, config.bias)

    def hidden(self, x: Tensor, rng: DropoutRng | None) -> Tensor:
        """(..., D) -> (..., F)."""
        return dropout(self.gate.activated(x, self.activation) * self.inner(x), self.dropout, rng)


def feed_forward(config: StackConfig) -> FeedForward:
    return GatedFeedForward(config) if config.gated else FeedForward(config)
