"""Answer a question from an index: the answer, its score and its citations, or that there is none.

A run for spans copies its answer out of a passage. A run that writes is given the passages, and its
answer counts only if one of them supports it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from ...data.example import Example
from ...errors import UsageError
from ...tasks.spans import EAST
from ...tasks.task import Prediction, TaskSpec
from ..search_index import shares
from .found import Found
from .support import place_of, support

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...data.tokenizers.sides import Tokenizers
    from ...decoding.settings import DecodingSettings
    from ...tasks.task import Task
    from .index import Index

TOP = 5  # passages that are read
# An answer with a lower score is not given; measured on development questions (decision 033).
LEAST = 0.4
LEAST_SUPPORT = 0.5  # of a written answer by its passage
ABSENT = {"en": "Not in the passages.", "zh": "段落裡沒有答案。"}
PROMPTS = {
    "en": "Answer the question from the passages alone, briefly. If they hold no answer, write: "
    "{absent}\n\n{passages}\n\nQuestion: {question}",
    "zh": "請只根據以下段落簡短回答問題。如果段落裡沒有答案，請寫：{absent}\n\n{passages}\n\n"
    "問題：{question}",
}
MARKS = 16  # tokens around a turn of a chat template
Kind = Literal["span", "written", "chat"]


class Reader(Protocol):
    """Answer examples with a run: a Predictor, or what asks one that answers others too."""

    @property
    def task(self) -> Task: ...
    @property
    def tokenizers(self) -> Tokenizers: ...
    def answer(
        self, examples: Sequence[Example], settings: DecodingSettings | None = None, /
    ) -> Iterable[Prediction]: ...


@dataclass(frozen=True, slots=True)
class Citation:
    """Name a place that an answer rests on.

    line: of `start`, or the row; from 1. start, end: characters of the file, or of the row's text.
    """

    file: str
    line: int
    start: int
    end: int
    text: str

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("file", "line", "start", "end", "text")}


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """Hold an answer from an index.

    Args:
        answer: The answer; empty where the passages hold none.
        score: How surely the cited passage is about the question, 0 to 1; also of an answer that
            is not given. See `evidence`.
        probability: What the reader gives its answer.
        citations: Where it stands, the best first; none without an answer.
        passages: Those that were read, the best first.
        truncated_input_tokens: Tokens of the question or the passages that were not read.
    """

    answer: str
    score: float
    probability: float | None = None
    citations: list[Citation] = field(default_factory=list[Citation])
    passages: list[Found] = field(default_factory=list[Found])
    truncated_input_tokens: int = 0

    def to_json(self) -> dict[str, object]:
        return {
            "answer": self.answer,
            "score": round(self.score, 6),
            "probability": None if self.probability is None else round(self.probability, 6),
            "citations": [one.to_json() for one in self.citations],
            "truncated_input_tokens": self.truncated_input_tokens,
        }


def kind_of(spec: TaskSpec, needs: Sequence[str]) -> Kind | None:
    """Return how a run for a task answers from passages; None if it cannot."""
    if spec.head == "span":
        return "span"
    if spec.head == "tokens" and "answer" in spec.verbs and "passage" in needs:
        return "written"
    return "chat" if "chat" in spec.verbs else None


def answer(
    index: Index,
    reader: Reader,
    question: str,
    count: int = TOP,
    settings: DecodingSettings | None = None,
    least: float | None = None,
) -> CitedAnswer:
    """Answer a question from the `count` passages of an index that fit it best.

    Args:
        index: Where passages are found.
        reader: A run for question-answering, generative-answering or chat.
        question: The question; an empty one has no answer.
        count: Number of passages that are read.
        settings: How answers are decoded.
        least: The score below which an answer is not given; None: LEAST, as it was measured.

    Raises:
        UsageError: The run cannot answer from passages.
    """
    kind = kind_of(reader.task.spec, reader.task.needs)
    if kind is None:
        raise UsageError(
            "A run for {name} cannot answer from passages. Use a run for question-answering, "
            "generative-answering or chat.",
            name=reader.task.name,
        )
    question = question.strip()
    passages = index.search(question, count)
    if not passages:
        return CitedAnswer("", 0.0)
    if kind == "span":
        found = _copied(index, reader, question, passages, settings)
    elif kind == "written":
        found = _written(index, reader, question, passages, settings)
    else:
        found = _chatted(index, reader, question, passages, settings)
    if found.answer and found.score >= (LEAST if least is None else least):
        return found
    return nothing(passages, found.truncated_input_tokens, found.score)


def nothing(passages: list[Found], unread: int, score: float = 0.0) -> CitedAnswer:
    """Return that the passages hold no answer."""
    return CitedAnswer("", score, passages=passages, truncated_input_tokens=unread)


def evidence(one: Found) -> float:
    """Return how surely a passage is about the question, 0 to 1.

    It is what a run for pairs says, else which share of the question's words the passage holds,
    which tells passages with an answer from those without better than a cosine does.
    """
    return one.coverage if one.relevance is None else one.relevance


def cited(found: Found, start: int, end: int, rows: bool) -> Citation:
    """Return the place of characters of a passage; the lines of a row are not counted."""
    line = found.line + (0 if rows else found.text.count("\n", 0, start))
    return Citation(found.file, line, found.start + start, found.start + end, found.text[start:end])


def _copied(
    index: Index,
    reader: Reader,
    question: str,
    passages: list[Found],
    settings: DecodingSettings | None,
) -> CitedAnswer:
    """Return the likeliest span of all passages.

    A passage weighs by its share of the search's scores, because a reader is as sure of itself in
    a wrong passage.
    """
    examples = [Example(question=question, passage=one.text, place="question") for one in passages]
    predictions = list(reader.answer(examples, settings))
    unread = max(one.truncated_input_tokens for one in predictions)
    prior = shares([one.score for one in passages])
    ranked = [
        (share * span["probability"], number, span)
        for number, (share, one) in enumerate(zip(prior, predictions, strict=True))
        if one.text
        for span in one.details["candidates"]
    ]
    if not ranked:
        return nothing(passages, unread)
    _, number, span = max(ranked, key=lambda one: (one[0], -one[1]))
    found = passages[number]
    place = cited(found, span["start"], span["end"], index.contents.header.rows)
    return CitedAnswer(
        span["text"], evidence(found), float(span["probability"]), [place], passages, unread
    )


def _written(
    index: Index,
    reader: Reader,
    question: str,
    passages: list[Found],
    settings: DecodingSettings | None,
) -> CitedAnswer:
    """Return the best of the answers that are written from each passage."""
    examples = [Example(question=question, passage=one.text, place="question") for one in passages]
    predictions = list(reader.answer(examples, settings))
    unread = max(one.truncated_input_tokens for one in predictions)
    prior = shares([one.score for one in passages])
    best, most = nothing(passages, unread), -1.0
    for one, found, share in zip(predictions, passages, prior, strict=True):
        text, chance = one.text.strip(), _chance(one)
        if not text:
            continue
        (supported,) = support(text, question, [found], index.words)
        value = share * chance * supported
        if supported >= LEAST_SUPPORT and value > most:
            span = place_of(text, question, found.text)
            place = cited(found, *span, index.contents.header.rows)
            best = CitedAnswer(text, evidence(found), chance, [place], passages, unread)
            most = value
    return best


def _chance(one: Prediction) -> float:
    """Return the geometric mean of the probabilities of an answer's tokens."""
    count = len(one.token_log_probabilities) or len(one.tokens)
    return 1.0 if one.log_probability is None else math.exp(one.log_probability / max(1, count))


