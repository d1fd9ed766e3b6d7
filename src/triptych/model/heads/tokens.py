"""What stands on top of a stack's states. Called with (model, states, inputs); saved under
`head.`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..interface import AnyNetwork, Head, SelectingHead
from ..linear import Linear
from ..normalization import LayerNorm

HASH = 1_000_003  # a prime: pairs of tokens fall evenly into any number of rows
# what weights are multiplied by that begin at zero, move by a learning rate at a time and must soon
# count
ZERO_INIT_GAIN = 10.0


class TokenOutput(NamedTuple):
    """States (N, D) with the projection (V, D) still to be applied: the loss does it in chunks."""

    states: Tensor
    weight: Tensor
    bias: Tensor | None

    @property
    def logits(self) -> Tensor:
        """(N, V), computed when asked for."""
        weight = self.weight.to(self.states.dtype)
        return functional.linear(
            self.states, weight, None if self.bias is None else self.bias.to(self.states.dtype)
        )


def output_of(model: AnyNetwork, head: Head, inputs: dict[str, Tensor]) -> Any:
    """head(model, model(**inputs), inputs). Of a head that `selected_rows` some rows only, the
    model's last block computes no others, unless its states are for others too (`is_seen_whole`).
    """
    selected_rows = (
        head.selected_rows(inputs)
        if isinstance(head, SelectingHead) and not getattr(head, "is_seen_whole", False)
        else None
    )
    states = (
        model(**inputs)
        if selected_rows is None or not selected_rows.numel()
        else model(**inputs, selected_rows=selected_rows)
    )
    return head(model, states, inputs)


def rows_of(states: Tensor, selected_rows: Tensor) -> Tensor:
    """The states of the rows `selected_rows` (K,), whether they are all that was computed (K, D) or
    not (N, D).
    """
    return (
        states
        if states.shape[0] == selected_rows.numel()
        else states.index_select(0, selected_rows)
    )


def pair_weights(weights: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """What each pair of neighbouring tokens, left (N,) and right (N,), says (N, C), of a table of
    hashed weights (rows, C): the hashing trick (Joulin et al. 2017, section 2.1).
    """
    return functional.embedding((left * HASH + right) % weights.shape[0], weights) * ZERO_INIT_GAIN


@torch.no_grad()
def initialize(head: nn.Module) -> None:
    """Starting values of a new head: Xavier-uniform matrices (Glorot & Bengio 2010); biases and
    norms stay as they are made.
    """
    for parameter in head.parameters():
        if parameter.ndim >= 2:
            nn.init.xavier_uniform_(parameter)


class NextToken(nn.Module):
    """Next-word prediction with the model's own vocabulary projection; no parameter of its own."""

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> TokenOutput:
        return TokenOutput(states, *model.output_projection())


class LearntTokens(nn.Module):
    """Next-word prediction where the word that follows is to be learnt, say the words of one
    speaker; no parameter of its own.
    """

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> TokenOutput:
        """Map states (N, D), inputs["learnt"] (N,) 0 or 1 -> K rows: states (K, D), to be
        projected.
        """
        return TokenOutput(
            states.index_select(0, inputs["learnt"].nonzero().squeeze(1)),
            *model.output_projection(),
        )


class MaskedWords(nn.Module):
    """What stood at the masked places: a dense layer, GELU, a norm, then the model's own vocabulary
    projection with a bias of its own (Devlin et al. 2018, section 3.1). Only masked rows reach any
    of it.
    """

    def __init__(self, width: int, vocabulary_size: int, epsilon: float) -> None:
        super().__init__()
        self.transform = Linear(width, width)
        self.norm = LayerNorm(width, epsilon)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        initialize(self)

    def selected_rows(self, inputs: dict[str, Tensor]) -> Tensor:
        """inputs["masked"] (N,) 0 or 1 -> (K,) the masked rows."""
        return inputs["masked"].nonzero().squeeze(1)

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> TokenOutput:
        """Map states (N, D), or of the rows that it selects (K, D) -> K masked rows: states (K, D),
        to be projected.
        """
        picked = rows_of(states, self.selected_rows(inputs))  # (K, D)
        picked = self.norm(functional.gelu(self.transform(picked)))  # (K, D)
        weight, offset = model.output_projection()
        return TokenOutput(picked, weight, self.bias if offset is None else self.bias + offset)
