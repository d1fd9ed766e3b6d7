"""Configuration of the RNN encoder-decoder. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ...checking import Count, Probability

if TYPE_CHECKING:
    from ..config import Architecture, Side, StackConfig


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """Configure an RNN encoder-decoder with additive attention (Bahdanau et al. 2015, appendix A).

    Without attention the last encoder states represent the sentence (Cho et al. 2014; Sutskever et
    al. 2014).
    """

    embedding_width: Count = 620  # width of the embeddings
    width: Count = 1000  # hidden units of each direction and of the decoder
    attention_width: Count = 1000  # hidden units of the attention score
    readout_width: Count = 500  # maxout units before the output projection
    attention: bool = True  # False: the last encoder states represent the sentence
    dropout: Probability = 0.0  # on embeddings and before the output projection
    vocabulary_size: Annotated[int, Ge(0)] = 0
    source_vocabulary_size: Count | None = None

    @property
    def stacks(self) -> dict[str, StackConfig]:
        """Return the stacks of Transformer blocks: none."""
        return {}

    @property
    def architecture(self) -> Architecture:
        """Return which of the three architectures this is."""
        return "encoder-decoder"

    def context(self, side: Side) -> int | None:
        """Return how many positions the model has for a side: unlimited."""
        return None
