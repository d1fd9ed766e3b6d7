"""Define sizes of sparse Transformers, whose tokens each use a few of many experts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..model.config import ModelConfig, StackConfig
from .published import OWN, Published, sizes_of

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


def _switch(
    count: int, layers: int = 12, width: int = 768, heads: int = 12, **more: Any
) -> ModelConfig:
    """Configure another size of Switch, with experts in every second block unless said."""
    dials: dict[str, Any] = {"head_width": 64, "by_block": {"experts": [0, count]}, **more}
    stack = replace(_SWITCH, layers=layers, width=width, heads=heads, **dials)
    return ModelConfig(
        encoder=stack, decoder=stack, embedding_scale=False, output_scale=width**-0.5
    )


# as Mixtral 8x7B, and wider
_LARGE = replace(
    _MIXTRAL, layers=56, width=6144, heads=48, inner_width=16_384, max_positions=65_536
)
FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="Switch",
        paper="Fedus et al. 2021, table 9",
        vocabulary=32_128,
        sizes={
            "switch-base-8": ModelConfig(
                encoder=_SWITCH, decoder=_SWITCH, embedding_scale=False, output_scale=768**-0.5
            ),
            **{f"switch-base-{count}": _switch(count) for count in (16, 32, 64, 128, 256)},
            # as its published weights; the paper's has gates, and an inner width of 2,816
            "switch-large-128": _switch(128, 24, 1024, 16, inner_width=4096),
            "switch-xxl-128": _switch(
                128, 24, 4096, 64, inner_width=10_240, gated=True, activation="gelu_tanh"
            ),
            "switch-c-2048": _switch(
                2048, 15, 2080, 32, inner_width=6144, by_block=None, experts=2048
            ),
        },
    ),
    Published(
        family="Mixtral",
        paper="Jiang et al. 2024, table 1; the larger one as its published config.json",
        vocabulary=32_000,
        sizes={
            "mixtral-8x7b": ModelConfig(
                decoder=_MIXTRAL, embedding_scale=False, tied_embeddings=False
            ),
            "mixtral-8x22b": ModelConfig(
                decoder=_LARGE, embedding_scale=False, tied_embeddings=False
            ),
        },
    ),
    Published(
        family=OWN,
        paper="",
        vocabulary=37_000,
        sizes={
            "switch-tiny": ModelConfig(encoder=_TINY, decoder=_TINY),
            "switch-decoder-small": ModelConfig(decoder=_SMALL),
        },
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
