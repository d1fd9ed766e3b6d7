"""Define sizes of the decoders that are a Llama but for a few settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..model.config import ModelConfig, StackConfig
from .published import Published, sizes_of

# Touvron et al. 2023, section 2.2: rotary positions, RMS norm, gated feed-forward, no biases
LLAMA = StackConfig(
    activation="silu",
    gated=True,
    norm="rms",
    norm_placement="pre",
    positions="rotary",
    bias=False,
    dropout=0.0,
)
_LLAMA_2 = dataclasses.replace(LLAMA, max_positions=4096)
_LLAMA_3 = dataclasses.replace(LLAMA, rotary_base=5e5, max_positions=8192)
_SMOL_2 = dataclasses.replace(LLAMA, rotary_base=1e5, max_positions=8192)
# every fourth block has no positions
_SMOL_3 = dataclasses.replace(
    LLAMA,
    norm_epsilon=1e-6,
    rotary_base=5e6,
    max_positions=65_536,
    by_block={"positions": ["rotary", "rotary", "rotary", "none"]},
)
_MISTRAL = dataclasses.replace(LLAMA, max_positions=32_768)
_QWEN_2 = dataclasses.replace(
    LLAMA,
    norm_epsilon=1e-6,
    rotary_base=1e6,
    max_positions=32_768,
    attention_biases=[True, True, True, False],
)
_QWEN_3 = dataclasses.replace(
    LLAMA,
    norm_epsilon=1e-6,
    rotary_base=1e6,
    max_positions=40_960,
    head_width=128,
    query_key_norm="head",
)
_PHI_3 = dataclasses.replace(LLAMA, max_positions=4096, attention_window=2047)
_OLMO_2 = dataclasses.replace(
    LLAMA,
    norm_placement="branch",
    norm_epsilon=1e-6,
    rotary_base=5e5,
    max_positions=4096,
    query_key_norm="whole",
)
# a quarter of each head is rotated
_STABLE = dataclasses.replace(LLAMA, norm="layer", max_positions=4096, rotary_share=0.25)


def size(
    base: StackConfig,
    layers: int,
    width: int,
    heads: int,
    key_heads: int,
    inner_width: int,
    is_tied: bool = False,
    **more: Any,
) -> ModelConfig:
    """Configure one size of a family; `more` are dials that it alone has."""
    stack = dataclasses.replace(
        base,
        layers=layers,
        width=width,
        heads=heads,
        key_heads=key_heads,
        inner_width=inner_width,
        **more,
    )
    return ModelConfig(decoder=stack, embedding_scale=False, tied_embeddings=is_tied)


def _llama_31(*shape: int, is_tied: bool = False, factor: float = 8.0) -> ModelConfig:
    """Configure Llama 3.1 and 3.2: rotations are scaled to 131,072 positions."""
    scaling: dict[str, Any] = {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    layers, width, heads, key_heads, inner_width = shape
    return size(
        _LLAMA_3,
        layers,
        width,
        heads,
        key_heads,
        inner_width,
        is_tied,
        max_positions=131_072,
        rotary_scaling=scaling,
    )


_QWEN_VOCABULARY, _QWEN_LARGE = 151_936, 152_064
FAMILIES: tuple[Published[ModelConfig], ...] = (
    Published(
        family="Llama 2",
        paper="Touvron et al. 2023b, table 1",
        vocabulary=32_000,
        sizes={
            "llama2-7b": size(_LLAMA_2, 32, 4096, 32, 32, 11_008),
            "llama2-13b": size(_LLAMA_2, 40, 5120, 40, 40, 13_824),
            "llama2-70b": size(_LLAMA_2, 80, 8192, 64, 8, 28_672),
        },
    ),
    Published(
        family="Llama 3",
        paper="Grattafiori et al. 2024, table 3",
        vocabulary=128_256,
        sizes={
            "llama3-8b": size(_LLAMA_3, 32, 4096, 32, 8, 14_336),
            "llama3-70b": size(_LLAMA_3, 80, 8192, 64, 8, 28_672),
            "llama3.1-8b": _llama_31(32, 4096, 32, 8, 14_336),
            "llama3.1-70b": _llama_31(80, 8192, 64, 8, 28_672),
            "llama3.1-405b": _llama_31(126, 16_384, 128, 8, 53_248),
            "llama3.2-1b": _llama_31(16, 2048, 32, 8, 8192, is_tied=True, factor=32.0),
            "llama3.2-3b": _llama_31(28, 3072, 24, 8, 8192, is_tied=True, factor=32.0),
        },
    ),
    Published(
        family="SmolLM2",
        paper="Ben Allal et al. 2025",
        vocabulary=49_152,
        sizes={
            "smollm2-135m": size(_SMOL_2, 30, 576, 9, 3, 1536, True),
            "smollm2-360m": size(_SMOL_2, 32, 960, 15, 5, 2560, True),
            "smollm2-1.7b": size(_SMOL_2, 24, 2048, 32, 32, 8192, True, rotary_base=1.3e5),
        },
    ),
    Published(
        family="SmolLM3",
        paper="Bakouch et al. 2025, the published config.json",
        vocabulary=128_256,
        sizes={"smollm3-3b": size(_SMOL_3, 36, 2048, 16, 4, 11_008, True)},
    ),
    Published(
        family="Mistral",
        paper="Jiang et al. 2023, table 1",
        vocabulary=32_000,
        sizes={
            "mistral-7b-v0.1": size(_MISTRAL, 32, 4096, 32, 8, 14_336, attention_window=4096),
            "mistral-7b-v0.3": size(_MISTRAL, 32, 4096, 32, 8, 14_336, rotary_base=1e6),
        },
        others={"mistral-7b-v0.3": 32_768},
    ),
    Published(
        family="Qwen2",
        paper="Yang et al. 2024a, table 1",
        vocabulary=_QWEN_VOCABULARY,
        sizes={
            "qwen2-0.5b": size(_QWEN_2, 24, 896, 14, 2, 4864, True),
            "qwen2-1.5b": size(_QWEN_2, 28, 1536, 12, 2, 8960, True),
            "qwen2-7b": size(_QWEN_2, 28, 3584, 28, 4, 18_944),
            "qwen2-72b": size(_QWEN_2, 80, 8192, 64, 8, 29_568),
        },
        others={"qwen2-7b": _QWEN_LARGE, "qwen2-72b": _QWEN_LARGE},
    ),
    Published(
        family="Qwen2.5",
        paper="Yang et al. 2024b, table 1",
        vocabulary=_QWEN_VOCABULARY,
        sizes={
            "qwen2.5-0.5b": size(_QWEN_2, 24, 896, 14, 2, 4864, True),
            "qwen2.5-1.5b": size(_QWEN_2, 28, 1536, 12, 2, 8960, True),
            "qwen2.5-3b": size(_QWEN_2, 36, 2048, 16, 2, 11_008, True),
            "qwen2.5-7b": size(_QWEN_2, 28, 3584, 28, 4, 18_944),
            "qwen2.5-14b": size(_QWEN_2, 48, 5120, 40, 8, 13_824),
            "qwen2.5-32b": size(_QWEN_2, 64, 5120, 40, 8, 27_648),
            "qwen2.5-72b": size(_QWEN_2, 80, 8192, 64, 8, 29_568),
        },
        others=dict.fromkeys([f"qwen2.5-{one}b" for one in (7, 14, 32, 72)], _QWEN_LARGE),
    ),
    Published(
        family="Qwen3",
        paper="Yang et al. 2025, table 1",
        vocabulary=_QWEN_VOCABULARY,
        sizes={
            "qwen3-0.6b": size(_QWEN_3, 28, 1024, 16, 8, 3072, True),
            "qwen3-1.7b": size(_QWEN_3, 28, 2048, 16, 8, 6144, True),
            "qwen3-4b": size(_QWEN_3, 36, 2560, 32, 8, 9728, True),
            "qwen3-8b": size(_QWEN_3, 36, 4096, 32, 8, 12_288),
            "qwen3-14b": size(_QWEN_3, 40, 5120, 40, 8, 17_408),
            "qwen3-32b": size(_QWEN_3, 64, 5120, 64, 8, 25_600),
        },
    ),
    Published(
        family="Phi-3",
        paper="Abdin et al. 2024, section 2; for 4,096 tokens",
        vocabulary=32_064,
        sizes={
            "phi3-mini": size(_PHI_3, 32, 3072, 32, 32, 8192),
            "phi3-medium": size(_PHI_3, 40, 5120, 40, 10, 17_920),
        },
    ),
    Published(
        family="OLMo 2",
        paper="OLMo team 2025",
        vocabulary=100_352,
        sizes={
            "olmo2-1b": size(_OLMO_2, 16, 2048, 16, 16, 8192),
            "olmo2-7b": size(_OLMO_2, 32, 4096, 32, 32, 11_008),
            "olmo2-13b": size(_OLMO_2, 40, 5120, 40, 40, 13_824),
            "olmo2-32b": size(_OLMO_2, 64, 5120, 40, 8, 27_648),
        },
    ),
    Published(
        family="StableLM",
        paper="Tow et al. 2023; Bellagente et al. 2024, table 1",
        vocabulary=50_304,
        sizes={
            "stablelm-3b": size(_STABLE, 32, 2560, 32, 32, 6912),
            "stablelm2-1.6b": size(
                _STABLE, 24, 2048, 32, 32, 5632, attention_biases=[True, True, True, False]
            ),
        },
        others={"stablelm2-1.6b": 100_352},
    ),
)
PRESETS: dict[str, ModelConfig] = sizes_of(*FAMILIES)
