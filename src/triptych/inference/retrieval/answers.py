"""Answer a question from an index: the answer, its score and its citations, or that there is none.

A run for spans copies its answer out of a passage. A run that writes is given the passages, and its
answer counts only if one of them supports it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ...data.example import Example
from ...errors import UsageError
from ...tasks.spans import EAST
from ...tasks.task import Prediction, TaskSpec
from ..search_index import shares
from .found import Found
from .support import place_of, support

if TYPE_CHECKING:
    from ...decoding.settings import DecodingSettings
    from ..predictor import Predictor
    from .index import Index

TOP = 5  # passages that are read
# Answers below these scores are not given; measured on development questions (decision 033).
LEAST_SPAN = 0.1
LEAST_WRITTEN = 0.5
ABSENT = {"en": "Not in the passages.", "zh": "段落裡沒有答案。"}
PROMPTS = {
    "en": "Answer the question from the passages alone, briefly. If they hold no answer, write: "
    "{absent}\n\n{passages}\n\nQuestion: {question}",
    "zh": "請只根據以下段落簡短回答問題。如果段落裡沒有答案，請寫：{absent}\n\n{passages}\n\n"
    "問題：{question}",
}
MARKS = 16  # tokens around a turn of a chat template
Kind = Literal["span", "written", "chat"]


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
        score: How sure it is, 0 to 1; also of an answer that is not given.
        citations: Where it stands, the best first; none without an answer.
        passages: Those that were read, the best first.
        truncated_input_tokens: Tokens of the question or the passages that were not read.
    """

    answer: str
    score: float
    citations: list[Citation] = field(default_factory=list[Citation])
    passages: list[Found] = field(default_factory=list[Found])
    truncated_input_tokens: int = 0

    def to_json(self) -> dict[str, object]:
        return {
            "answer": self.answer,
            "score": round(self.score, 6),
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
    reader: Predictor,
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
        least: The score below which an answer is not given; None: the one that was measured.

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
    if least is None:
        least = LEAST_SPAN if kind == "span" else LEAST_WRITTEN
    if found.answer and found.score >= least:
        return found
    return CitedAnswer("", found.score, [], passages, found.truncated_input_tokens)


def evidence(one: Found) -> float:
    """Return how surely a passage is about the question, 0 to 1, by what is known of it."""
    if one.relevance is not None:
        return one.relevance
    if one.similarity is not None:
        return max(one.coverage, one.similarity)
    return one.coverage


def cited(found: Found, start: int, end: int, rows: bool) -> Citation:
    """Return the place of characters of a passage; the lines of a row are not counted."""
    line = found.line + (0 if rows else found.text.count("\n", 0, start))
    return Citation(found.file, line, found.start + start, found.start + end, found.text[start:end])


def _copied(
    index: Index,
    reader: Predictor,
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
        return CitedAnswer("", 0.0, [], passages, unread)
    _, number, span = max(ranked, key=lambda one: (one[0], -one[1]))
    found = passages[number]
    place = cited(found, span["start"], span["end"], index.contents.header.rows)
    score = float(span["probability"]) * evidence(found)
    return CitedAnswer(span["text"], score, [place], passages, unread)


def _written(
    index: Index,
    reader: Predictor,
    question: str,
    passages: list[Found],
    settings: DecodingSettings | None,
) -> CitedAnswer:
    """Return the best of the answers that are written from each passage."""
    examples = [Example(question=question, passage=one.text, place="question") for one in passages]
    predictions = list(reader.answer(examples, settings))
    unread = max(one.truncated_input_tokens for one in predictions)
    prior = shares([one.score for one in passages])
    best = CitedAnswer("", 0.0, [], passages, unread)
    most = -1.0
    for one, found, share in zip(predictions, passages, prior, strict=True):
        text = one.text.strip()
        if not text:
            continue
        (supported,) = support(text, question, [found], index.words)
        value = share * _chance(one) * supported
        if value > most:
            place = cited(found, *place_of(text, question, found.text), index.contents.header.rows)
            score = supported * evidence(found)
            best, most = CitedAnswer(text, score, [place], passages, unread), value
    return best


def _chance(one: Prediction) -> float:
    """Return the geometric mean of the probabilities of an answer's tokens."""
    count = len(one.token_log_probabilities) or len(one.tokens)
    return 1.0 if one.log_probability is None else math.exp(one.log_probability / max(1, count))


def _chatted(
    index: Index,
    reader: Predictor,
    question: str,
    passages: list[Found],
    settings: DecodingSettings | None,
) -> CitedAnswer:
    """Return the answer of a run for chat that reads as many passages as it has room for."""
    prompt, shown = prompt_of(reader, question, passages)
    example = Example(messages=[{"role": "user", "content": prompt}], place="question")
    (one,) = reader.answer([example], settings)
    text, unread = one.text.strip(), one.truncated_input_tokens
    if not text or any(
        absent.rstrip(".。").casefold() in text.casefold() for absent in ABSENT.values()
    ):
        return CitedAnswer("", 0.0, [], passages, unread)
    supported = support(text, question, shown, index.words)
    order = sorted(range(len(shown)), key=lambda number: -supported[number])
    best = supported[order[0]]
    rows = index.contents.header.rows
    places = [
        cited(shown[number], *place_of(text, question, shown[number].text), rows)
        for number in order
        if supported[number] >= best and best > 0
    ]
    score = best * evidence(shown[order[0]])
    return CitedAnswer(text, score, places, passages, unread)


def prompt_of(
    reader: Predictor, question: str, passages: Sequence[Found]
) -> tuple[str, list[Found]]:
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
