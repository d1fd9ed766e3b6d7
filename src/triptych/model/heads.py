"""What stands on top of a stack's states. Called with (model, states, inputs); saved under `head.`."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class TokenOutput(NamedTuple):
    """States (N, D) with the projection (V, D) still to be applied: the loss does it in chunks."""

    states: Tensor
    weight: Tensor
    bias: Tensor | None


@torch.no_grad()
def initialize(head: nn.Module) -> None:
    """Starting values of a new head: Xavier-uniform matrices (Glorot & Bengio 2010); biases and norms stay as they are made."""
    for parameter in head.parameters():
        if parameter.ndim >= 2:
            nn.init.xavier_uniform_(parameter)


class NextToken(nn.Module):
    """Next-word prediction with the model's own vocabulary projection; no parameter of its own."""

    def forward(self, model: Any, states: Tensor, inputs: dict[str, Tensor]) -> TokenOutput:
        return TokenOutput(states, *model.readout())
