"""Protocols of models and heads, which the Transformer and the RNN share.

A `Model` writes token by token with `encode`, `start` and `step`; a `Network` also maps packed
tokens to states, as training does. Any class with these methods fits; none inherits from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar, runtime_checkable

import torch
from torch import Tensor

if TYPE_CHECKING:
    from typing import Self

    from .attention import Attention
    from .cache import Memory
    from .config import AnyConfig
    from .embeddings import TokenEmbedding
    from .linear import Product
    from .ops.attention import CachedKeys
    from .ops.dropout import DropoutRng


class HeadInputs(TypedDict, total=False):
    """Name the arrays of a batch that only heads read."""

    masked: Tensor
    learnt: Tensor
    word_starts: Tensor


class Inputs(HeadInputs, total=False):
    """Name the arrays of a batch, as the arguments of `forward`."""

    source: Tensor | None  # (M,) packed ids
    source_lengths: Tensor | None  # (B,)
    target: Tensor | None  # (N,) packed ids
    target_lengths: Tensor | None  # (B,)
    segments: (
        Tensor | None
    )  # (M,) number of the text, within the input, that a source token belongs to


class DecoderState(Protocol):
    """Keep what a decoder needs of B rows between steps."""

    @property
    def lengths(self) -> Tensor:
        """Return how many tokens each row has read (B,)."""
        ...

    def select(self, rows: Tensor) -> Self:
        """Return the state of `rows` (int64), in that order; rows may repeat or be left out."""
        ...

    def join(self, other: Self) -> Self:
        """Return the rows of both states, those of this one first."""
        ...

    def truncate(self, lengths: Tensor, alone: bool = False) -> Self:
        """Forget what is past `lengths` (B,) in each row.

        Set `alone` if no other state that shares memory with this one will be used again.
        """
        ...


State = TypeVar("State", bound=DecoderState)


class Model(Protocol[State]):
    """Write token by token: the Transformer, the RNN, or a user's own model."""

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """Map packed "source" (M,) and "source_lengths" (B,) to the encoder's output."""
        ...

    def start(self, memory: Memory | None, rows: Tensor | int) -> State:
        """Return the state before the first token.

        `rows` (B,) int64 are the rows of the memory to read; without a memory, it is B.
        """
        ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Map each row's next tokens (B, T) to logits (B, T, V) and the new state."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """Return the weights, as `nn.Module.parameters` does."""
        ...


class ExactModel(Protocol):
    """Compute logits again without rounding, from the states that `state.last` keeps."""

    def exact_logits(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Map states (B, D) and token ids (B, C) -> their logits (B, C) in fp32, not rounded."""
        ...


class Network(Model[State], Protocol[State]):
    """Map packed tokens to states, with weights: the Transformer and the RNN."""

    precision: torch.dtype  # that of activations
    training: bool
    rng: DropoutRng  # the source of dropout
    logit_softcap: float | None  # within which logits stay

    @property
    def config(self) -> AnyConfig:
        """Return the configuration that it was built from."""
        ...

    @property
    def embedding(self) -> TokenEmbedding:
        """Return the embedding of the (target) vocabulary."""
        ...

    def __call__(self, *args: Any, **inputs: Any) -> Tensor:
        """Map packed ids with their lengths -> states (N, D)."""
        ...

    def output_projection(self) -> tuple[Tensor, Tensor | None]:
        """Return weight (V, D) and bias (V,) of the vocabulary projection."""
        ...

    def to_output(self, states: Tensor) -> Tensor:
        """Map states (..., D) to what the vocabulary projection multiplies."""
        ...

    def project(self, states: Tensor) -> Tensor:
        """Map states (..., D) -> logits (..., V)."""
        ...

    def reseed(self, seed: int) -> None:
        """Let all dropout until the next call draw from `seed`."""
        ...


# for code that only passes a state back to the model that made it
AnyModel = Model[Any]
AnyNetwork = Network[Any]


class Head(Protocol):
    """Map the states of a model to the output of a task."""

    def __call__(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> Any:
        """Map states (N, D) and the batch's inputs to what the task's loss and answers read."""
        ...


@runtime_checkable
class SelectingHead(Head, Protocol):
    """Read the states of some rows alone."""

    def selected_rows(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the rows (K,) int64, rising."""
        ...


class KeyCache(Protocol):
    """Keep keys and values for attention: a TransformerState, or its form in a program."""

    def cross_keys(self, layer: int) -> CachedKeys:
        """Return the memory's keys and values of a layer."""
        ...

    def joined(self, layer: int, attention: Attention, x: Tensor) -> Product:
        """Return the joined projection of a layer to query, key and value."""
        ...

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write new ones (B, T, K, E) and return all of this layer, two (R, K, C, E)."""
        ...


class CellCache(Protocol):
    """Keep the cells of recurrent units."""

    def newest(self, layer: int) -> Tensor:
        """Return the cell (B, D) fp32 after each row's last token; zeros before the first."""
        ...

    def append(self, layer: int, cells: Tensor) -> None:
        """Write the cells (B, T, D) of new tokens."""
        ...
