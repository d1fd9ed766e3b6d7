"""Dials of the RNN encoder-decoder. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ...checking import Count, Probability

if TYPE_CHECKING:
    from ..config import Architecture, Side, StackConfig


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """RNN encoder-decoder: bidirectional GRU encoder, additive attention (Bahdanau et al. 2015,
    appendix A).

    With `attention=False` the last encoder states alone carry the sentence (Cho et al. 2014;
    Sutskever et al. 2014).
    """

    embedding_width: Count = 620  # of a token as it enters
    width: Count = 1000  # hidden units of each direction and of the decoder
    attention_width: Count = 1000  # hidden units of the score of a source position
    readout_width: Count = 500  # maxout pairs before the output projection
    attention: bool = True  # False: the last states alone carry the sentence
    dropout: Probability = 0.0  # on embeddings and before the output projection
    vocabulary_size: Annotated[int, Ge(0)] = 0
    source_vocabulary_size: Count | None = None

    @property
    def stacks(self) -> dict[str, StackConfig]:
        """Return the stacks of Transformer blocks, of which an RNN has none."""
        return {}

    @property
    def architecture(self) -> Architecture:
        """Return which of the three architectures this is: it reads and it writes."""
        return "encoder-decoder"

    def context(self, side: Side) -> int | None:
        """Return how many tokens of a side the model has positions for: there is no end."""
        return None
