"""Sizes of the encoder-decoder Transformer: those of 2017, and small ones for two processor cores."""

from __future__ import annotations

from ..model.config import ModelConfig, StackConfig

_BASE = StackConfig()  # the defaults are the base model of Vaswani et al. 2017, table 3
_BIG = StackConfig(width=1024, heads=16, inner_width=4096, dropout=0.3)
# Pre-norm trains at high rates with a short warm-up (Xiong et al. 2020), which is what minutes on two cores allow.
_SMALL = StackConfig(layers=3, width=256, heads=4, inner_width=1024, norm_placement="pre")
_TINY = StackConfig(layers=2, width=128, heads=4, inner_width=256, norm_placement="pre")
# Lewis et al. 2019, section 3.1: post-norm, GELU, learned positions, a norm on the embeddings; for learning anew, no weights are read.
_BART = StackConfig(layers=6, width=768, heads=12, inner_width=3072, activation="gelu", positions="learned", embedding_norm=True,
                    attention_dropout=0.1, inner_dropout=0.1)  # fmt: skip

PRESETS: dict[str, ModelConfig] = {
    "transformer-base": ModelConfig(encoder=_BASE, decoder=_BASE),
    "transformer-big": ModelConfig(encoder=_BIG, decoder=_BIG),
    "transformer-small": ModelConfig(encoder=_SMALL, decoder=_SMALL),
    "transformer-tiny": ModelConfig(encoder=_TINY, decoder=_TINY),
    "bart-base": ModelConfig(encoder=_BART, decoder=_BART, embedding_scale=False),
}


def parameter_count(config: ModelConfig) -> int:
    """Embeddings, stacks, and the output projection where it is not tied."""
    encoder, decoder = config.encoder, config.decoder
    last = decoder or encoder
    assert last is not None, "a Transformer needs an encoder, a decoder or both"
    count = config.vocabulary_size * last.width * (1 if config.tied_embeddings else 2)
    count += config.vocabulary_size * config.output_bias
    if encoder and decoder and config.source_vocabulary_size is not None:
        count += config.source_vocabulary_size * encoder.width
    if encoder:
        count += _stack(encoder, None)
    if decoder:
        count += _stack(decoder, encoder.width if encoder else None)
    return count


def _stack(stack: StackConfig, memory_width: int | None) -> int:
    width, bias = stack.width, int(stack.bias)
    norm = width * (1 + (stack.norm == "layer"))
    keys = width // stack.heads * (stack.key_heads or stack.heads)
    attention = 2 * (width * width + bias * width) + 2 * (width * keys + bias * keys)
    matrices = 3 if stack.gated else 2
    feed_forward = matrices * width * stack.inner_width + bias * ((matrices - 1) * stack.inner_width + width)
    layer = attention + feed_forward + 2 * norm
    if memory_width is not None:
        layer += 2 * (width * width + bias * width) + 2 * (memory_width * keys + bias * keys) + norm
    table = (stack.max_positions if stack.positions == "learned" else 0) + stack.segments
    return stack.layers * layer + table * width + norm * ((stack.norm_placement == "pre") + stack.embedding_norm)
