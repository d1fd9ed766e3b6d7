"""The faces that rooms see of each other; the Transformer and the RNN share them.

A `Model` writes token by token with `encode`, `start` and `step`; a `Network` is one that also maps
packed tokens to states, as training does. Whatever has these methods is one: nothing inherits from
here.
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
    """Arrays of a batch that heads read and the model does not."""

    masked: Tensor
    learnt: Tensor
    word_starts: Tensor


class Inputs(HeadInputs, total=False):
    """Arrays of a batch, by the names that `forward` gives them."""

    source: Tensor | None  # (M,) packed ids
    source_lengths: Tensor | None  # (B,)
    target: Tensor | None  # (N,) packed ids
    target_lengths: Tensor | None  # (B,)
    segments: Tensor | None  # (M,) which text of the input a source token belongs to


class DecoderState(Protocol):
    """What a decoder keeps of B rows between steps."""

    @property
    def lengths(self) -> Tensor:
        """Tokens that each row has read (B,)."""
        ...

    def select(self, rows: Tensor) -> Self:
        """Return the state of `rows` (int64), in that order; rows may repeat or be left out."""
        ...

    def join(self, other: Self) -> Self:
        """Return the rows of both states, those of this one first."""
        ...

    def truncate(self, lengths: Tensor, alone: bool = False) -> Self:
        """Forget what stands past `lengths` (B,) in each row. alone: no other state that shares
        memory with this one is used on.
        """
        ...


State = TypeVar("State", bound=DecoderState)


class Model(Protocol[State]):
    """What writes token by token: the Transformer, the RNN, and what stands for one."""

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """Map packed "source" (M,) and "source_lengths" (B,) -> the encoder's output."""
        ...

    def start(self, memory: Memory | None, rows: Tensor | int) -> State:
        """Return the state before the first token. rows: (B,) int64, the memory's row that each
        reads; or B without a memory.
        """
        ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Map tokens (B, T) at each row's own next positions -> logits (B, T, V) and the state
        after them.
        """
        ...

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """Return the weights, as `nn.Module.parameters` does."""
        ...


class ExactModel(Protocol):
    """A model whose state keeps the states behind rounded logits (`DecoderState.last`)."""

    def exact_logits(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Map states (B, D) and token ids (B, C) -> their logits (B, C) in fp32, not rounded."""
        ...


class Network(Model[State], Protocol[State]):
    """A model with weights: the Transformer and the RNN encoder-decoder."""

    precision: torch.dtype  # of activations
    training: bool
    rng: DropoutRng  # what dropout draws from

    @property
    def config(self) -> AnyConfig:
        """The dials that it was built from."""
        ...

    @property
    def embedding(self) -> TokenEmbedding:
        """The table of the (target) vocabulary."""
        ...

    def __call__(self, *args: Any, **inputs: Any) -> Tensor:
        """Map packed ids with their lengths -> states (N, D)."""
        ...

    def output_projection(self) -> tuple[Tensor, Tensor | None]:
        """Return weight (V, D) and bias (V,) of the vocabulary projection."""
        ...

    def project(self, states: Tensor) -> Tensor:
        """Map states (..., D) -> logits (..., V)."""
        ...

    def reseed(self, seed: int) -> None:
        """Let all dropout until the next call draw from `seed`."""
        ...


# where a state is only handed back to the model that made it
AnyModel = Model[Any]
AnyNetwork = Network[Any]


class Head(Protocol):
    """What stands on top of a model's states."""

    def __call__(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> Any:
        """Map states (N, D) and the batch's inputs -> what the task's loss and answers read."""
        ...


@runtime_checkable
class SelectingHead(Head, Protocol):
    """A head that asks for the states of some rows alone."""

    def selected_rows(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the rows (K,) int64, rising."""
        ...


class KeyCache(Protocol):
    """What made room for new tokens: a TransformerState, or what stands for one in a program."""

    def cross_keys(self, layer: int) -> CachedKeys:
        """Return the memory's keys and values of a layer."""
        ...

    def joined(self, layer: int, attention: Attention, x: Tensor) -> Product:
        """Return the product of x with a layer's query, key and value, put together once."""
        ...

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write new ones (B, T, K, E) and return all of this layer, two (R, K, C, E)."""
        ...
