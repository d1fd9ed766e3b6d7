"""Define the Example: one record before tokenization."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Notify = Callable[[str], None]  # called with a sentence for the user
OnProblem = Callable[[str, str], None]  # called with ("file:line", reason)


@dataclass(frozen=True, slots=True)
class Field:
    """Describe one field of an Example: its role, and whether it is text that trains a tokenizer.

    An input is given in use as well; a target is only known in training and evaluation.
    """

    role: Literal["input", "target"]
    text: bool


FIELDS: dict[str, Field] = {
    "source": Field("input", True),
    "target": Field("target", True),
    "audio": Field("input", False),
    "start": Field("input", False),
    "end": Field("input", False),
    "source_language": Field("input", False),
    "target_language": Field("input", False),
    "text": Field("input", True),
    "text_pair": Field("input", True),
    "words": Field("input", False),
    "question": Field("input", True),
    "passage": Field("input", True),
    "messages": Field("input", True),
    "tools": Field("input", False),
    "chosen": Field("target", True),
    "rejected": Field("target", True),
    "label": Field("target", False),
    "labels": Field("target", False),
    "value": Field("target", False),
    "tags": Field("target", False),
    "upos": Field("target", False),
    "heads": Field("target", False),
    "relations": Field("target", False),
    "answers": Field("target", False),
    "suffix": Field("input", False),
    "references": Field("target", False),
}


@dataclass(slots=True)
class Example:
    """Hold one record from a closed table of fields (`FIELDS`); unused fields stay None.

    source, target: the two sides of a pair; source_language, target_language: their codes ("en",
        "zh-Hant").
    audio: the sound whose text is `target`: the path of a file, its bytes, or samples at 16 kHz;
        start, end: the seconds of it that are meant, where these are not all.
    text, text_pair: the text to classify, embed or learn from, and the second text of a pair.
    words: [start, end) characters of each word in `text`.
    label, labels, value: the target of a text: one label, several labels, or a number.
    tags, upos, relations: one for each word; heads: for each word the number of its head, 1 for
        the first word, 0 for the root.
    question, passage; answers: (text, first character in the passage), an empty list where the
        passage holds no answer.
    messages: a conversation, {"role": "system", "user" or "assistant", "content": text} each;
        chosen, rejected: two answers that could follow it. tools: the functions that the assistant
        may call, a list of JSON schemas as JSON; given in use only.
    suffix: the text after the gap that is filled in behind `text`; given in use only.
    references: all correct targets, where there are several; `target` is the one for training.
    begins, ends: True if the document begins or ends with `text`; a long document is cut into
        pieces, of which only the first begins it and only the last ends it.
    place: the origin ("train.en:17"), for messages.
    """

    source: str | None = None
    target: str | None = None
    source_language: str | None = None
    target_language: str | None = None
    place: str = ""
    audio: str | bytes | NDArray[np.float32] | None = None
    start: float | None = None
    end: float | None = None
    text: str | None = None
    text_pair: str | None = None
    words: list[tuple[int, int]] | None = None
    label: str | None = None
    labels: list[str] | None = None
    value: float | None = None
    tags: list[str] | None = None
    upos: list[str] | None = None
    heads: list[int] | None = None
    relations: list[str] | None = None
    question: str | None = None
    passage: str | None = None
    answers: list[tuple[str, int]] | None = None
    messages: list[dict[str, str]] | None = None
    tools: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    suffix: str | None = None
    references: list[str] | None = None
    begins: bool = True
    ends: bool = True

    @property
    def bytes(self) -> int:
        """Count the UTF-8 bytes of the text fields."""
        texts = (
            text
            for name, field in FIELDS.items()
            if field.text
            for text in texts_of(getattr(self, name))
        )
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)

    @property
    def inputs(self) -> dict[str, object]:
        """Return the input fields that are given."""
        return {
            name: value
            for name, one in FIELDS.items()
            if one.role == "input" and (value := getattr(self, name)) is not None
        }


def texts_of(value: str | Iterable[Mapping[str, str]] | None) -> Iterator[str]:
    """Yield the texts in a field's value: the value itself or each message's; nothing for None."""
    if isinstance(value, str):
        yield value
    elif value is not None:
        yield from (message["content"] for message in value)


def not_texts(values: Mapping[str, object]) -> list[str]:
    """Name the fields that should hold a text and hold something else.

    `messages` has a check of its own.
    """
    return [
        name
        for name, value in values.items()
        if name != "messages" and FIELDS[name].text and not isinstance(value, str)
    ]
