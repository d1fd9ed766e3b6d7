"""Define sizes of T5, T5 1.1 (also Flan) and mT5."""

from __future__ import annotations

import dataclasses

from ..model.config import ModelConfig, StackConfig
from .published import Published, sizes_of

# Raffel et al. 2020, section 2.1: a bias for each distance, RMS norm, scores that are not scaled
T5 = StackConfig(
    norm="rms",
    norm_placement="pre",
    norm_epsilon=1e-6,
    bias=False,
    positions="relative",
    attention_scale=1.0,
    attention_dropout=0.1,
    inner_dropout=0.1,
)
_GATED = dataclasses.replace(T5, activation="gelu_tanh", gated=True)


def _stack(
    base: StackConfig, layers: int, width: int, heads: int, head_width: int, inner_width: int
) -> StackConfig:
    is_free = heads * head_width != width
    return dataclasses.replace(
        base,
        layers=layers,
        width=width,
        heads=heads,
        head_width=head_width if is_free else None,
        inner_width=inner_width,
    )


def _t5(layers: int, width: int, heads: int, head_width: int, inner_width: int) -> ModelConfig:
    """Configure the first T5, which is tied and scales its states before the output."""
    stack = _stack(T5, layers, width, heads, head_width, inner_width)
    return ModelConfig(
        encoder=stack, decoder=stack, embedding_scale=False, output_scale=width**-0.5
    )


def _gated(layers: int, width: int, heads: int, inner_width: int) -> ModelConfig:
    """Configure T5 1.1 and mT5: a gated feed-forward network and an output of its own."""
    stack = _stack(_GATED, layers, width, heads, 64, inner_width)
    return ModelConfig(encoder=stack, decoder=stack, embedding_scale=False, tied_embeddings=False)


GATED_SIZES = {
    "small": _gated(8, 512, 6, 1024),
    "base": _gated(12, 768, 12, 2048),
    "large": _gated(24, 1024, 16, 2816),
    "xl": _gated(24, 2048, 32, 5120),
    "xxl": _gated(24, 4096, 64, 10_240),
}
FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="T5",
        paper="Raffel et al. 2020, section 3.7",
        vocabulary=32_128,
        sizes={
            "t5-small": _t5(6, 512, 8, 64, 2048),
            "t5-base": _t5(12, 768, 12, 64, 3072),
            "t5-large": _t5(24, 1024, 16, 64, 4096),
            "t5-3b": _t5(24, 1024, 32, 128, 16_384),
            "t5-11b": _t5(24, 1024, 128, 128, 65_536),
        },
    ),
    Published(
        family="T5 1.1",
        paper="Shazeer 2020; published with the code of T5",
        vocabulary=32_128,
        sizes={f"t5-v1.1-{name}": size for name, size in GATED_SIZES.items()},
    ),
    Published(
        family="Flan-T5",
        paper="Chung et al. 2022",
        vocabulary=32_128,
        sizes={f"flan-t5-{name}": size for name, size in GATED_SIZES.items()},
    ),
    Published(
        family="mT5",
        paper="Xue et al. 2021",
        vocabulary=250_112,
        sizes={f"mt5-{name}": size for name, size in GATED_SIZES.items()},
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
