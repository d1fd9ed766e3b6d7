"""A folder as the library transformers writes it, at toy size and without that library: a BERT, its
WordPiece, its config.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "un",
    "##happ",
    "##y",
    "the",
    "cat",
    "cats",
    "##s",
    "sat",
    "cafe",
    "[",
    "]",
    "sep",
    "貓",
    "坐",
    ",",
    "!",
]
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "vocab_size": len(WORDS),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.3,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
}


def word_piece() -> tokenizers.Tokenizer:
    """Lower-casing WordPiece as BERT's, with the truncation and padding that published files come
    with.
    """
    backend = tokenizers.Tokenizer(
        models.WordPiece({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    backend.normalizer = normalizers.BertNormalizer()  # type: ignore[assignment]
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    backend.decoder = decoders.WordPiece()  # type: ignore[assignment]
    backend.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    backend.add_special_tokens(WORDS[:5])
    backend.enable_truncation(4)
    backend.enable_padding(length=6)
    return backend


def tensors(pooler: bool = True, masked: bool = False) -> dict[str, Tensor]:
    """Under the names of BertModel, or of BertForMaskedLM."""
    generator, width, inner, size = torch.Generator().manual_seed(5), 8, 12, len(WORDS)
    prefix, shapes = "bert." if masked else "", {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    for table, rows in (("word", size), ("position", 64), ("token_type", 2)):
        shapes[f"{prefix}embeddings.{table}_embeddings.weight"] = (rows, width)
    norm(f"{prefix}embeddings.LayerNorm")
    for layer in range(2):
        block = f"{prefix}encoder.layer.{layer}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{block}attention.{part}", width, width)
        linear(f"{block}intermediate.dense", inner, width)
        linear(f"{block}output.dense", width, inner)
        norm(f"{block}attention.output.LayerNorm")
        norm(f"{block}output.LayerNorm")
    if pooler:
        linear(f"{prefix}pooler.dense", width, width)
    if masked:
        linear("cls.predictions.transform.dense", width, width)
        norm("cls.predictions.transform.LayerNorm")
        shapes["cls.predictions.bias"] = (size,)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write(
    folder: Path, held: dict[str, Tensor] | None = None, config: dict[str, Any] | None = None
) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config or CONFIG))
    word_piece().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"cls_token": "[CLS]", "mask_token": {"content": "[MASK]"}})
    )
    held = held or tensors()
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    return folder
