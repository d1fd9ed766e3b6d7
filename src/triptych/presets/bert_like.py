"""Define sizes of the encoders that are a BERT but for a few settings."""

from __future__ import annotations

import dataclasses

from ..model.config import ModelConfig, StackConfig
from .published import Published, sizes_of

Shape = tuple[int, int, int]  # layers, width, heads
BASE: Shape = (12, 768, 12)
LARGE: Shape = (24, 1024, 16)
_BERT = StackConfig(
    activation="gelu",
    positions="learned",
    max_positions=512,
    segments=2,
    embedding_norm=True,
    norm_epsilon=1e-12,
    attention_dropout=0.1,
)
# rows 0 and 1 of the positions are not read; one segment
_ROBERTA = dataclasses.replace(
    _BERT, max_positions=514, first_position=2, segments=1, norm_epsilon=1e-5
)
_BIG_BIRD = dataclasses.replace(
    _BERT,
    activation="gelu_tanh",
    max_positions=4096,
    attention_blocks={"size": 64, "random": 3},
)
_LONGFORMER = dataclasses.replace(
    _ROBERTA, max_positions=4098, attention_window=512, attention_globals="first"
)
_MPNET = dataclasses.replace(_ROBERTA, segments=0, relative_bias=True)
_DEBERTA = dataclasses.replace(
    _BERT,
    positions="none",
    segments=0,
    norm_epsilon=1e-7,
    disentangled={"buckets": 256, "farthest": 512},
)
# as the second version, which has no dropout
_ALBERT = dataclasses.replace(
    _BERT, activation="gelu_tanh", shared_layers=True, dropout=0.0, attention_dropout=0.0
)
# Every third block sees all, with slower rotations; the others see 64 tokens on either side.
_MODERN = StackConfig(
    activation="gelu",
    gated=True,
    norm_placement="pre",
    norm_bias=False,
    first_norm=False,
    embedding_norm=True,
    bias=False,
    positions="rotary",
    max_positions=8192,
    dropout=0.0,
    by_block={"attention_window": [None, 128, 128], "rotary_base": [160_000.0, 1e4, 1e4]},
)


def _size(
    base: StackConfig,
    shape: Shape,
    inner_width: int | None = None,
    embedding_width: int | None = None,
) -> ModelConfig:
    layers, width, heads = shape
    stack = dataclasses.replace(
        base, layers=layers, width=width, heads=heads, inner_width=inner_width or 4 * width
    )
    return ModelConfig(encoder=stack, embedding_scale=False, embedding_width=embedding_width)


FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="RoBERTa",
        paper="Liu et al. 2019",
        vocabulary=50_265,
        sizes={"roberta-base": _size(_ROBERTA, BASE), "roberta-large": _size(_ROBERTA, LARGE)},
    ),
    Published(
        family="XLM-R",
        paper="Conneau et al. 2020",
        vocabulary=250_002,
        sizes={"xlm-r-base": _size(_ROBERTA, BASE), "xlm-r-large": _size(_ROBERTA, LARGE)},
    ),
    Published(
        family="BigBird",
        paper="Zaheer et al. 2020",
        vocabulary=50_358,
        sizes={"bigbird-base": _size(_BIG_BIRD, BASE), "bigbird-large": _size(_BIG_BIRD, LARGE)},
    ),
    Published(
        family="Longformer",
        paper="Beltagy et al. 2020",
        vocabulary=50_265,
        sizes={
            "longformer-base": _size(_LONGFORMER, BASE),
            "longformer-large": _size(_LONGFORMER, LARGE),
        },
    ),
    Published(
        family="ModernBERT",
        paper="Warner et al. 2024",
        vocabulary=50_368,
        sizes={
            "modernbert-base": _size(_MODERN, (22, 768, 12), 1152),
            "modernbert-large": _size(_MODERN, (28, 1024, 16), 2624),
        },
    ),
    Published(
        family="ALBERT",
        paper="Lan et al. 2020, table 1; version 2",
        vocabulary=30_000,
        sizes={
            "albert-base": _size(_ALBERT, BASE, None, 128),
            "albert-large": _size(_ALBERT, LARGE, None, 128),
            "albert-xlarge": _size(_ALBERT, (24, 2048, 16), None, 128),
            "albert-xxlarge": _size(_ALBERT, (12, 4096, 64), None, 128),
        },
    ),
    Published(
        family="ELECTRA",
        paper="Clark et al. 2020 (the discriminators)",
        vocabulary=30_522,
        sizes={
            "electra-small": _size(_BERT, (12, 256, 4), None, 128),
            "electra-base": _size(_BERT, BASE),
            "electra-large": _size(_BERT, LARGE),
        },
    ),
    Published(
        family="MPNet",
        paper="Song et al. 2020",
        vocabulary=30_527,
        sizes={"mpnet-base": _size(_MPNET, BASE)},
    ),
    Published(
        family="DeBERTa v3",
        paper="He et al. 2023",
        vocabulary=128_100,
        sizes={
            "deberta-v3-xsmall": _size(_DEBERTA, (12, 384, 6)),
            "deberta-v3-small": _size(_DEBERTA, (6, 768, 12)),
            "deberta-v3-base": _size(_DEBERTA, BASE),
            "deberta-v3-large": _size(_DEBERTA, LARGE),
        },
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
