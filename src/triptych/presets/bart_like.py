"""Define sizes of the encoder-decoders that are a BART but for a few settings, and of Meena."""

from __future__ import annotations

import dataclasses

from ..model.config import ModelConfig, StackConfig
from .published import Published, sizes_of

# rows 0 and 1 of the positions are not read
_BART = StackConfig(
    activation="gelu",
    positions="learned",
    max_positions=1026,
    first_position=2,
    embedding_norm=True,
    attention_dropout=0.1,
    inner_dropout=0.1,
)
_MBART = dataclasses.replace(_BART, norm_placement="pre", attention_dropout=0.0, inner_dropout=0.0)
_PEGASUS = StackConfig(
    activation="relu",
    norm_placement="pre",
    sinusoids="halves",
    attention_dropout=0.1,
    inner_dropout=0.1,
)
_MARIAN = StackConfig(sinusoids="halves", max_positions=512)
_M2M = StackConfig(
    norm_placement="pre",
    sinusoids="fairseq",
    first_position=2,
    max_positions=1026,
    attention_dropout=0.1,
)


def _size(
    base: StackConfig, layers: int, width: int, heads: int, inner_width: int, is_scaled: bool = True
) -> ModelConfig:
    stack = dataclasses.replace(
        base, layers=layers, width=width, heads=heads, inner_width=inner_width
    )
    return ModelConfig(encoder=stack, decoder=stack, embedding_scale=is_scaled)


def _meena() -> ModelConfig:
    """Configure a Transformer of the sizes of Meena (Adiwardana et al. 2020).

    Its width, heads, vocabulary and 128 positions are Meena's, and so is one encoder block for 13
    decoder blocks. Those are Evolved Transformer blocks (So et al. 2019), with convolutions and
    branches that the core does not have, each about as deep as two of these: hence 2 and 26.
    """
    stack = StackConfig(layers=2, width=2560, heads=32, inner_width=10_240, max_positions=128)
    return ModelConfig(encoder=stack, decoder=dataclasses.replace(stack, layers=26))


FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="BART",
        paper="Lewis et al. 2020, section 2.1",
        vocabulary=50_265,
        sizes={"bart-large": _size(_BART, 12, 1024, 16, 4096, False)},
    ),
    Published(
        family="mBART",
        paper="Liu et al. 2020, section 2.2; 50 languages: Tang et al. 2020",
        vocabulary=250_027,
        sizes={
            "mbart-large-cc25": _size(_MBART, 12, 1024, 16, 4096),
            "mbart-large-50": _size(_MBART, 12, 1024, 16, 4096),
        },
        others={"mbart-large-50": 250_054},
    ),
    Published(
        family="Pegasus",
        paper="Zhang et al. 2020",
        vocabulary=96_103,
        sizes={"pegasus-large": _size(_PEGASUS, 16, 1024, 16, 4096)},
    ),
    Published(
        family="Marian",
        paper="Tiedemann & Thottingal 2020 (opus-mt); the vocabulary is that of English to German",
        vocabulary=58_101,
        sizes={
            "marian-base": _size(dataclasses.replace(_MARIAN, activation="silu"), 6, 512, 8, 2048),
            "marian-big": _size(
                dataclasses.replace(_MARIAN, max_positions=1024), 6, 1024, 16, 4096
            ),
        },
    ),
    Published(
        family="M2M-100",
        paper="Fan et al. 2021",
        vocabulary=128_112,
        sizes={
            "m2m100-418m": _size(_M2M, 12, 1024, 16, 4096),
            "m2m100-1.2b": _size(_M2M, 24, 1024, 16, 8192),
        },
    ),
    Published(
        family="NLLB",
        paper="NLLB team 2022",
        vocabulary=256_206,
        sizes={
            "nllb-600m": _size(_M2M, 12, 1024, 16, 4096),
            "nllb-1.3b": _size(_M2M, 24, 1024, 16, 8192),
            "nllb-3.3b": _size(_M2M, 24, 2048, 16, 8192),
        },
    ),
    Published(
        family="Meena",
        paper="Adiwardana et al. 2020, as a plain Transformer",
        vocabulary=8_000,
        sizes={"meena-2.6b": _meena()},
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
