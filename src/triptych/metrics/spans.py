"""Score spans of words as CoNLL's evaluation does (precision, recall, F1), and single tags.

There are two readings of tags that do not make whole spans: with "conlleval" any of them begins a
span, as conlleval and seqeval do by default; "strict" takes only spans that are correct in their
scheme, as seqeval's strict mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

TypedSpan = tuple[str, int, int]  # type, first word, word after the last
Reading = Literal["conlleval", "strict"]
SIGNATURE = "spans, type and both ends right, micro-averaged, read as {}"


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """Count spans: right (in both), found (in the answers), given (in the references)."""

    right: int = 0
    found: int = 0
    given: int = 0

    @property
    def precision(self) -> float:
        """Return precision, 0-100; 0 if nothing was found."""
        return 100.0 * self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        return 100.0 * self.right / self.given if self.given else 0.0

    @property
    def f1(self) -> float:
        return 200.0 * self.right / (self.found + self.given) if self.found + self.given else 0.0


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Hold the counts over all types, and by type in order of name."""

    all: SpanCounts
    by_type: dict[str, SpanCounts] = field(default_factory=dict)


def spans(
    tags: Sequence[str], reading: Reading = "conlleval", closed: bool | None = None
) -> list[TypedSpan]:
    """Return the spans of one sentence, in order.

    closed: the scheme is BIOES (strict reading); None: it is if E or S occur.
    """
    if reading == "conlleval":
        return _lenient(tags)
    return _strict(tags, any(tag[:2] in ("E-", "S-") for tag in tags) if closed is None else closed)


def _split(tag: str) -> tuple[str, str]:
    """Split a tag into letter and type: "O" and "" outside spans; a missing type is "_"."""
    letter, _, kind = tag.partition("-")
    return letter[:1], kind or ("" if letter == "O" else "_")


def _lenient(tags: Sequence[str]) -> list[TypedSpan]:
    """Read spans as conlleval.pl does.

    A span ends before B or S, after E or S, and where the type or "outside" changes.
    """
    found: list[TypedSpan] = []
    start, before, kind_before = 0, "O", ""
    for place, tag in enumerate([*tags, "O"]):
        letter, kind = _split(tag)
        inside = before not in "O."
        ends = inside and (before in "ES" or letter in "BSO." or kind != kind_before)
        begins = letter not in "O." and (
            letter in "BS" or not inside or before in "ES" or kind != kind_before
        )
        if ends:
            found.append((kind_before, start, place))
        if begins:
            start = place
        before, kind_before = letter, kind
    return found


def _strict(tags: Sequence[str], closed: bool) -> list[TypedSpan]:
    """Read only B I* (BIO) or, if spans are closed, B I* E and S (BIOES)."""
    found: list[TypedSpan] = []
    start, open_kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        letter, kind = _split(tag)
        goes_on = letter in "IE" and open_kind == kind
        if open_kind and not goes_on:
            if not closed:
                found.append((open_kind, start, place))
            open_kind = ""
        if letter == "B":
            start, open_kind = place, kind
        elif letter == "S":
            found.append((kind, place, place + 1))
        elif letter == "E" and goes_on:
            found.append((kind, start, place + 1))
            open_kind = ""
    return found


def span_scores(
    answers: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    reading: Reading = "conlleval",
    closed: bool | None = None,
) -> SpanScores:
    """Score tags of sentences against tags of the same sentences.

    closed: as in `spans`; None: it is if E or S occur anywhere.
    """
    if closed is None:
        closed = any(tag[:2] in ("E-", "S-") for tags in [*answers, *references] for tag in tags)
    return compare(
        [spans(tags, reading, closed) for tags in answers],
        [spans(tags, reading, closed) for tags in references],
    )


def compare(
    answers: Sequence[Iterable[TypedSpan]], references: Sequence[Iterable[TypedSpan]]
) -> SpanScores:
    """Score spans of texts, in words or in characters, against spans of the same texts."""
    counts: dict[str, list[int]] = {}
    for answer, reference in zip(answers, references, strict=True):
        found, given = set(answer), set(reference)
        for place, group in enumerate((found & given, found, given)):
            for kind, _, _ in group:
                counts.setdefault(kind, [0, 0, 0])[place] += 1
    total = [sum(column) for column in zip(*counts.values(), strict=True)] or [0, 0, 0]
    return SpanScores(
        SpanCounts(*total), {kind: SpanCounts(*counts[kind]) for kind in sorted(counts)}
    )


def tag_accuracy(answers: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """Compute the percentage of words with the right tag."""
    right = total = 0
    for answer, reference in zip(answers, references, strict=True):
        total += len(reference)
        right += sum(one == other for one, other in zip(answer, reference, strict=True))
    return 100.0 * right / total if total else 0.0
