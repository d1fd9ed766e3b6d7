"""Build an untrained run of each encoder-only task, for tests of scores and pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.inference.predictor import Predictor
from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.tasks.specs import SPECS

SENTENCE = "Ada met Babbage in London."
TEXT = f"{SENTENCE} The animal was too tired."
QUESTION = "Who met Babbage?"
MARKED = "Ada met [MASK] in London. The [MASK] was too tired."
TAGS = {"words": {"rules": "unicode"}, "spaces": "text", "unit": "word"}
LABELS: dict[str, dict[str, Any]] = {
    "question-answering": {"languages": {"source": []}, "no_answer": False},
    "tagging": {
        **TAGS,
        "names": ["O", "B-PER", "I-PER", "B-LOC"],
        "scheme": "bio",
        "written": "bio",
    },
    "parsing": {"upos": ["NOUN", "VERB"], "relations": ["nsubj", "obj", "root"]},
    "masked-words": {"mask": True},
    "embedding": {},
    "classification": {"labels": ["World", "Sports", "Business"]},
}
# for tagging without a label for "none"
SPEECH = {**TAGS, "names": ["NOUN", "VERB", "X"], "scheme": "plain", "written": "plain"}
# for classification: a number
VALUES = {"value": {"mean": 2.5, "deviation": 1.5, "low": 0.0, "high": 5.0}}


def predictor(
    name: str, labels: dict[str, Any] | None = None, seed: int = 1, **options: Any
) -> Predictor:
    """Build the task `name` with large head weights, so that answers differ in likelihood."""
    torch.manual_seed(seed)
    labels = LABELS[name] if labels is None else labels
    tokenizer = Tokenizer.train([TEXT, QUESTION] * 3, "bpe", 340, (), mask=True)
    task = SPECS[name].build(
        {**({"arc_width": 4, "relation_width": 4} if name == "parsing" else {}), **options}
    )
    stack = StackConfig(
        layers=2,
        width=16,
        heads=2,
        inner_width=32,
        positions="rotary",
        norm_placement="pre",
        activation="gelu",
        dropout=0.0,
        segments=5,
    )
    config = ModelConfig(encoder=stack, vocabulary_size=tokenizer.vocabulary_size)
    model, head = build(config).eval(), task.head(config, labels).eval()
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.5)
    return Predictor(
        model=model,
        head=head,
        task=task,
        tokenizers=Tokenizers(tokenizer, tokenizer),
        labels=labels,
        decoding=DecodingSettings(),
    )


def example(run: Predictor) -> Example:
    """Return the run's input."""
    if run.task.name == "question-answering":
        return run.example({"question": QUESTION, "passage": TEXT})
    return run.example({"masked-words": MARKED, "parsing": SENTENCE}.get(run.task.name, TEXT))
