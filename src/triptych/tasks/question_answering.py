"""Find the answer to a question as a span of a passage (Devlin et al. 2018, section 4.2).

A span is given by its first and its last token. A long passage is read in overlapping windows; "no
answer in this window" points at the begin token (section 4.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.formats.answers import standing
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..decoding.settings import DecodingSettings
from ..errors import DataError, UsageError
from .encoders import encoder_alone
from .options import QuestionAnsweringOptions, read_options
from .spans import (
    Window,
    WindowAnswers,
    apart,
    best_prediction,
    fit_threshold,
    folded,
    runs,
    spans_of,
)
from .task import Labels, Losses, Prediction, Purpose, Scores, Task, TaskSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..model.config import AnyConfig
    from ..model.heads.span import Spans
    from ..model.transformer import Transformer

LEVELS = 3  # lengths of a run that passage and question share: one token, two, more
SEGMENTS = 2 + LEVELS
CANDIDATES = 5  # answers listed in a prediction


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(QuestionAnsweringOptions, values)
    given = asdict(options)
    if options.head_layer is None:  # config.json stays as it was before this option
        del given["head_layer"]
    return Task(
        spec=SPEC,
        options=given,
        needs=("question", "passage", "answers"),
        prepare=prepare,
        encode=partial(encode, options=options),
        head=partial(head, options=options),
        loss=loss,
        answer=partial(answer, longest_answer=options.longest_answer),
        read=read,
        score=score,
        draws=True,
        calibrate=partial(calibrate, longest_answer=options.longest_answer),
    )


def prepare(examples: Sequence[Example]) -> Labels:
    """Return {"languages": {"source": [...]}, "no_answer": True if some have no answer}."""
    if not examples:
        raise DataError("There is nothing to train on: the training data holds no usable question.")
    return {
        "languages": {
            "source": sorted({one.source_language for one in examples if one.source_language})
        },
        "no_answer": any(not one.answers for one in examples),
    }


# Encoding -----------------------------------------------------------------------------------------


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    options: QuestionAnsweringOptions,
) -> list[Encoded]:
    """Encode windows of `[begin] question [end] passage [end]`.

    segments: 0 for the question, 1 for the passage (2 to 4 for matched tokens). Targets start and
    end (1,) are places in the window, 0 where the answer is not in it. With several references one
    is drawn. Raises DataError where question or passage is missing.
    """
    tokenizer, by_character = tokenizers.source, options.characters
    if example.question is None or example.passage is None:
        raise DataError(
            f"{example.place or 'An example'} has no "
            f"{'question' if example.question is None else 'passage'}."
        )
    question = passage_pieces(tokenizer, example.question.strip(), by_character)[0]
    ids, offsets = passage_pieces(tokenizer, example.passage, by_character)
    unseen = max(0, len(question) - options.longest_question)
    question = question[: options.longest_question]
    between = tokenizer.between
    first = len(question) + 1 + len(between)
    gold = _gold(example, offsets, generator) if purpose == "train" else None
    levels = (
        matches(question, ids, tokenizer)
        if options.match_feature
        else np.zeros(len(ids), dtype=np.int64)
    )
    room = options.window - first - 1
    found: list[Encoded] = []
    for start in window_starts(len(ids), room, options.stride):
        inside = ids[start : start + room]
        source = np.array(
            [tokenizer.begin_id, *question, *between, *inside, tokenizer.end_id],
            dtype=np.int64,
        )
        segments = np.ones(len(source), dtype=np.int64)
        segments[:first] = 0
        segments[first : first + len(inside)] += levels[start : start + room]
        metadata = Window(
            first,
            offsets[start : start + room] if purpose == "use" else None,
            unseen,
            bool(example.answers),
        )
        found.append(Encoded({"source": source, "segments": segments}, metadata=metadata))
        if purpose == "train":
            place = _place(gold, start, len(inside), first)
            found[-1].targets = {"start": np.array([place[0]]), "end": np.array([place[1]])}
    return found if generator is None else _drawn(found, generator, options.no_answer_windows)


def pieces(tokenizer: Tokenizer, text: str, by_character: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (S,) int32 of a text, and each one's characters [start, end) as (S, 2) int32."""
    ids: list[int] = []
    places: list[tuple[int, int]] = []
    if not by_character:
        ids, places = tokenizer.encode_with_offsets(text)
    for start, part in apart(text) if by_character else ():
        if len(part) == 1:
            its = character_ids(tokenizer, part)
            places += [(start, start + 1)] * len(its)
        else:
            its, offsets = tokenizer.encode_with_offsets(part)
            places += [(start + low, start + high) for low, high in offsets]
        ids += its
    return np.array(ids, dtype=np.int32), np.array(places, dtype=np.int32).reshape(-1, 2)


# A passage is asked several questions, in every epoch.
passage_pieces = lru_cache(maxsize=16_384)(pieces)


@lru_cache(maxsize=20_000)
def character_ids(tokenizer: Tokenizer, character: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(character))


def window_starts(length: int, room: int, stride: int) -> list[int]:
    """Return where windows of `room` tokens begin, until all tokens are read.

    Each window shares `stride` tokens with the one before; an empty text has one window.
    """
    starts = [0]
    while starts[-1] + room < length:
        starts.append(starts[-1] + max(1, room - stride))
    return starts


