"""Define sizes of decoder-only Transformers: GPT-2, GPT-3, Llama-style, and small ones.

The small ones are for two CPU cores.
"""

from __future__ import annotations

from ..model.config import ModelConfig, StackConfig
from .published import OWN, Published, sizes_of


def _gpt(layers: int, width: int, heads: int, positions: int) -> ModelConfig:
    """Configure GPT-2 (Radford et al. 2019, section 2.3).

    Pre-norm, GELU (the tanh form), learned positions, tied embeddings.
    """
    stack = StackConfig(
        layers=layers,
        width=width,
        heads=heads,
        inner_width=4 * width,
        activation="gelu_tanh",
        norm_placement="pre",
        positions="learned",
        max_positions=positions,
        attention_dropout=0.1,
    )
    return ModelConfig(decoder=stack, embedding_scale=False)


def _llama(layers: int, width: int, heads: int, key_heads: int, inner_width: int) -> ModelConfig:
    """Configure Llama (Touvron et al. 2023, section 2.2).

    Rotary positions, RMS norm, gated feed-forward, no biases; fewer key heads as in Llama 2.
    """
    stack = StackConfig(
        layers=layers,
        width=width,
        heads=heads,
        key_heads=key_heads,
        inner_width=inner_width,
        activation="silu",
        gated=True,
        norm="rms",
        norm_placement="pre",
        positions="rotary",
        bias=False,
        dropout=0.0,
    )
    return ModelConfig(decoder=stack, embedding_scale=False, tied_embeddings=False)


# For two cores, where exact GELU takes a third of the time of its tanh form.
_SMALL = StackConfig(
    layers=6,
    width=384,
    heads=6,
    inner_width=1536,
    activation="gelu",
    norm_placement="pre",
    positions="rotary",
)
_TINY = StackConfig(
    layers=4,
    width=128,
    heads=4,
    inner_width=512,
    activation="gelu",
    norm_placement="pre",
    positions="rotary",
)

FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="GPT-2",
        paper="Radford et al. 2019, table 2",
        vocabulary=50_257,
        sizes={
            "gpt2": _gpt(12, 768, 12, 1024),
            "gpt2-medium": _gpt(24, 1024, 16, 1024),
            "gpt2-large": _gpt(36, 1280, 20, 1024),
            "gpt2-xl": _gpt(48, 1600, 25, 1024),
        },
    ),
    # Where width and heads do not fit in the table (XL, 13B), the head's width of 128 decides.
    Published(
        family="GPT-3",
        paper="Brown et al. 2020, table 2.1",
        vocabulary=50_257,
        sizes={
            "gpt3-small": _gpt(12, 768, 12, 2048),
            "gpt3-medium": _gpt(24, 1024, 16, 2048),
            "gpt3-large": _gpt(24, 1536, 16, 2048),
            "gpt3-xl": _gpt(24, 2048, 16, 2048),
            "gpt3-2.7b": _gpt(32, 2560, 32, 2048),
            "gpt3-6.7b": _gpt(32, 4096, 32, 2048),
            "gpt3-13b": _gpt(40, 5120, 40, 2048),
            "gpt3-175b": _gpt(96, 12288, 96, 2048),
        },
    ),
    Published(
        family="Llama",
        paper="Touvron et al. 2023a, table 2",
        vocabulary=32_000,
        sizes={"llama-7b": _llama(32, 4096, 32, 32, 11008)},
    ),
    Published(
        family=OWN,
        paper="",
        vocabulary=37_000,
        sizes={
            "llama-small": _llama(6, 384, 6, 2, 1024),
            "decoder-small": ModelConfig(decoder=_SMALL),
            "decoder-tiny": ModelConfig(decoder=_TINY),
        },
        others={"llama-small": 32_000},
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
