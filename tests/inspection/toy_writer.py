"""Build a small decoder-only model with its tokenizer, for tests of pictures."""

from __future__ import annotations

import torch

from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.inference.predictor import Predictor
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer
from triptych.tasks.language_modelling import build

TEXT = "the cat 貓 sat on the mat"


def predictor(context: int = 64) -> Predictor:
    """Random weights, far from uniform; 貓 is not in its alphabet, so three bytes spell it."""
    torch.manual_seed(11)
    tokenizer = Tokenizer.train([TEXT.replace("貓", "")], "characters", 400)
    stack = StackConfig(
        layers=2, width=32, heads=4, inner_width=48, norm_placement="pre", positions="rotary"
    )
    model = Transformer(
        ModelConfig(decoder=stack, vocabulary_size=tokenizer.vocabulary_size)
    ).eval()
    with torch.no_grad():
        model.embedding.weight.mul_(4)
    task = build({"context": context})
    return Predictor(
        model=model,
        head=task.head(model.config, {}),
        task=task,
        tokenizers=Tokenizers(tokenizer, tokenizer),
        labels={},
        decoding=DecodingSettings(),
    )
