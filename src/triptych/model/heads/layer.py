"""Layers between the states and the outputs of a head, as some published heads have them."""

from __future__ import annotations

from torch import Tensor, nn

from ..attention import Context
from ..config import StackConfig
from ..feed_forward import FeedForward
from ..linear import Linear
from ..normalization import ResidualBranch, norm
from ..ops.dropout import DropoutRng, dropout


class NormedLayer(nn.Module):
    """Compute norm(activation(dense(x))), as ModernBERT does (Warner et al. 2024)."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.dense = Linear(config.width, config.width, config.bias)
        self.norm = norm(config)
        self.activation = config.activation

    def forward(self, x: Tensor, rng: DropoutRng | None) -> Tensor:
        """Map states (N, D) -> (N, D)."""
        return self.norm(self.dense(x, self.activation))


class FeedForwardLayer(nn.Module):
    """Add a feed-forward network with its norm, as a block does (BigBird's head for spans)."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = ResidualBranch(config)
        self.dropout = config.dropout

    def forward(self, x: Tensor, rng: DropoutRng | None) -> Tensor:
        """Map states (N, D) -> (N, D)."""
        branch = self.feed_forward_norm
        read = branch.before(dropout(x, self.dropout, rng))
        y = self.feed_forward(read, Context(rng=rng), branch.residual(x, rng))
        return branch(x, y, rng)


HeadLayer = NormedLayer | FeedForwardLayer


def head_layer(config: StackConfig, kind: str | None) -> HeadLayer | None:
    """Build the layer that a task's option `head_layer` names."""
    if kind is None:
        return None
    return NormedLayer(config) if kind == "normed" else FeedForwardLayer(config)
