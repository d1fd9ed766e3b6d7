"""A toy reader and passages that the tests of question answering share."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.inference.predictor import Predictor
from triptych.model.build import build as build_model
from triptych.presets import configure
from triptych.setup.model import with_vocabulary
from triptych.tasks.question_answering import build

TEXTS = [
    "Ada met Babbage in London in 1833.",
    "Who met Ada in London?",
    "日本の首都は東京です。",
    "首都はどこですか",
    "北京是中国的首都。",
] * 3


@cache
def tokenizers() -> Tokenizers:
    one = Tokenizer.train(TEXTS, "bpe", 420)
    return Tokenizers(one, one)


def predictor(
    options: dict[str, Any] | None = None,
    no_answer: bool = False,
    seed: int = 1,
    positions: str = "rotary",
) -> Predictor:
    """An untrained reader of width 16."""
    torch.manual_seed(seed)
    task, both = build(options or {}), tokenizers()
    dials = {
        "width": 16,
        "heads": 2,
        "layers": 1,
        "inner_width": 32,
        "segments": 5,
        "positions": positions,
    }
    config = with_vocabulary(configure("encoder-tiny", dials), both)
    labels = {"languages": {"source": []}, "no_answer": no_answer}
    model, head = build_model(config).eval(), task.head(config, labels).eval()
    return Predictor(
        model=model,
        head=head,
        task=task,
        tokenizers=both,
        labels=labels,
        decoding=DecodingSettings(),
    )


def question(
    passage: str,
    answer: str | None = None,
    asked: str = "Who met Ada?",
    language: str | None = None,
) -> Example:
    answers = [] if answer is None else [(answer, passage.index(answer))]
    return Example(
        question=asked, passage=passage, answers=answers, source_language=language, place="a.json#1"
    )
