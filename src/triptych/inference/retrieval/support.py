"""Measure whether a written answer is supported by a passage, and where it stands there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...data.segmentation.sentences import split_sentences
from ..search_index import terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .found import Found
    from .postings import MappedBM25

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def support(answer: str, question: str, found: Sequence[Found], words: MappedBM25) -> list[float]:
    """Return for each passage which share of the answer it supports, 0 to 1.

    It is the share of the answer's terms that the passage holds, rare ones weighing more, those of
    the question aside. An answer with a number that stands neither in the passage nor in the
    question is not supported.
    """
    shares = words.coverage(answer, [one.place for one in found], without=question)
    numbers = set(_NUMBER.findall(answer)) - set(_NUMBER.findall(question))
    return [
        0.0 if numbers - set(_NUMBER.findall(one.text)) else share
        for share, one in zip(shares, found, strict=True)
    ]


def place_of(answer: str, question: str, passage: str) -> tuple[int, int]:
    """Return the characters [start, end) of a passage that support an answer.

    They are the answer itself where it stands there, else the sentence that shares most terms with
    it; of equal ones, that which shares most with the question.
    """
    at = re.search(re.escape(answer.strip().rstrip(".。")), passage, re.IGNORECASE)
    if at is not None and at.start() < at.end():
        return at.span()
    wanted, asked = set(terms(answer)), set(terms(question))
    spans = split_sentences(passage) or [(0, len(passage))]

    def shared(span: tuple[int, int]) -> tuple[int, int]:
        here = set(terms(passage[span[0] : span[1]]))
        return len(here & wanted), len(here & asked)

    return max(spans, key=shared)
