"""A tokenizer, a network and conversations for the tests of tasks that chat."""

from __future__ import annotations

from typing import Any

import torch

from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.inference.predictor import Predictor
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer
from triptych.tasks.task import Task

TEXTS = ["hello there", "how are you", "fine, and you?", "你好嗎", "very well"]
TAGS = ["assistant", "system", "user"]


def tokenizers_with(tags: list[str]) -> Tokenizers:
    one = Tokenizer.train(TEXTS, "characters", 330, tags)
    return Tokenizers(one, one)


def talk(*texts: str, system: str | None = None, **more: Any) -> Example:
    """A conversation that the user begins."""
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]
    head = [] if system is None else [{"role": "system", "content": system}]
    return Example(messages=[*head, *messages], place="talk.jsonl:1", **more)


def network(vocabulary: int, seed: int = 5) -> Transformer:
    torch.manual_seed(seed)
    stack = StackConfig(
        layers=2,
        width=32,
        heads=4,
        inner_width=64,
        norm_placement="pre",
        positions="rotary",
        dropout=0.0,
    )
    return Transformer(ModelConfig(decoder=stack, vocabulary_size=vocabulary)).eval()


def predictor_of(
    task: Task, labels: dict[str, Any], tokenizers: Tokenizers, **decoding: Any
) -> Predictor:
    model = network(tokenizers.target.vocabulary_size)
    return Predictor(
        model=model,
        head=task.head(model.config, labels),
        task=task,
        tokenizers=tokenizers,
        labels=labels,
        decoding=DecodingSettings(**{"max_length": 6, **decoding}),
    )