def _chatted(
    index: Index,
    reader: Reader,
    question: str,
    passages: list[Found],
    settings: DecodingSettings | None,
) -> CitedAnswer:
    """Return the answer of a run for chat that reads as many passages as it has room for."""
    prompt, shown = prompt_of(reader, question, passages)
    example = Example(messages=[{"role": "user", "content": prompt}], place="question")
    (one,) = reader.answer([example], settings)
    text, unread = one.text.strip(), one.truncated_input_tokens
    if not text or any(absent.rstrip(".。").casefold() in text.casefold() for absent in _ABSENT):
        return nothing(passages, unread)
    supported = support(text, question, shown, index.words)
    best = max(supported)
    if best < LEAST_SUPPORT:
        return nothing(passages, unread)
    several = [found for found, share in zip(shown, supported, strict=True) if share == best]
    rows = index.contents.header.rows
    places = [cited(each, *place_of(text, question, each.text), rows) for each in several]
    score = max(map(evidence, several))
    return CitedAnswer(text, score, _chance(one), places, passages, unread)


_ABSENT = tuple(ABSENT.values())


def prompt_of(reader: Reader, question: str, passages: Sequence[Found]) -> tuple[str, list[Found]]:
    """Return what a run for chat is asked, and the passages in it.

    A prompt has at most half of the context (tasks.turns), so that passages that have no room are
    left out. The first is always in it.
    """
    language = "zh" if EAST.search(question) else "en"
    room = int(reader.task.options["context"]) // 2
    encode = reader.tokenizers.target.encode

    def written(several: Sequence[Found]) -> str:
        texts = [f"[{number}] {one.text.strip()}" for number, one in enumerate(several, 1)]
        return PROMPTS[language].format(
            absent=ABSENT[language], passages="\n\n".join(texts), question=question
        )

    shown = list(passages[:1])
    for one in passages[1:]:
        if len(encode(written([*shown, one]))) + MARKS > room:
            break
        shown.append(one)
    return written(shown), shown
