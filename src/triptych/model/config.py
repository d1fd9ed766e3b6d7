"""Configurations of models, as frozen dataclasses. Imports no torch.

`ModelConfig` holds up to two `StackConfig`s: an encoder alone understands, a decoder alone writes,
both together turn one sequence into another. `RecurrentConfig` is the RNN encoder-decoder.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from ..checking import Count, Note, Positive, Probability
from .dials import DECODER_ONLY, ENCODER_ONLY, STRIDES, UNSET, misfit
from .rnn.config import RecurrentConfig as RecurrentConfig

Activation = Literal["relu", "gelu", "gelu_tanh", "silu"]
Positions = Literal["sinusoidal", "learned", "rotary", "relative", "alibi", "none"]
Architecture = Literal["encoder", "decoder", "encoder-decoder"]
Side = Literal["source", "target"]  # what the encoder reads, or what the decoder writes


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """Configure one stack of Transformer blocks (Vaswani et al. 2017, section 3.1)."""

    layers: Count = 6  # number of blocks
    width: Count = 512  # width of the states between blocks; a multiple of heads
    heads: Count = 8  # attention heads, each width / heads wide (2017, section 3.2.2)
    # fewer key/value heads than query heads (Ainslie et al. 2023); None = heads
    key_heads: Count | None = None
    inner_width: Count = 2048  # width inside the feed-forward network (2017, section 3.3)
    # activation of the feed-forward network; gelu is the exact form, gelu_tanh that of GPT-2
    activation: Activation = "relu"
    gated: bool = False  # gated feed-forward (Shazeer 2020)
    # rms: without subtracting the mean (Zhang & Sennrich 2019)
    norm: Literal["layer", "rms"] = "layer"
    # post as in 2017; pre (Xiong et al. 2020) trains more stably; both: before each part and after
    # it, before the sum (Gemma 2); branch: only the latter (OLMo 2)
    norm_placement: Literal["post", "pre", "both", "branch"] = "post"
    norm_epsilon: Positive = 1e-5  # added to the variance, to avoid division by 0
    bias: bool = True  # biases of linear layers; LLaMA has none
    # fixed (2017, section 3.5), a learned table, rotated queries and keys (Su et al. 2021), or
    # added to scores: relative (Raffel et al. 2020, section 2.1) or alibi (Press et al. 2022); none
    # at all (some blocks of SmolLM3)
    positions: Positions = "sinusoidal"
    max_positions: Count = 1024  # rows of the learned table; the other schemes are unlimited
    rotary_base: Positive = 10000.0  # base of the rotation angles (Su et al. 2021, section 3.2.2)
    # rows of the table of segments: the texts of one input (Devlin et al. 2018); 0: none
    segments: Annotated[int, Ge(0), Note("0: none")] = 0
    embedding_norm: bool = False  # a norm after the sum of the embeddings (Devlin et al. 2018)
    dropout: Probability = 0.1  # on embeddings and on every residual branch (2017, section 5.4)
    attention_dropout: Probability = 0.0  # on attention weights
    inner_dropout: Probability = 0.0  # inside the feed-forward
    # width of each head if it is not width / heads (T5-11B, Gemma, Qwen3)
    head_width: Count | None = None
    # biases of query, key, value and output of attention, if they differ from `bias` (Qwen2: true,
    # true, true, false; Whisper: true, false, true, true)
    attention_biases: list[bool] | None = None
    # tokens that a query of a decoder sees, itself and those before (Mistral); in an encoder, half
    # of them on either side (ModernBERT)
    attention_window: Count | None = None
    # attention and feed-forward read the same input, and both are added to it: after a norm of each
    # (GPT-NeoX) or after the same norm (GPT-J, Phi)
    parallel: Literal["two_norms", "one_norm"] | None = None
    norm_bias: bool = True  # biases of layer norms (ModernBERT has none)
    # added to the weights of rms norms, which are so stored as differences from it (Gemma: 1)
    norm_offset: Annotated[float, Ge(0)] = 0.0
    first_norm: bool = True  # the norm before attention in the first block (ModernBERT has none)
    shared_layers: bool = False  # all blocks are one, with the same weights (ALBERT)
    # row of the positions that the first token reads (RoBERTa, OPT, BART, M2M100: 2)
    first_position: Annotated[int, Ge(0)] = 0
    # sines in even columns and cosines in odd ones (2017), or in two halves (Marian, Pegasus);
    # fairseq: halves of D/2 frequencies from 1 to 1/10000, both included (M2M100)
    sinusoids: Literal["interleaved", "halves", "fairseq"] = "interleaved"
    # the part of each head that is rotated, from its first column on (GPT-NeoX, GPT-J, Phi)
    rotary_share: Annotated[float, Gt(0), Le(1)] = 1.0
    # how rotary positions reach longer texts, as published: rope_type linear, dynamic, llama3, yarn
    # or longrope, and the keys of each
    rotary_scaling: dict[str, Any] | None = None
    # a bias of scores for each bucket of distances, beside learned positions (MPNet)
    relative_bias: bool = False
    # factor of the scores of attention if it is not 1 / sqrt(width of a head) (T5: 1)
    attention_scale: Positive | None = None
    # scores of attention stay within this: c tanh(score / c) (Gemma 2)
    attention_softcap: Positive | None = None
    # biases of the feed-forward network, if they differ from `bias` (GPT-J)
    feed_forward_bias: bool | None = None
    # a norm of queries and keys: of each head (Qwen3, Gemma 3), or of all at once (OLMo 2)
    query_key_norm: Literal["head", "whole"] | None = None
    # block-sparse attention of an encoder (Zaheer et al. 2020): {"size": 64, "random": 3}, and with
    # "seed" further blocks are drawn (`block_pattern.py`)
    attention_blocks: dict[str, int] | None = None
    # tokens of an encoder with a window that see all and are seen by all, by projections of their
    # own (Beltagy et al. 2020, section 3): the first of each sequence, those of its question, or
    # none, as while words are masked
    attention_globals: Literal["first", "question", "none"] | None = None
    # attention of an encoder to contents and to relative positions apart (He et al. 2021; DeBERTa
    # v3): {"buckets": 256, "farthest": 512} (`disentangled.py`)
    disentangled: dict[str, int] | None = None
    # experts of the feed-forward layer, of which each token uses a few (Fedus et al. 2021)
    experts: Annotated[int, Ge(0), Note("0: one dense layer")] | None = None
    # experts that a token uses: 1 in Switch, which is the default; 2 in Mixtral
    experts_per_token: Count | None = None
    # tokens of a sequence that an expert takes; the others skip the layer. In training, and when
    # an encoder reads (the published Switch models: 64)
    expert_capacity: Count | None = None
    # the same in training alone, as a multiple of an even share: 1.0 to 2.0 in Switch
    expert_capacity_factor: Positive | None = None
    # in training the router reads its input times uniform numbers from 1 - this to 1 + this
    expert_jitter: Probability | None = None
    # dropout inside experts, if it differs from inner_dropout (Switch, section 2.4: 0.4)
    expert_dropout: Probability | None = None
    # in a decoder, a simpler simple recurrent unit in place of self-attention (Kim et al. 2019)
    self_attention: Literal["ssru"] | None = None
    # in an encoder of sound, what maps its frames to vectors in place of a table of tokens:
    # 4 frames to 1, or 2 to 1 as in Whisper (`stem.py`)
    stem: Literal["convolution", "whisper"] | None = None
    # numbers in a frame that a stem reads: 80 mel bands
    features: Count | None = None
    # values that blocks take in turn, by key: {"attention_window": [4096, "unset"]} (Gemma 2)
    by_block: dict[str, list[Any]] | None = None

    @property
    def usable_positions(self) -> int:
        """Return the number of rows of the learned table that tokens can read."""
        return self.max_positions - self.first_position

    @property
    def frames_per_vector(self) -> int:
        """Return how many frames a stem makes one vector of; 1 without a stem."""
        return math.prod(STRIDES[self.stem]) if self.stem else 1

    @property
    def size_of_head(self) -> int:
        """Return the width of each head of attention."""
        return self.head_width or self.width // self.heads

    @property
    def rotary_width(self) -> int:
        """Return how many columns of each head are rotated."""
        return int(self.size_of_head * self.rotary_share)

    def of_block(self, layer: int) -> StackConfig:
        """Return the configuration of one block, counted from 0."""
        own = {key: values[layer % len(values)] for key, values in (self.by_block or {}).items()}
        own = {key: None if value == UNSET else value for key, value in own.items()}
        if self.attention_blocks is not None and "seed" in self.attention_blocks:
            seed = self.attention_blocks["seed"] + layer  # each block draws a pattern of its own
            own["attention_blocks"] = {**self.attention_blocks, "seed": seed}
        return dataclasses.replace(self, by_block=None, **own) if own else self

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence if values do not fit each other."""
        problem = misfit(self)
        if problem is not None:
            yield f"{table}: {problem}."


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Configure a Transformer: its stacks, and what they share."""

    # the stack that reads the source, if the preset has one
    encoder: StackConfig | None = None
    # the stack that writes token by token, if the preset has one
    decoder: StackConfig | None = None
    # filled in from the tokenizer when the model is built
    vocabulary_size: Annotated[int, Ge(0)] = 0
    # None: one vocabulary and one embedding for both sides
    source_vocabulary_size: Count | None = None
    # the output projection is the (target) embedding (Press & Wolf 2017)
    tied_embeddings: bool = True
    embedding_scale: bool = True  # multiply embeddings by sqrt(width) (2017, section 3.4)
    output_bias: bool = False  # one number for each entry of the vocabulary, added to its logit
    # width of the embeddings if it is not that of the states, to which they are projected (ALBERT)
    embedding_width: Count | None = None
    # what is projected: sum, the normalised sum of tokens, positions and segments (ALBERT,
    # ELECTRA), or tokens alone, with no bias, and the states back for the output (OPT-350m)
    embedding_projection: Literal["sum", "tokens"] = "sum"
    # factor of the states before the output projection (T5: width ** -0.5)
    output_scale: Positive | None = None
    logit_softcap: Positive | None = None  # logits stay within this: c tanh(logit / c) (Gemma 2)

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for each dial of one kind of stack that the other has."""
        for dial in ENCODER_ONLY if self.decoder is not None else ():
            if getattr(self.decoder, dial) is not None:
                yield f"{table}.decoder has {dial}, which is for encoders: set it there."
        for dial in DECODER_ONLY if self.encoder is not None else ():
            if getattr(self.encoder, dial) is not None:
                yield f"{table}.encoder has {dial}, which is for decoders: set it there."

    @property
    def stacks(self) -> dict[str, StackConfig]:
        """Return the stacks that exist, by name."""
        both = {"encoder": self.encoder, "decoder": self.decoder}
        return {name: stack for name, stack in both.items() if stack is not None}

    @property
    def architecture(self) -> Architecture:
        """Return which of the three architectures this is."""
        if self.encoder is None:
            return "decoder"
        return "encoder" if self.decoder is None else "encoder-decoder"

    def context(self, side: Side) -> int | None:
        """Return how many tokens, or frames of sound, the model can read of a side.

        None: any number.
        """
        stack = self.encoder if side == "source" else self.decoder
        if stack is None or stack.positions != "learned":
            return None
        return stack.usable_positions * stack.frames_per_vector


AnyConfig = ModelConfig | RecurrentConfig
