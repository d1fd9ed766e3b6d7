"""Every dial of the models, with its reason. Plain frozen dataclasses; imports no torch.

`ModelConfig` holds up to two `StackConfig`s: an encoder alone understands, a decoder alone writes,
both together turn one sequence into another. `RecurrentConfig` is the RNN encoder-decoder behind
the same face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from ..checking import Count, Note, Positive, Probability

Activation = Literal["relu", "gelu", "gelu_tanh", "silu"]
Positions = Literal["sinusoidal", "learned", "rotary"]


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """One stack of Transformer blocks (Vaswani et al. 2017, section 3.1)."""

    layers: Count = 6  # blocks, one after the other
    width: Count = 512  # of the states between blocks; a multiple of heads
    heads: Count = 8  # of attention, each width / heads wide (2017, section 3.2.2)
    # fewer key/value heads than query heads (Ainslie et al. 2023); None = heads
    key_heads: Count | None = None
    inner_width: Count = 2048  # of the feed-forward between its two matrices (2017, section 3.3)
    # of the feed-forward; gelu is the exact form, gelu_tanh that of GPT-2
    activation: Activation = "relu"
    gated: bool = False  # gated feed-forward (Shazeer 2020)
    norm: Literal["layer", "rms"] = "layer"  # rms: no mean is taken out (Zhang & Sennrich 2019)
    # post as in 2017; pre (Xiong et al. 2020) trains without care
    norm_placement: Literal["post", "pre"] = "post"
    norm_epsilon: Positive = 1e-5  # added to the variance, so that nothing is divided by 0
    bias: bool = True  # of linear layers; LLaMA has none
    # fixed (2017, section 3.5), a learned table, or rotated queries and keys (Su et al. 2021)
    positions: Positions = "sinusoidal"
    max_positions: Count = 1024  # rows of the learned table; the other two schemes have no end
    rotary_base: Positive = 10000.0  # of the angles (Su et al. 2021, section 3.2.2)
    # rows of the table that tells two texts of one input apart (Devlin et al. 2018); 0: none
    segments: Annotated[int, Ge(0), Note("0: none")] = 0
    embedding_norm: bool = False  # a norm after the sum of the embeddings (Devlin et al. 2018)
    dropout: Probability = 0.1  # on embeddings and on every residual branch (2017, section 5.4)
    attention_dropout: Probability = 0.0  # on attention weights
    inner_dropout: Probability = 0.0  # inside the feed-forward

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for each width that cannot be shared out among heads."""
        key_heads = self.key_heads or self.heads
        if self.width % self.heads or self.heads % key_heads:
            yield (
                f"{table}: width {self.width} must be a multiple of heads {self.heads}, and heads "
                f"a multiple of key_heads {key_heads}."
            )
        if self.positions == "rotary" and (self.width // self.heads) % 2:
            yield (
                f"{table}: rotary positions need heads of even width, not "
                f"{self.width // self.heads}."
            )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A Transformer: which stacks there are, and what they share."""

    # reads the source; a table of the stack's dials, where the preset has one
    encoder: StackConfig | None = None
    decoder: StackConfig | None = None  # writes, token by token; the same
    # filled in from the tokenizer when the model is built
    vocabulary_size: Annotated[int, Ge(0)] = 0
    # None: one vocabulary and one embedding for both sides
    source_vocabulary_size: Count | None = None
    # the output projection is the (target) embedding (Press & Wolf 2017)
    tied_embeddings: bool = True
    embedding_scale: bool = True  # multiply embeddings by sqrt(width) (2017, section 3.4)
    output_bias: bool = False  # one number for each entry of the vocabulary, added to its logit


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


AnyConfig = ModelConfig | RecurrentConfig
