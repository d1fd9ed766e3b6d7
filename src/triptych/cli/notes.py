"""Say on stderr where a run was found, and which answers are empty and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..messages import Message, listed, message
from .console import talk

if TYPE_CHECKING:
    from ..data.example import Example
    from ..inference.predictor import Predictor
    from ..tasks.task import Prediction

NAMED = 3  # names that a notice lists
NO_INPUT = message("the input is empty")
ENDED = message(
    "the model ended at once, as it may on a text unlike its training data; --decoding.min_length "
    "1 makes it write something"
)
BLANK = message("the model wrote only spaces")
BLANK_TO_THE_END = message(
    "the model wrote only spaces up to the maximum length; see --decoding.max_length"
)
STOPPED = message("the model wrote only spaces before the end or a text of --decoding.stop")
NOT_FOUND = message("the model holds that the answer is not in the passage")
NO_LABEL = message("no label reached its threshold; --jsonl prints all probabilities")


def tell_place(run: str, predictor: Predictor) -> None:
    """Say which folder was read, where a run was given by its name."""
    assert predictor.run is not None, "a loaded run has a folder"
    if predictor.run.path != Path(run):
        talk(message("Run: {path}", path=predictor.run.path))


def some(names: Sequence[str]) -> Message:
    """Return the first names, and how many more there are."""
    first, more = listed(names[:NAMED]), len(names) - NAMED
    return message("{names} and {count:,} more", names=first, count=more) if more > 0 else first


def report_empty(
    predictor: Predictor,
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    problems: Collection[int] = (),
) -> None:
    """Say which answers are empty and why.

    Args:
        predictor: The run that answered.
        predictions: Its answers.
        examples: What was answered; a place like "text 1" names each.
        problems: Numbers of the texts that could not be read, which has been said.
    """
    places: dict[Message, list[str]] = {}
    for number, (one, example) in enumerate(zip(predictions, examples, strict=True)):
        if not one.text.strip() and number not in problems:
            why = NO_INPUT if predictor.is_empty(example) else _reason(predictor, one)
            places.setdefault(why, []).append(example.place)
    for why, found in places.items():
        tell_empty(found, why)


def tell_empty(places: Sequence[str], why: Message) -> None:
    """Say that the answers to these texts are empty."""
    talk(message("Empty answer: {places} ({why}).", places=some(places), why=why))


def _reason(predictor: Predictor, answer: Prediction) -> Message:
    """Return the likely reason why there is nothing in an answer to a text."""
    if "labels" in answer.details:
        return NO_LABEL
    if predictor.task.spec.head == "span":
        return NOT_FOUND
    if not answer.tokens:
        return ENDED
    if answer.cut:
        return BLANK_TO_THE_END
    return STOPPED if predictor.task.spec.continues else BLANK
