"""Define sizes of the decoders between GPT-3 and Llama: OPT, GPT-J, GPT-NeoX and Pythia."""

from __future__ import annotations

import dataclasses

from ..model.config import ModelConfig, StackConfig
from .published import Published, sizes_of

# GPT-3 with relu; rows 0 and 1 of the positions are not read
_OPT = StackConfig(
    activation="relu",
    norm_placement="pre",
    positions="learned",
    max_positions=2050,
    first_position=2,
)
# attention and feed-forward side by side; a quarter of each head is rotated
_NEOX = StackConfig(
    activation="gelu",
    norm_placement="pre",
    parallel="two_norms",
    positions="rotary",
    rotary_share=0.25,
    max_positions=2048,
    dropout=0.0,
)
# Wang & Komatsuzaki 2021: one norm for both, biases in the feed-forward network alone
_GPT_J = StackConfig(
    layers=28,
    width=4096,
    heads=16,
    inner_width=16_384,
    activation="gelu_tanh",
    norm_placement="pre",
    parallel="one_norm",
    positions="rotary",
    rotary_share=0.25,
    max_positions=2048,
    bias=False,
    feed_forward_bias=True,
    dropout=0.0,
)


def _stack(base: StackConfig, layers: int, width: int, heads: int) -> StackConfig:
    return dataclasses.replace(base, layers=layers, width=width, heads=heads, inner_width=4 * width)


def _opt(layers: int, width: int, heads: int) -> ModelConfig:
    return ModelConfig(decoder=_stack(_OPT, layers, width, heads), embedding_scale=False)


def _opt_350m() -> ModelConfig:
    """Configure the one OPT whose norms follow each part, and whose embeddings are narrower."""
    stack = dataclasses.replace(_stack(_OPT, 24, 1024, 16), norm_placement="post")
    return ModelConfig(
        decoder=stack, embedding_scale=False, embedding_width=512, embedding_projection="tokens"
    )


def _neox(layers: int, width: int, heads: int) -> ModelConfig:
    return ModelConfig(
        decoder=_stack(_NEOX, layers, width, heads), embedding_scale=False, tied_embeddings=False
    )


def _neox_20b() -> ModelConfig:
    stack = dataclasses.replace(_stack(_NEOX, 44, 6144, 64), activation="gelu_tanh")
    return ModelConfig(decoder=stack, embedding_scale=False, tied_embeddings=False)


FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="OPT",
        paper="Zhang et al. 2022, table 1",
        vocabulary=50_272,
        sizes={
            "opt-125m": _opt(12, 768, 12),
            "opt-350m": _opt_350m(),
            "opt-1.3b": _opt(24, 2048, 32),
            "opt-2.7b": _opt(32, 2560, 32),
            "opt-6.7b": _opt(32, 4096, 32),
            "opt-13b": _opt(40, 5120, 40),
            "opt-30b": _opt(48, 7168, 56),
            "opt-66b": _opt(64, 9216, 72),
        },
    ),
    Published(
        family="GPT-J",
        paper="Wang & Komatsuzaki 2021, Mesh-Transformer-JAX",
        vocabulary=50_400,
        sizes={
            "gpt-j-6b": ModelConfig(
                decoder=_GPT_J, embedding_scale=False, tied_embeddings=False, output_bias=True
            )
        },
    ),
    Published(
        family="GPT-NeoX",
        paper="Black et al. 2022, section 2",
        vocabulary=50_432,
        sizes={"gpt-neox-20b": _neox_20b()},
    ),
    Published(
        family="Pythia",
        paper="Biderman et al. 2023, table 1",
        vocabulary=50_304,
        sizes={
            "pythia-70m": _neox(6, 512, 8),
            "pythia-160m": _neox(12, 768, 12),
            "pythia-410m": _neox(24, 1024, 16),
            "pythia-1b": _neox(16, 2048, 8),
            "pythia-1.4b": _neox(24, 2048, 16),
            "pythia-2.8b": _neox(32, 2560, 32),
            "pythia-6.9b": _neox(32, 4096, 32),
            "pythia-12b": _neox(36, 5120, 40),
        },
        others={"pythia-6.9b": 50_432, "pythia-12b": 50_688},
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
