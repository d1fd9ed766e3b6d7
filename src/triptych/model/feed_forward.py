"""The position-wise feed-forward network, plain or gated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from .config import StackConfig
from .linear import Linear
from .ops.dropout import dropout

if TYPE_CHECKING:
    from .attention import Context


class FeedForward(nn.Module):
    """Compute output(activation(inner(x))) (Vaswani et al. 2017, section 3.3).

    The gated form is output(activation(gate(x)) * inner(x)) (Shazeer 2020, section 2).
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        bias = config.bias if config.feed_forward_bias is None else config.feed_forward_bias
        self.inner = Linear(config.width, config.inner_width, bias)
        self.output = Linear(config.inner_width, config.width, bias)
        self.gate = Linear(config.width, config.inner_width, bias) if config.gated else None
        self.activation = config.activation
        self.dropout = config.inner_dropout

    def forward(self, x: Tensor, context: Context, residual: Tensor | None = None) -> Tensor:
        """Map x (N, D) -> (N, D), plus `residual` if that is given."""
        if self.gate is None:
            hidden = self.inner(x, self.activation)  # (N, F)
        else:
            hidden = self.gate(x, self.activation) * self.inner(x)
        return self.output(dropout(hidden, self.dropout, context.rng), residual=residual)
