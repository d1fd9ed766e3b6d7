"""Define sizes of the encoder-decoder Transformer: those of 2017, and small ones for CPUs."""

from __future__ import annotations

from ..model.config import ModelConfig, StackConfig
from .published import OWN, Published, sizes_of

_BASE = StackConfig()  # the defaults are the base model of Vaswani et al. 2017, table 3
_BIG = StackConfig(width=1024, heads=16, inner_width=4096, dropout=0.3)
# Pre-norm trains at high rates with a short warm-up (Xiong et al. 2020), which suits trainings of
# minutes on two cores.
_SMALL = StackConfig(layers=3, width=256, heads=4, inner_width=1024, norm_placement="pre")
_TINY = StackConfig(layers=2, width=128, heads=4, inner_width=256, norm_placement="pre")
# Lewis et al. 2019, section 3.1: post-norm, GELU, learned positions, a norm on the embeddings. It
# is trained from scratch; no weights are loaded.
_BART = StackConfig(
    layers=6,
    width=768,
    heads=12,
    inner_width=3072,
    activation="gelu",
    positions="learned",
    embedding_norm=True,
    attention_dropout=0.1,
    inner_dropout=0.1,
)

FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="Transformer",
        paper="Vaswani et al. 2017, table 3",
        vocabulary=37_000,
        sizes={
            "transformer-base": ModelConfig(encoder=_BASE, decoder=_BASE),
            "transformer-big": ModelConfig(encoder=_BIG, decoder=_BIG),
        },
    ),
    Published(
        family=OWN,
        paper="",
        vocabulary=37_000,
        sizes={
            "transformer-small": ModelConfig(encoder=_SMALL, decoder=_SMALL),
            "transformer-tiny": ModelConfig(encoder=_TINY, decoder=_TINY),
        },
    ),
    Published(
        family="BART",
        paper="Lewis et al. 2020, section 2.1",
        vocabulary=50_265,
        sizes={
            "bart-base": ModelConfig(encoder=_BART, decoder=_BART, embedding_scale=False),
        },
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
