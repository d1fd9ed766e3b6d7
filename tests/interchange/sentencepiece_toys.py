"""Small SentencePiece models, trained in a test with the library that is their oracle."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import pytest
from odd_texts import ODD

WORDS = (
    "the cat sat on the mat and the other cat", "a dog, a cat and 3 birds", "der Hund und die",
    "Katze sitzen auf der Matte", "ein alter Mann liest die Zeitung", "what is on the mat?",
    "今天天氣很好", "我們去公園吧", "the old man reads a newspaper",
    "He said: (yes) - no. It isn't 9, 10", "Ünïcode wörds änd ñoise",
)  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "unigram": {},
    "unigram of bytes": {"byte_fallback": True},
    "unigram, identity": {"normalization_rule_name": "identity"},
    "unigram with symbols": {
        "user_defined_symbols": ["(", ")", "-", "<sep>"],
        "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
    },
    "bpe": {"model_type": "bpe"},
    "bpe of bytes": {  # Llama 2
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
    },
    "bpe without a first space": {  # Gemma
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
        "user_defined_symbols": ["\n\n", "<turn>"],
    },
}
# in a file of our own the first pieces are these, as in T5's
OF_T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}


def library() -> Any:
    return pytest.importorskip(
        "sentencepiece", reason="sentencepiece, the oracle of its files, is not installed"
    )


@cache
def model(kind: str, *more: tuple[str, Any], first: int = 0) -> bytes:
    """Train a model and return its file; `first` texts are left out, so that others differ."""
    spm, out = library(), io.BytesIO()
    settings = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in {**KINDS[kind], **dict(more)}.items()
    }
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter([*WORDS[first:], *(one for one in ODD[7:16] if one.strip())] * 3),
        model_writer=out,
        vocab_size=settings.pop("vocab_size", 460),
        hard_vocab_limit=False,
        character_coverage=0.98,
        minloglevel=2,
        **settings,
    )
    return out.getvalue()


def reader(data: bytes) -> Any:
    return library().SentencePieceProcessor(model_proto=data)
