"""What stands on top of a stack's states. Called with (model, states, inputs); saved under `head.`."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn


class TokenOutput(NamedTuple):
    """States (N, D) with the projection (V, D) still to be applied: the loss does it in chunks."""

    states: Tensor
    weight: Tensor
    bias: Tensor | None


class NextToken(nn.Module):
    """Next-word prediction with the model's own vocabulary projection; no parameter of its own."""

    def forward(self, model: Any, states: Tensor, inputs: dict[str, Tensor]) -> TokenOutput:
        return TokenOutput(states, *model.readout())
