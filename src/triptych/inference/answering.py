"""Answer Examples: encode them, compute raw results in batches, and turn these into predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..data.batches.encoded import Encoded
from ..data.example import Example
from ..decoding.settings import DecodingSettings
from ..errors import DataError
from ..tasks.task import Prediction

if TYPE_CHECKING:
    from .loaded import Done, LoadedModel
    from .predictor import Predictor


def answered(
    loaded: LoadedModel,
    examples: Sequence[Example],
    settings: DecodingSettings,
    truncate: int | None,
    problems: dict[int, str] | None,
    start: int,
    first: int,
    done: Done | None = None,
) -> list[Prediction]:
    """Return the predictions of `examples`, in order; an empty input gets an empty answer.

    Args:
        loaded: The model that answers.
        examples: Only their inputs are read.
        settings: How answers are decoded.
        truncate: Read only the first N tokens of a longer source.
        problems: If given, it receives the error of a text that cannot be read, which then gets an
            empty answer.
        start: Place of the first of `examples` among all that are answered.
        first: Added to a place to seed sampling.
        done: Receives how many examples were done, a batch at a time.
    """
    found = [Prediction(text="", index=start + place) for place in range(len(examples))]
    encoded: list[Encoded] = []
    for place, example in enumerate(examples):
        if loaded.is_empty(example):
            continue
        try:
            pieces, found[place].truncated_input_tokens = loaded.encode(example, truncate)
        except DataError as error:
            if problems is None:
                raise
            problems[start + place] = str(error)
            continue
        for one in pieces:
            one.index = place
        encoded += pieces
    if done is not None:  # those without an answer
        done(len(examples) - len({one.index for one in encoded}))
    raw = _raw(loaded, encoded, settings, first + start, done)
    for place, several in raw.items():
        prediction = loaded.task.read(several, examples[place], loaded.tokenizers)
        prediction.index = start + place
        prediction.truncated_input_tokens += found[place].truncated_input_tokens
        found[place] = prediction
    return found


def _raw(
    loaded: LoadedModel,
    encoded: Sequence[Encoded],
    settings: DecodingSettings,
    start: int,
    done: Done | None,
) -> dict[int, list[Any]]:
    """Return the raw results of each example, by its index; with those that follow others."""
    raw: dict[int, list[Any]] = {}
    follow = loaded.task.follow
    while encoded:
        answers = loaded.raw(encoded, settings, start, done if follow is None else None)
        after: list[Encoded] = []
        for one, answer in zip(encoded, answers, strict=True):
            if follow is not None:
                answer, more = follow(one, answer, loaded.tokenizers)
                if more is not None:
                    more.index = one.index
                    after.append(more)
                elif done is not None:
                    done(1)
            if answer is not None:
                raw.setdefault(one.index, []).append(answer)
        encoded = after
    return raw


def followed(loaded: LoadedModel, example: Example, settings: DecodingSettings) -> Iterator[Any]:
    """Yield the raw results of one example, each as soon as it is there."""
    assert loaded.task.follow is not None, "the task follows"
    pending, _ = loaded.encode(example)
    while pending:
        one, *rest = pending
        one.index = 0
        raw, after = loaded.task.follow(one, loaded.raw([one], settings)[0], loaded.tokenizers)
        if raw is not None:
            yield raw
        pending = rest if after is None else [after, *rest]


def with_words(segmenter: Predictor | None, examples: Sequence[Example]) -> Sequence[Example]:
    """Return the examples with the words of their text, found where they are not given."""
    if segmenter is None:
        return examples
    places = [
        place
        for place, one in enumerate(examples)
        if one.words is None and (one.text or "").strip()
    ]
    raw = [Example(text=examples[place].text, place=examples[place].place) for place in places]
    words = {
        place: [(first, last) for first, last in one.details["offsets"]]
        for place, one in zip(places, segmenter.answer(raw), strict=True)
    }
    return [
        dataclasses.replace(one, words=words.get(place, one.words))
        for place, one in enumerate(examples)
    ]
