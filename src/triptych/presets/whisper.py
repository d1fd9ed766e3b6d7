"""Define the sizes of Whisper."""

from __future__ import annotations

import dataclasses

from ..model.config import ModelConfig, StackConfig
from .published import Published, sizes_of

_ENCODER = StackConfig(
    activation="gelu",
    norm_placement="pre",
    attention_biases=[True, False, True, True],
    sinusoids="fairseq",
    max_positions=1500,
    dropout=0.0,
    stem="whisper",
    features=80,
)
_DECODER = dataclasses.replace(
    _ENCODER,
    positions="learned",
    sinusoids="interleaved",
    max_positions=448,
    stem=None,
    features=None,
)


def _size(layers: int, width: int, decoder: int | None = None, mels: int = 80) -> ModelConfig:
    sizes = {"width": width, "heads": width // 64, "inner_width": 4 * width}
    return ModelConfig(
        encoder=dataclasses.replace(_ENCODER, layers=layers, features=mels, **sizes),
        decoder=dataclasses.replace(_DECODER, layers=decoder or layers, **sizes),
        embedding_scale=False,
    )


FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="Whisper",
        paper="Radford et al. 2022, table 1; large-v3 and its turbo are later releases",
        vocabulary=51_865,
        sizes={
            "whisper-tiny": _size(4, 384),
            "whisper-base": _size(6, 512),
            "whisper-small": _size(12, 768),
            "whisper-medium": _size(24, 1024),
            "whisper-large-v3": _size(32, 1280, mels=128),
            "whisper-large-v3-turbo": _size(32, 1280, decoder=4, mels=128),
        },
        others={"whisper-large-v3": 51_866, "whisper-large-v3-turbo": 51_866},
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
