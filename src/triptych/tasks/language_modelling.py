"""Predict the next token of plain text (Radford et al. 2018; Brown et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.formats.texts import bounded
from ..data.tokenizers.sides import Tokenizers
from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.settings import DecodingSettings
from ..errors import DataError, UsageError
from ..model.config import AnyConfig
from . import fill_in
from .options import LanguageModellingOptions, read_options
from .task import Labels, Losses, Prediction, Purpose, Scores, Task, TaskSpec, written_prediction

if TYPE_CHECKING:
    from torch import nn

    from ..model.heads.tokens import TokenOutput


class Ids:
    """Keep the ids of texts that are read in every epoch, so that each is tokenised once."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Example, np.ndarray]] = {}

    def of(self, example: Example, tokenizers: Tokenizers) -> np.ndarray:
        """Return begin, text, end: (N + 2,) int32.

        A piece of a longer text lacks begin or end where it does not have the text's.
        """
        held = self._found.get(id(example))
        if held is None or held[0] is not example:
            tokenizer = tokenizers.target
            ids = np.array(
                bounded(tokenizer.encode(example.text or ""), example, tokenizer), dtype=np.int32
            )
            held = self._found[id(example)] = (example, ids)
        return held[1]


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(LanguageModellingOptions, values)
    context, documents, share = options.context, options.documents, options.fill_in_the_middle
    return Task(
        spec=SPEC,
        options=asdict(options),
        needs=("text",),
        prepare=partial(prepare, share=share),
        encode=partial(encode, ids=Ids(), context=context, documents=documents, share=share),
        head=partial(head, context=context),
        loss=partial(loss, label_smoothing=options.label_smoothing),
        request=partial(request, context=context),
        read=read,
        score=score,
        draws=True,
        window=context if documents == "together" else None,
        encode_ids=partial(encode_ids, context=context, documents=documents, share=share),
    )


def prepare(examples: Sequence[Example], share: float = 0.0) -> Labels:
    """Return {}, or the sentinels as tags of the tokenizer."""
    if not any((example.text or "").strip() for example in examples):
        raise DataError("There is nothing to train on: the training data holds no text.")
    return {"tags": list(fill_in.SENTINELS)} if share else {}


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    ids: Ids,
    context: int,
    documents: Literal["apart", "together"],
    share: float = 0.0,
) -> list[Encoded]:
    """Encode windows of `context` tokens to learn from, or in use a prompt or both sides.

    Each token's target is the next one. With a generator the first window gets a random, shorter
    length, so that every epoch cuts elsewhere, and a `share` of them are rearranged.
    """
    if example.text is None:
        raise DataError(f"{example.place or 'An example'} has no text.")
    if purpose == "use":
        tokenizer = tokenizers.target
        if example.suffix is not None:
            return [
                fill_in.asked(
                    tokenizer.encode(example.text), tokenizer.encode(example.suffix), tokenizer
                )
            ]
        prompt = np.array(tokenizer.prompt(example.text), dtype=np.int64)
        return [Encoded({"target": prompt})]
    return encode_ids(
        ids.of(example, tokenizers),
        tokenizers,
        generator,
        context=context,
        documents=documents,
        share=share,
    )


def encode_ids(
    found: np.ndarray,
    tokenizers: Tokenizers,
    generator: np.random.Generator | None = None,
    *,
    context: int,
    documents: Literal["apart", "together"],
    share: float = 0.0,
) -> list[Encoded]:
    """Cut begin, text, end (N + 2,) into windows to learn from, as `encode` does.

    A single id has no next token, so it gives no window.
    """
    if len(found) < 2:
        return []
    if documents == "together" and generator is not None:
        return [Encoded({"target": found[:-1]}, {"tokens": found[1:]})]
    if share and generator is not None:
        return fill_in.windows(found, tokenizers.target, context, share, generator)
    first = (
        int(generator.integers(1, context + 1))
        if generator is not None and len(found) - 1 > context
        else context
    )
    starts = [0, *range(first, len(found) - 1, context)]
    ends = [*starts[1:], len(found) - 1]
    return [
        Encoded({"target": found[start:end]}, {"tokens": found[start + 1 : end + 1]})
        for start, end in zip(starts, ends, strict=True)
    ]


def head(config: AnyConfig, labels: Labels, *, context: int) -> nn.Module:
    """Build the head. Raise UsageError as `refuse_others` does."""
    from ..model.heads.tokens import NextToken

    refuse_others(config, context, "Language modelling")
    return NextToken()


def refuse_others(config: AnyConfig, context: int, what: str) -> None:
    """Raise UsageError unless the model is decoder-only and has positions for the context."""
    if config.architecture != "decoder":
        raise UsageError(
            f"{what} needs a decoder-only model: take a preset like decoder-small, or start from a "
            "run of one."
        )
    most = config.context("target")
    if most is not None and most < context:
        raise UsageError(
            f"task.context is {context}; this model has {most} positions. Give {most} or less."
        )


def loss(output: TokenOutput, batch: Batch, label_smoothing: float = 0.0) -> Losses:
    """Return the cross-entropy in nats, summed over tokens.

    loss: with label smoothing, if any; nll: without.
    """
    from ..model.ops.cross_entropy import projected_cross_entropy

    smoothed, plain = projected_cross_entropy(
        output.states,
        output.weight,
        output.bias,
        batch.targets["tokens"],
        label_smoothing,
        softcap=output.softcap,
    )
    count = batch.counts["tokens"]
    return {"loss": (smoothed, count, 1.0), "nll": (plain.detach(), count, 0.0)}


def request(
    encoded: Encoded, settings: DecodingSettings, tokenizers: Tokenizers, *, context: int
) -> DecodingRequest:
    """Return the request for the continuation of a prompt, or for the text between two texts."""
    if isinstance(encoded.metadata, fill_in.Sides):
        return fill_in.request(encoded, settings, context)
    prompt = encoded.inputs["target"].tolist()
    return DecodingRequest(settings=settings, prompt=prompt, context=context)


def read(
    raw: Sequence[Sequence[DecodedText]], example: Example, tokenizers: Tokenizers
) -> Prediction:
    """Return the n best continuations, with their tokens as text."""
    assert len(raw) == 1, "a prompt has one raw result"
    return written_prediction(raw[0], tokenizers.target.pieces)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return loss (nats per token, ends of texts included), perplexity and bits_per_byte.

    Bits are per byte of the texts' UTF-8. The first token of a text that continues another is never
    a target; among the bits it counts as the others do on average.
    """
    nll = losses["nll"] if "nll" in losses else losses["loss"]
    bytes_read = sum(example.bytes for example in examples)
    values = {"loss": nll, "perplexity": math.exp(min(nll, 700.0))}
    if bytes_read:
        tokens = losses["count"] + sum(not example.begins for example in examples)
        values["bits_per_byte"] = nll * tokens / math.log(2) / bytes_read
    return Scores(values, {"loss": "nats a token, mean over windows that do not overlap"})


SPEC = TaskSpec(
    name="language-modelling",
    build=build,
    architecture="decoder",
    head="tokens",
    verbs=("complete",),
    view="next-tokens",
    windows=True,
    by_losses=True,
    empty=True,
    continues=True,
    starts=("language-modelling",),
)
