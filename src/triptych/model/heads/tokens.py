"""Heads that predict tokens, and helpers of all heads; their weights are saved under `head.`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..interface import AnyNetwork, Head, SelectingHead
from ..linear import ACTIVATIONS, Linear
from ..normalization import LayerNorm
from ..ops.cross_entropy import softcapped

if TYPE_CHECKING:
    from ..cache import Memory

HASH = 1_000_003  # a prime, so that pairs of tokens are spread evenly over the rows
# It scales zero-initialised weights so that they matter early in training.
ZERO_INIT_GAIN = 10.0


class TokenOutput(NamedTuple):
    """Hold states (N, D) and the projection (V, D), which the loss applies in chunks."""

    states: Tensor
    weight: Tensor
    bias: Tensor | None
    softcap: float | None = None

    @property
    def logits(self) -> Tensor:
        """Compute all logits (N, V)."""
        weight = self.weight.to(self.states.dtype)
        logits = functional.linear(
            self.states, weight, None if self.bias is None else self.bias.to(self.states.dtype)
        )
        return softcapped(logits, self.softcap)


def output_of(model: AnyNetwork, head: Head, inputs: dict[str, Tensor]) -> Any:
    """Return head(model, model(**inputs), inputs).

    If the head selects some rows, the model's last block computes only those, unless the other
    states are needed too (`is_seen_whole`).
    """
    if getattr(head, "reads_memory", False):
        return _with_memory(model, head, inputs)
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


def _with_memory(model: AnyNetwork, head: Any, inputs: dict[str, Tensor]) -> Any:
    """Return head(model, states, inputs, the encoder's output)."""
    network: Any = model
    held: list[Memory] = []
    network.memories = held
    try:
        states = model(**inputs)
        (memory,) = held
    finally:
        network.memories = None
    return head(model, states, inputs, memory)


def rows_of(states: Tensor, selected_rows: Tensor) -> Tensor:
    """Return the states of selected rows (K,) from all states (N, D), or from theirs (K, D)."""
    return (
        states
        if states.shape[0] == selected_rows.numel()
        else states.index_select(0, selected_rows)
    )


def pair_weights(weights: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Look up hashed weights (rows, C) of pairs of tokens, left (N,) and right (N,) -> (N, C).

    This is the hashing trick (Joulin et al. 2017, section 2.1).
    """
    return functional.embedding((left * HASH + right) % weights.shape[0], weights) * ZERO_INIT_GAIN


def activation_of(name: str) -> Callable[[Tensor], Tensor]:
    """Return an activation of a head: "tanh" or a key of `linear.ACTIVATIONS`."""
    return torch.tanh if name == "tanh" else ACTIVATIONS[name]


@torch.no_grad()
def initialize(head: nn.Module) -> None:
    """Initialise the matrices of a head Xavier-uniform (Glorot & Bengio 2010)."""
    for parameter in head.parameters():
        if parameter.ndim >= 2:
            nn.init.xavier_uniform_(parameter)


class NextToken(nn.Module):
    """Predict the next token with the model's vocabulary projection, without parameters."""

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> TokenOutput:
        projection = model.output_projection()
        return TokenOutput(model.to_output(states), *projection, model.logit_softcap)


class LearntTokens(nn.Module):
    """Predict the next token where it is to be learnt, for example in the turns of one speaker."""

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> TokenOutput:
        """Select the states (K, D) where inputs["learnt"] (N,) is 1."""
        picked = states.index_select(0, inputs["learnt"].nonzero().squeeze(1))
        projection = model.output_projection()
        return TokenOutput(model.to_output(picked), *projection, model.logit_softcap)


class MaskedWords(nn.Module):
    """Predict masked tokens: a dense layer, an activation, a norm, the vocabulary projection.

    The projection has its own bias (Devlin et al. 2018, section 3.1). Only masked rows are
    computed.
    """

    def __init__(
        self,
        width: int,
        vocabulary_size: int,
        epsilon: float,
        embedding_width: int | None = None,
        *,
        activation: str = "gelu",
        has_bias: bool = True,
    ) -> None:
        super().__init__()
        outputs = embedding_width or width
        self.activate = activation_of(activation)
        self.transform = Linear(width, outputs, has_bias)
        self.norm = LayerNorm(outputs, epsilon, has_bias)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        initialize(self)

    def selected_rows(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the rows (K,) where inputs["masked"] (N,) is 1."""
        return inputs["masked"].nonzero().squeeze(1)

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> TokenOutput:
        """Map states (N, D), or (K, D) of the masked rows -> states (K, D) to be projected."""
        picked = rows_of(states, self.selected_rows(inputs))  # (K, D)
        picked = self.norm(self.activate(self.transform(picked)))  # (K, D)
        weight, offset = model.output_projection()
        bias = self.bias if offset is None else self.bias + offset
        return TokenOutput(picked, weight, bias, model.logit_softcap)
