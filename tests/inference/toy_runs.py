"""Predictors of toy size, with random weights: a decoder-only, an encoder-decoder, an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.inference.predictor import Predictor
from triptych.model.build import build
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.tasks.fill_in import SENTINELS
from triptych.tasks.specs import build_task
from triptych.tasks.turns import TEMPLATES

TEXTS = ["hello there, how are you?", "fine, and you?", "one two three", "貓 坐 cafe"]
TAGS = ["assistant", "system", "user"]


def tokenizers(tags: Sequence[str] = TAGS, mask: bool = False) -> Tokenizers:
    one = Tokenizer.train(TEXTS, "characters", 330, tags, mask=mask)
    return Tokenizers(one, one)


def stack(**dials: Any) -> StackConfig:
    usual = {
        "layers": 2,
        "width": 32,
        "heads": 4,
        "inner_width": 64,
        "norm_placement": "pre",
        "positions": "rotary",
        "dropout": 0.0,
    }
    return StackConfig(**{**usual, **dials})


def shaken(model: Any, seed: int = 7) -> Any:
    """Draw every parameter anew, so that answers differ and ties are unlikely."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.eval()


def predictor_of(
    task: str, options: dict[str, Any], config: Any, labels: dict[str, Any] | None = None,
    sides: Tokenizers | None = None, **decoding: Any,
) -> Predictor:  # fmt: skip
    labels = labels or {}
    sides = sides or tokenizers()
    built = build_task(task, options)
    torch.manual_seed(1)
    model = shaken(build(config))
    head = built.head(model.config, labels)
    return Predictor(
        model=model,
        head=shaken(head) if list(head.parameters()) else head,
        task=built,
        tokenizers=sides,
        labels=labels,
        decoding=DecodingSettings(**{"max_length": 12, **decoding}),
    )


def writer(task: str = "language-modelling", context: int = 64, **dials: Any) -> Predictor:
    size = tokenizers().target.vocabulary_size
    config = ModelConfig(decoder=stack(**dials), vocabulary_size=size)
    labels = {"template": TEMPLATES["marks"], "tags": TAGS, "roles": ["assistant", "user"]}
    return predictor_of(task, {"context": context}, config, labels if task == "chat" else None)


def filler(context: int = 64) -> Predictor:
    """A decoder-only run that fills in the middle."""
    sides = tokenizers([*TAGS, *SENTINELS])
    config = ModelConfig(decoder=stack(), vocabulary_size=sides.target.vocabulary_size)
    options = {"context": context, "fill_in_the_middle": 0.5}
    return predictor_of("language-modelling", options, config, None, sides)


def translator(recurrent: bool = False, **decoding: Any) -> Predictor:
    size = tokenizers().target.vocabulary_size
    config: Any = ModelConfig(encoder=stack(), decoder=stack(), vocabulary_size=size)
    if recurrent:
        config = RecurrentConfig(
            embedding_width=16, width=16, attention_width=16, readout_width=16, vocabulary_size=size
        )
    labels = {"languages": {"source": ["en"], "targets": ["de"]}}
    return predictor_of("translation", {}, config, labels, **decoding)


def classifier() -> Predictor:
    size = tokenizers().target.vocabulary_size
    config = ModelConfig(encoder=stack(positions="sinusoidal"), vocabulary_size=size)
    return predictor_of("classification", {}, config, {"labels": ["bad", "good", "so"]})
