"""Toys of Whisper, made by the library transformers, and real features for them."""

from __future__ import annotations

from typing import Any

import torch
from published_folders import library, shake
from torch import Tensor

from triptych.interchange.whisper import FAMILY
from triptych.model.build import build

VALUES = {
    "vocab_size": 130,
    "num_mel_bins": 12,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 48,
    "max_source_positions": 50,
    "max_target_positions": 24,
    "bos_token_id": 80,
    "eos_token_id": 80,
    "pad_token_id": 80,
    "decoder_start_token_id": 81,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
FRAMES = 2 * 50


def theirs(**changed: object) -> Any:
    """Return their model; all parameters are random, norms, biases and positions too."""
    transformers = library()
    torch.manual_seed(5)
    config = transformers.WhisperConfig(**{**VALUES, **changed})
    config._attn_implementation = "eager"
    model = transformers.WhisperForConditionalGeneration(config).eval()
    shake(model, 0.3)
    return model


def ours(model: Any) -> Any:
    """Return our model with the weights of theirs."""
    tensors = {name: one.detach() for name, one in model.state_dict().items()}
    config = FAMILY.fitted(FAMILY.read_config(model.config.to_dict(), "toy"), tensors)  # type: ignore[misc]
    found: Any = build(config).eval()
    names = FAMILY.name_map(FAMILY.classes[0], config, tensors)
    shapes = {name: tuple(one.shape) for name, one in found.state_dict().items()}
    own, _ = names.to_ours(tensors, shapes, "toy")
    found.load_state_dict(own)
    return found


def features(count: int = 2, seed: int = 1, bands: int = 12) -> Tensor:
    """Return (count, FRAMES, bands)."""
    return torch.randn(count, FRAMES, bands, generator=torch.Generator().manual_seed(seed))


def packed(given: Tensor) -> dict[str, Tensor]:
    """Return features (B, F, C) as our model reads them."""
    lengths = torch.full((given.shape[0],), given.shape[1])
    return {"source": given.flatten(0, 1), "source_lengths": lengths}
