"""Build probes of toy models of all architectures, for tests of interventions."""

from __future__ import annotations

from typing import Any

import torch
from test_transformer import make
from toy_classifier import TEXTS, predictor

from triptych.data.batches.encoded import collate
from triptych.inspection.probe import Probe, output_probe, token_probe
from triptych.inspection.scores import score_of
from triptych.model.build import build
from triptych.model.config import RecurrentConfig

SOURCE, TARGET = [5, 9, 13, 21, 3], [0, 17, 30, 8]  # ids; the target's rows
OTHER = [5, 9, 40, 21, 3]


def ids(source: list[int] | None, target: list[int] | None) -> dict[str, torch.Tensor]:
    found = dict[str, torch.Tensor]()
    for name, values in (("source", source), ("target", target)):
        if values is not None:
            found[name] = torch.tensor(values)
            found[f"{name}_lengths"] = torch.tensor([len(values)])
    return found


def written(model: Any, rows: list[int] | None = None, source: list[int] | None = None) -> Probe:
    """Return the probe of tokens written by a model with a decoder."""
    has_encoder = getattr(model, "encoder", None) is not None
    inputs = ids((source or SOURCE) if has_encoder else None, TARGET)
    wanted = [*TARGET[1:], 1]
    found = token_probe(model, inputs, wanted, rows or [1, 2, 3], "x" if rows else "")
    return found.compared(None, str)


def transformer(dials: str, architecture: str = "both", **options: Any) -> Any:
    model = make(dials, architecture, **options)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():  # larger weights, so that every part matters
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or "norm" in name:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
            else:
                parameter *= 1.7
    return model


def rnn(attention: bool = True) -> Any:
    torch.manual_seed(3)
    model: Any = build(
        RecurrentConfig(
            embedding_width=8, width=8, attention_width=6, readout_width=5, vocabulary_size=50,
            attention=attention,
        )
    ).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 2
        if attention:
            model.decoder.attention.score.normal_()
    return model


def classified(preset: str = "bert-base", reads_words: bool = False) -> Probe:
    """Return the probe of a classifier's likeliest label."""
    toy = predictor(preset)
    toy.head.reads_words = reads_words
    example = toy.example(TEXTS[0])
    encoded = toy.task.encode(example, toy.tokenizers, toy.labels, "use", None)[0]
    score = score_of(toy.task, toy.labels, toy.tokenizers.source, example)
    assert score is not None
    probe = output_probe(toy.model, toy.head, encoded, collate([encoded]).inputs, score)
    return probe.compared(None, str)


def all_probes() -> dict[str, Probe]:
    """Return one probe of each architecture, the RNNs too."""
    return {
        "encoder": classified(),
        "decoder": written(transformer("llama", "decoder")),
        "both": written(transformer("pre")),
        "2017": written(transformer("2017"), [2]),
        "rnn": written(rnn()),
        "rnn-no-attention": written(rnn(False)),
    }
