"""Build the smallest classifier, in memory, for tests of pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from triptych.data.batches.encoded import Batch, Encoded
from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.inference.predictor import Predictor
from triptych.model.build import build
from triptych.model.config import ModelConfig
from triptych.model.heads.tokens import initialize
from triptych.presets.bert import PRESETS
from triptych.tasks.classification import SPEC
from triptych.tasks.encoders import encoder_alone
from triptych.tasks.task import Prediction, Scores, Task

LABELS = ["World", "Sports", "Business", "Sci/Tech"]
SMALL: dict[str, Any] = {"layers": 2, "width": 16, "heads": 4, "inner_width": 32}
TEXTS = [
    "The animal didn't cross the street because it was too tired.",
    "那隻動物沒有過馬路，因為牠太累了。",
    "a 🙂 b",
]


class FirstState(nn.Module):
    """Compute logits (B, C) from each first token's state (Devlin et al. 2018, section 4.1).

    `reads_words`: the first token's own vector is added, so that the head reads the table too.
    """

    reads_words = False

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.inner, self.output = nn.Linear(width, width), nn.Linear(width, labels)
        initialize(self)

    def forward(
        self, model: Any, states: torch.Tensor, inputs: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        lengths = inputs["source_lengths"]
        if self.reads_words:
            states = states + 3 * model.embedding(inputs["source"]).to(states.dtype).roll(-1, 0)
        return self.output(torch.tanh(self.inner(states[lengths.cumsum(0) - lengths])))


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: dict[str, Any],
    purpose: str,
    generator: Any = None,
    window: int = 10**6,
) -> list[Encoded]:
    one = tokenizers.source
    ids = one.encode(example.text or "")
    cuts = [ids[start : start + window] for start in range(0, max(1, len(ids)), window)]
    targets = (
        {"label": np.array([labels["labels"].index(example.label)])} if purpose == "train" else {}
    )
    return [
        Encoded({"source": np.array([one.begin_id, *cut, one.end_id])}, dict(targets))
        for cut in cuts
    ]


def answer(model: Any, head: Any, batch: Batch, settings: Any, tokenizers: Tokenizers) -> list[Any]:
    with torch.no_grad():
        return head(model, model(**batch.inputs), batch.inputs).softmax(-1).tolist()


def read(raw: Any, example: Example, tokenizers: Tokenizers) -> Prediction:
    mean = np.mean(raw, 0)
    return Prediction(
        text=LABELS[int(mean.argmax())],
        details={"probabilities": dict(zip(LABELS, mean.tolist(), strict=True))},
    )


def loss(output: torch.Tensor, batch: Batch) -> dict[str, Any]:
    total = nn.functional.cross_entropy(output.float(), batch.targets["label"], reduction="sum")
    return {"loss": (total, batch.counts["tokens"], 1.0)}


def task(window: int = 10**6) -> Task:
    return Task(
        spec=SPEC,
        options={},
        needs=("text", "label"),
        prepare=lambda examples: {"labels": LABELS},
        encode=lambda *given: encode(*given, window=window),
        head=lambda config, labels: FirstState(encoder_alone(config, "toy", 1).width, len(LABELS)),
        loss=loss,
        answer=answer,
        read=read,
        score=lambda *given: Scores({}),
    )


def predictor(
    preset: str = "bert-base",
    window: int = 10**6,
    seed: int = 1,
    tokenizer: Tokenizer | None = None,
    sizes: dict[str, Any] | None = None,
) -> Predictor:
    """Build an untrained classifier: a preset with changed settings."""
    tokenizer = tokenizer or Tokenizer.train(TEXTS, vocabulary_size=320)
    stack = PRESETS[preset].encoder
    assert stack is not None
    torch.manual_seed(seed)
    config = dataclasses.replace(
        PRESETS[preset],
        encoder=dataclasses.replace(stack, **(sizes or SMALL)),
        vocabulary_size=tokenizer.vocabulary_size,
    )
    model: ModelConfig | Any = build(config)
    toy = task(window)
    head = toy.head(config, {"labels": LABELS})
    return Predictor(
        model=model.eval(),
        head=head.eval(),
        task=toy,
        tokenizers=Tokenizers(tokenizer, tokenizer),
        labels={"labels": LABELS},
        decoding=DecodingSettings(),
    )
