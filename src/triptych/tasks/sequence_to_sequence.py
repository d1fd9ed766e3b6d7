"""Share what every task needs that turns one sequence into another.

These are the options, the pair as ids, the loss, the request and the answer in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypedDict

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.pair_table import values_of
from ..data.tokenizers.sides import Tokenizers
from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.settings import DecodingSettings
from ..errors import DataError, UsageError
from ..model.config import AnyConfig
from .options import LongSourceOptions, read_options
from .task import (
    Labels,
    Losses,
    Prediction,
    Purpose,
    Read,
    Score,
    Task,
    TaskSpec,
    written_prediction,
)

if TYPE_CHECKING:
    from torch import nn

    from ..model.heads.tokens import TokenOutput


# (ids, how many tokens were left out)
Source = Callable[[Example, Tokenizers, Labels], tuple[list[int], int]]


class LimitedSource(Protocol):
    """Make a source of at most `longest` ids, for a task without options of its own."""

    def __call__(
        self, example: Example, tokenizers: Tokenizers, labels: Labels, longest: int
    ) -> tuple[list[int], int]: ...


# Building -----------------------------------------------------------------------------------------


class SharedSlots(TypedDict):
    """Hold the slots of a Task that every such task fills alike."""

    head: Callable[[AnyConfig, Labels], nn.Module]
    loss: Callable[[TokenOutput, Batch], Losses]
    request: Callable[[Encoded, DecodingSettings, Tokenizers], DecodingRequest]
    read: Read
    passes: int


def slots(label_smoothing: float, r_drop: float, longest: int | None = None) -> SharedSlots:
    """Return the slots that such tasks share, by the options that they share."""
    return {
        "head": partial(head, longest=longest),
        "loss": partial(loss, label_smoothing=label_smoothing, r_drop=r_drop),
        "request": request,
        "read": read,
        "passes": 2 if r_drop else 1,
    }


def written_task(
    spec: TaskSpec,
    needs: tuple[str, ...],
    values: Mapping[str, object],
    source: LimitedSource,
    score: Score,
) -> Task:
    """Build a task that writes text from `source`, with no options but the shared ones."""
    options = read_options(LongSourceOptions, values)
    built = partial(source, longest=options.longest_source)
    return Task(
        spec=spec,
        options=asdict(options),
        needs=needs,
        prepare=prepare,
        encode=partial(encode, source=built),
        score=score,
        **slots(options.label_smoothing, options.r_drop, options.longest_source),
    )


def prepare(examples: Sequence[Example]) -> Labels:
    """Return {"languages": {"source": [...], "targets": []}}."""
    if not examples:
        raise DataError("There is nothing to train on: the training data holds no usable example.")
    return {
        "languages": {
            "source": sorted({str(one) for one in values_of(examples, "source_language") if one}),
            "targets": [],
        }
    }


# Encoding -----------------------------------------------------------------------------------------


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    source: Source,
) -> list[Encoded]:
    """Encode source as `source` makes it, target = begin pieces, tokens = pieces end.

    In use there is no target. Nothing is drawn.
    """
    ids, unseen = source(example, tokenizers, labels)
    return [pair(ids, example, tokenizers, purpose, unseen)]


def pair(
    source: Sequence[int],
    example: Example,
    tokenizers: Tokenizers,
    purpose: Purpose,
    unseen: int = 0,
    language: str | None = None,
) -> Encoded:
    """Encode source ids and the example's target. Raise DataError where there is none.

    language: the target's, if the tokenizer marks it in an answer.
    """
    inputs = {"source": np.array(source, dtype=np.int64)}
    first, *more = tokenizers.target.starts(language)
    if purpose == "use":
        alone = not more and first == tokenizers.target.begin_id
        return Encoded(inputs, unseen=unseen, begins=() if alone else (first, *more))
    if example.target is None:
        raise DataError(f"{example.place or 'An example'} has no target text to learn from.")
    target = tokenizers.target.encode(example.target)
    inputs["target"] = np.array([first, *more, *target], dtype=np.int64)
    return Encoded(
        inputs,
        {"tokens": np.array([*more, *target, tokenizers.target.end_id], dtype=np.int64)},
        unseen=unseen,
    )


def one_text(
    example: Example, field: str, tokenizers: Tokenizers, longest: int, before: Sequence[int] = ()
) -> tuple[list[int], int]:
    """Return `before`, the pieces of a field and the end, and how many pieces were left out.

    The ids are at most `longest`.
    """
    text = getattr(example, field)
    if text is None:
        raise DataError(f"{example.place or 'An example'} has no {field}.")
    pieces = tokenizers.source.encode(text)
    around = len(tokenizers.source.source_of([]))
    room = max(1, longest - len(before) - around)
    ids = tokenizers.source.source_of([*before, *pieces[:room]])
    return ids, max(0, len(pieces) - room)


# Learning and answering ---------------------------------------------------------------------------


def head(config: AnyConfig, labels: Labels, longest: int | None = None) -> nn.Module:
    """Build the head. Raise UsageError for a model that lacks a stack or positions."""
    from ..model.heads.tokens import NextToken

    if config.architecture != "encoder-decoder":
        raise UsageError(
            "This task needs an encoder-decoder model: set model.preset, for example to "
            "'transformer-small', or start from a run of one."
        )
    most = config.context("source")
    if longest is not None and most is not None and longest > most:
        raise UsageError(
            f"task.longest_source is {longest}; this model has {most} positions. Give {most} or "
            "less."
        )
    return NextToken()


def loss(
    output: TokenOutput, batch: Batch, label_smoothing: float = 0.0, r_drop: float = 0.0
) -> Losses:
    """Return the label-smoothed cross-entropy, and `nll` without smoothing, in nats over tokens.

    Where the batch holds two passes, their disagreement is part of the loss (`model/r_drop.py`),
    and is reported too.
    """
    from ..model.ops.cross_entropy import projected_cross_entropy
    from ..model.r_drop import r_drop_cross_entropy

    if batch.passes == 2:
        total, plain, apart = r_drop_cross_entropy(
            output.states,
            output.weight,
            output.bias,
            batch.targets["tokens"],
            label_smoothing,
            r_drop,
            output.softcap,
        )
        count = batch.counts["tokens"]
        return {
            "loss": (total, count, 1.0),
            "nll": (plain.detach(), count, 0.0),
            "disagreement": (apart.detach(), count, 0.0),
        }
    smoothed, plain = projected_cross_entropy(
        output.states,
        output.weight,
        output.bias,
        batch.targets["tokens"],
        label_smoothing,
        softcap=output.softcap,
    )  # fmt: skip
    count = batch.counts["tokens"]
    return {"loss": (smoothed, count, 1.0), "nll": (plain.detach(), count, 0.0)}


def request(
    encoded: Encoded, settings: DecodingSettings, tokenizers: Tokenizers
) -> DecodingRequest:
    """Return the request for the answer to a source."""
    source = encoded.inputs["source"]
    return DecodingRequest(settings=settings, source=source, prompt=encoded.begins)


def read(
    raw: Sequence[Sequence[DecodedText]], example: Example, tokenizers: Tokenizers
) -> Prediction:
    """Return the n best answers; a source is never cut into windows, so it has one raw result."""
    assert len(raw) == 1, "a source has one raw result"
    return written_prediction(raw[0])


# Scoring ------------------------------------------------------------------------------------------


def with_loss(losses: Mapping[str, float]) -> dict[str, float]:
    """Return loss (nats per target token, not smoothed) and perplexity, where losses are known."""
    if "loss" not in losses:
        return {}
    value = losses["nll"] if "nll" in losses else losses["loss"]
    return {"loss": value, "perplexity": math.exp(min(value, 700.0))}


def references_of(example: Example) -> list[str]:
    """Return every reference of an example. Raise DataError where there is none."""
    several = (
        example.references
        if example.references is not None
        else None
        if example.target is None
        else [example.target]
    )
    if several is None:
        raise DataError(f"{example.place or 'An example'} has no reference to score against.")
    return several


def language_of(examples: Sequence[Example]) -> str:
    """Return the language whose rules BLEU tokenises by.

    It is that of the examples, else the one that fits the script of their targets.
    """
    from ..metrics.answers import counting

    named = {example.source_language for example in examples if example.source_language}
    if len(named) == 1:
        return named.pop()
    kind = counting(None, [text for example in examples for text in references_of(example)])
    return "" if kind == "squad" else kind
