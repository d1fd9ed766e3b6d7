"""Define sizes of Gemma 2 and 3."""

from __future__ import annotations

import dataclasses

from ..model.config import ModelConfig, StackConfig
from .published import Published, sizes_of

# Norms before and after each part, whose weights are differences from 1; wide heads
_GEMMA = StackConfig(
    activation="gelu_tanh",
    gated=True,
    norm="rms",
    norm_offset=1.0,
    norm_placement="both",
    norm_epsilon=1e-6,
    bias=False,
    positions="rotary",
    dropout=0.0,
)
_GEMMA_2 = dataclasses.replace(
    _GEMMA,
    max_positions=8192,
    attention_softcap=50.0,
    by_block={"attention_window": [4096, None]},
)


def _gemma2(
    layers: int, width: int, heads: tuple[int, int, int], inner_width: int, scalar: int
) -> ModelConfig:
    """Configure Gemma 2: heads are their number, that of keys, and their width."""
    stack = _sized(_GEMMA_2, layers, width, heads, inner_width, scalar)
    return ModelConfig(decoder=stack, logit_softcap=30.0)


def _gemma3(
    layers: int,
    width: int,
    heads: tuple[int, int, int],
    inner_width: int,
    window: int = 1024,
    scalar: int = 256,
) -> ModelConfig:
    """Configure Gemma 3: five blocks with a window, one without, with slower rotations.

    Those of the larger sizes are scaled to 131,072 positions.
    """
    is_long = window > 512
    scaling = {"rope_type": "linear", "factor": 8.0}
    by_block: dict[str, list[object]] = {
        "attention_window": [*5 * [window], None],
        "rotary_base": [*5 * [1e4], 1e6],
        **({"rotary_scaling": [*5 * [None], scaling]} if is_long else {}),
    }
    stack = dataclasses.replace(
        _sized(_GEMMA, layers, width, heads, inner_width, scalar),
        max_positions=131_072 if is_long else 32_768,
        query_key_norm="head",
        by_block=by_block,
    )
    return ModelConfig(decoder=stack)


def _sized(
    base: StackConfig,
    layers: int,
    width: int,
    heads: tuple[int, int, int],
    inner_width: int,
    scalar: int,
) -> StackConfig:
    count, key_heads, head_width = heads
    return dataclasses.replace(
        base,
        layers=layers,
        width=width,
        heads=count,
        key_heads=key_heads,
        head_width=head_width,
        inner_width=inner_width,
        attention_scale=None if scalar == head_width else scalar**-0.5,
    )


FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="Gemma 2",
        paper="Gemma team 2024, table 1",
        vocabulary=256_000,
        sizes={
            "gemma2-2b": _gemma2(26, 2304, (8, 4, 256), 9216, 256),
            "gemma2-9b": _gemma2(42, 3584, (16, 8, 256), 14_336, 256),
            "gemma2-27b": _gemma2(46, 4608, (32, 16, 128), 36_864, 144),
        },
    ),
    Published(
        family="Gemma 3",
        paper="Gemma team 2025; the text's part",
        vocabulary=262_208,
        sizes={
            "gemma3-270m": _gemma3(18, 640, (4, 1, 256), 2048, 512),
            "gemma3-1b": _gemma3(26, 1152, (4, 1, 256), 6912, 512),
            "gemma3-4b": _gemma3(34, 2560, (8, 4, 256), 10_240),
            "gemma3-12b": _gemma3(48, 3840, (16, 8, 256), 15_360),
            "gemma3-27b": _gemma3(62, 5376, (32, 16, 128), 21_504, scalar=168),
        },
        others={"gemma3-270m": 262_144, "gemma3-1b": 262_144},
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
