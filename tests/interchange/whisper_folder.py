"""A folder of a toy Whisper with its tokenizer and front end, by the library transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import tokenizers
import torch
from published_folders import library, shake
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

BEGIN, END = "<|startoftranscript|>", "<|endoftext|>"
CORPUS = [" the cat sat on the mat and the other cat"] * 4
SPECIAL = (BEGIN, "<|en|>", "<|de|>", "<|zh|>", "<|translate|>", "<|transcribe|>",
           "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")  # fmt: skip
SECONDS = 2  # of a window
TIMES = SECONDS * 50 + 1


def tokenizer() -> tokenizers.Tokenizer:
    found = tokenizers.Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    found.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=290,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    found.add_special_tokens([END, *SPECIAL])
    found.add_tokens(
        [AddedToken(f"<|{number / 50:.2f}|>", normalized=False) for number in range(TIMES)]
    )
    return found


def write(path: Path, seed: int = 5, scale: float = 0.3, **changed: object) -> Any:
    """Write the folder and return their model and its generation config."""
    transformers = library()
    tokens = tokenizer()
    numbers = tokens.get_vocab()
    end = numbers[END]
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), end)
    torch.manual_seed(seed)
    config = transformers.WhisperConfig(
        **{
            "vocab_size": tokens.get_vocab_size(),
            "num_mel_bins": 80,
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 40,
            "decoder_ffn_dim": 48,
            "max_source_positions": 50 * SECONDS,
            "max_target_positions": 24,
            "decoder_start_token_id": numbers[BEGIN],
            "suppress_tokens": None,
            "begin_suppress_tokens": None,
            **ends,
            **changed,
        }
    )
    config._attn_implementation = "eager"
    model = transformers.WhisperForConditionalGeneration(config).eval()
    shake(model, scale)
    languages = {f"<|{code}|>": numbers[f"<|{code}|>"] for code in ("en", "de", "zh")}
    model.generation_config = transformers.GenerationConfig(
        **ends,
        decoder_start_token_id=numbers[BEGIN],
        max_length=24,
        is_multilingual=True,
        lang_to_id=languages,
        task_to_id={one: numbers[f"<|{one}|>"] for one in ("transcribe", "translate")},
        no_timestamps_token_id=numbers["<|notimestamps|>"],
        max_initial_timestamp_index=25,
        suppress_tokens=[3, 5, *(numbers[one] for one in SPECIAL[:-1])],
        begin_suppress_tokens=[numbers["Ġ"], end],
    )
    model.save_pretrained(path)
    tokens.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "WhisperTokenizer"}))
    front_end = transformers.WhisperFeatureExtractor(chunk_length=SECONDS)
    front_end.save_pretrained(path)
    return model


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Return a sound that changes."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    wave = np.sin(2 * np.pi * (300 + 200 * np.sin(3 * time)) * time) * (np.sin(5 * time) > -0.5)
    return (0.3 * wave + 0.02 * generator.normal(size=len(time))).astype(np.float32)


def write_sound(path: Path, seconds: float, seed: int = 0) -> np.ndarray:
    samples = sound(seconds, seed)
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    return samples