def matches(question: np.ndarray, passage: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Return for each passage token (S,) the length of its run of question tokens.

    The length is at most LEVELS; 0: the token is in no such run.
    """
    keys = folded(tokenizer)
    asked, given = keys[question], keys[passage]
    found = np.zeros(len(given), dtype=np.int64)
    for length in range(1, LEVELS + 1):
        hit = np.isin(runs(given, length), runs(asked, length)[runs(asked, length) > 0])
        for place in range(length if len(hit) else 0):
            inside = found[place : place + len(hit)]
            inside[hit] = length
    return found


def _gold(
    example: Example, offsets: np.ndarray, generator: np.random.Generator | None
) -> tuple[int, int] | None:
    """Return the first and last passage token of one reference, or None without an answer.

    The reference is drawn, or without a generator the one that most references agree on.
    """
    spans = standing(example)
    if not spans:
        return None
    text, start = (
        spans[int(generator.integers(len(spans)))]
        if generator is not None
        else max(spans, key=spans.count)
    )
    # The first token that ends after the answer begins.
    first = int(np.searchsorted(offsets[:, 1], start, side="right"))
    # The last token that begins before the answer ends.
    last = int(np.searchsorted(offsets[:, 0], start + len(text), side="left")) - 1
    return (first, last) if first <= last < len(offsets) else None


def _place(gold: tuple[int, int] | None, start: int, length: int, first: int) -> tuple[int, int]:
    """Return the answer's first and last place in a window, or (0, 0)."""
    if gold is None or gold[0] < start or gold[1] >= start + length:
        return 0, 0
    return first + gold[0] - start, first + gold[1] - start


def _drawn(windows: list[Encoded], generator: np.random.Generator, rate: float) -> list[Encoded]:
    """Return the windows with the answer and a share of the others, at least one."""
    kept = [one for one in windows if int(one.targets["start"][0]) or generator.random() < rate]
    return kept or [windows[int(generator.integers(len(windows)))]]


# Learning and answering ---------------------------------------------------------------------------


def head(config: AnyConfig, labels: Labels, *, options: QuestionAnsweringOptions) -> nn.Module:
    from ..model.heads.layer import head_layer
    from ..model.heads.span import Spans
    from ..model.heads.tokens import initialize

    encoder = encoder_alone(config, SPEC.name, options.window)
    if options.match_feature and encoder.segments < SEGMENTS:
        raise UsageError(
            f"task.match_feature marks tokens by {SEGMENTS} segments and this model has "
            f"{encoder.segments}: give model.segments = {SEGMENTS}, or task.match_feature = false."
        )
    layer = head_layer(encoder, options.head_layer)
    made = Spans(encoder.width, bool(labels.get("no_answer")), layer)
    initialize(made)
    return made


def loss(output: Tensor, batch: Batch) -> Losses:
    """Return the mean cross-entropy of the first and of the last token, in nats a window."""
    from ..model.heads.span import cross_entropy

    total = cross_entropy(
        output, batch.inputs["source_lengths"], batch.targets["start"], batch.targets["end"]
    )
    return {"loss": (total, batch.counts["examples"], 1.0)}


def answer(
    model: Transformer,
    head: Spans,
    batch: Batch,
    settings: DecodingSettings,
    tokenizers: Tokenizers,
    *,
    longest_answer: int,
) -> list[WindowAnswers]:
    """Return for each window its best spans, in characters of the passage."""
    import torch

    with torch.inference_mode():
        output = head(model, model(**batch.inputs), batch.inputs)
    return spans_of(output, batch, longest_answer, float(head.threshold))


def read(raw: Sequence[WindowAnswers], example: Example, tokenizers: Tokenizers) -> Prediction:
    """Return the best span over all windows; its text is copied from the passage."""
    return best_prediction(raw, example.passage or "", CANDIDATES)


def calibrate(
    model: Transformer, head: Spans, batches: Sequence[Batch], *, longest_answer: int
) -> str | None:
    """Fit the threshold of "no answer" with the best F1 over tokens.

    Nothing is fitted where every question has an answer.
    """
    if not bool(head.can_abstain):
        return None
    return fit_threshold(model, head, batches, longest_answer)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return f1 and exact_match by the language of each question, then loss (nats a window)."""
    from ..metrics import answers as metrics

    for example in examples:
        if example.answers is None:
            raise DataError(f"{example.place or 'An example'} has no answers to score against.")
    texts = [one.text for one in predictions]
    references = [[text for text, _ in example.answers or []] for example in examples]
    languages = [
        one.source_language or metrics.counting(None, [one.passage or ""]) for one in examples
    ]
    f1, exact = (
        metrics.f1(texts, references, languages),
        metrics.exact_match(texts, references, languages),
    )
    values = {"f1": f1.value, "exact_match": exact.value}
    return Scores(
        values | ({"loss": losses["loss"]} if "loss" in losses else {}),
        {"f1": f1.signature, "exact_match": exact.signature},
    )


SPEC = TaskSpec(
    name="question-answering",
    build=build,
    architecture="encoder",
    head="span",
    verbs=("answer",),
    view="spans",
    windows=True,
    starts=("masked-words", "embedding"),
)
