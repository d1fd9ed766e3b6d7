"""Every dial of the models, with its reason. Plain frozen dataclasses; imports no torch.

`ModelConfig` holds up to two `StackConfig`s: an encoder alone understands, a decoder alone writes, both together turn
one sequence into another. `RecurrentConfig` is the RNN encoder-decoder behind the same face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activation = Literal["relu", "gelu", "gelu_tanh", "silu"]
Positions = Literal["sinusoidal", "learned", "rotary"]


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """One stack of Transformer blocks (Vaswani et al. 2017, section 3.1)."""

    layers: int = 6
    width: int = 512
    heads: int = 8
    key_heads: int | None = None  # fewer key/value heads than query heads (Ainslie et al. 2023); None = heads
    inner_width: int = 2048
    activation: Activation = "relu"
    gated: bool = False  # gated feed-forward (Shazeer 2020)
    norm: Literal["layer", "rms"] = "layer"
    norm_placement: Literal["post", "pre"] = "post"  # post as in 2017; pre (Xiong et al. 2020) trains without care
    norm_epsilon: float = 1e-5
    bias: bool = True  # of linear layers; LLaMA has none
    positions: Positions = "sinusoidal"
    max_positions: int = 1024  # rows of the learned table; the other two schemes have no end
    rotary_base: float = 10000.0
    segments: int = 0  # rows of the table that tells two texts of one input apart (Devlin et al. 2018); 0: none
    embedding_norm: bool = False  # a norm after the sum of the embeddings (Devlin et al. 2018)
    dropout: float = 0.1  # on embeddings and on every residual branch (2017, section 5.4)
    attention_dropout: float = 0.0
    inner_dropout: float = 0.0  # inside the feed-forward


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A Transformer: which stacks there are, and what they share."""

    encoder: StackConfig | None = None
    decoder: StackConfig | None = None
    vocabulary_size: int = 0  # filled in from the tokenizer when the model is built
    source_vocabulary_size: int | None = None  # None: one vocabulary and one embedding for both sides
    tied_embeddings: bool = True  # the output projection is the (target) embedding (Press & Wolf 2017)
    embedding_scale: bool = True  # multiply embeddings by sqrt(width) (2017, section 3.4)
    output_bias: bool = False


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """RNN encoder-decoder: bidirectional GRU encoder, additive attention (Bahdanau et al. 2015, appendix A).

    With `attention=False` the last encoder states alone carry the sentence (Cho et al. 2014; Sutskever et al. 2014).
    """

    embedding_width: int = 620
    width: int = 1000  # hidden units of each direction and of the decoder
    attention_width: int = 1000
    readout_width: int = 500  # maxout pairs before the output projection
    attention: bool = True
    dropout: float = 0.0
    vocabulary_size: int = 0
    source_vocabulary_size: int | None = None
