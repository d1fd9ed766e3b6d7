"""Define sizes of sparse Transformers, whose tokens each use a few of many experts."""

from __future__ import annotations

from ..model.config import ModelConfig, StackConfig

# Fedus et al. 2021, table 9: T5's base size with experts in every second block. Capacity and z-loss
# are those of the published weights (in transformers' form).
_SWITCH = StackConfig(
    layers=12,
    width=768,
    heads=12,
    head_width=64,
    inner_width=3072,
    norm="rms",
    norm_placement="pre",
    norm_epsilon=1e-6,
    bias=False,
    positions="relative",
    attention_scale=1.0,
    attention_dropout=0.1,
    inner_dropout=0.1,
    by_block={"experts": [0, 8]},
    expert_capacity=64,
    expert_jitter=0.01,
)
# Jiang et al. 2024, table 1: Mistral 7B with eight experts in every block, two for each token.
_MIXTRAL = StackConfig(
    layers=32,
    width=4096,
    heads=32,
    key_heads=8,
    inner_width=14336,
    activation="silu",
    gated=True,
    norm="rms",
    norm_placement="pre",
    positions="rotary",
    rotary_base=1e6,
    bias=False,
    dropout=0.0,
    experts=8,
    experts_per_token=2,
)
# For two cores: the sizes of transformer-tiny and decoder-small. A share of the sequence as the
# capacity fits texts of any length.
_TINY = StackConfig(
    layers=2,
    width=128,
    heads=4,
    inner_width=256,
    norm_placement="pre",
    by_block={"experts": [0, 4]},
    expert_capacity_factor=1.25,
    expert_jitter=0.01,
)
_SMALL = StackConfig(
    layers=6,
    width=384,
    heads=6,
    inner_width=1536,
    activation="gelu",
    norm_placement="pre",
    positions="rotary",
    by_block={"experts": [0, 8]},
    expert_capacity_factor=1.25,
    expert_jitter=0.01,
)

PRESETS: dict[str, ModelConfig] = {
    "switch-base-8": ModelConfig(
        encoder=_SWITCH, decoder=_SWITCH, embedding_scale=False, output_scale=768**-0.5
    ),
    "switch-tiny": ModelConfig(encoder=_TINY, decoder=_TINY),
    "switch-decoder-small": ModelConfig(decoder=_SMALL),
    "mixtral-8x7b": ModelConfig(decoder=_MIXTRAL, embedding_scale=False, tied_embeddings=False),
}
