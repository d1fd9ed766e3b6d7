"""Find answers in their passage, and correct offsets that do not match.

A wrong offset is corrected if the text occurs only once in the passage or once near the offset, if
the offset counts UTF-16 units or bytes, or if it is off by one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..example import Example
from .json_lines import brief, is_record, is_text

# Characters around the given offset that are searched for an answer which the passage holds more
# than once.
SEARCH_RADIUS = 50
# The start of a reference that is not in the passage: it counts in scores but is not learnt.
ELSEWHERE = -1
# Units that tools count offsets in -> the encoding whose code units, of so many bytes, they are.
UNITS = {"UTF-16 units": ("utf-16-le", 2), "bytes": ("utf-8", 1)}
_DIGITS = re.compile(r"\s*([+-]?\d{1,18})(?:\.0*)?\s*")  # an offset written as a text


@dataclass(slots=True)
class LocatedAnswers:
    """Hold the answers of a question where they are in its passage.

    answers: (text, start) of each, ELSEWHERE if it is not found. moved: a sentence for each that is
    not at its offset; recounted: for each whose offset counts UTF-16 units or bytes; lost: for each
    that is not found or has no text.
    """

    answers: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    moved: list[str] = field(default_factory=list[str])
    recounted: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])


def standing(example: Example) -> list[tuple[str, int]]:
    """Return the answers that are in the passage."""
    return [(text, start) for text, start in example.answers or [] if start != ELSEWHERE]


def located(answers: Sequence[object], passage: str) -> LocatedAnswers:
    """Find each answer, an object with text and offset or its text alone, in the passage."""
    found = LocatedAnswers()
    for one in answers:
        # An answer given as its text alone is searched for.
        text = one.get("text") if is_record(one) else one
        given = one.get("answer_start", one.get("start")) if is_record(one) else None
        if not is_text(text) or not text.strip():
            found.lost.append("an answer has no text")
            continue
        start = _offset(given)
        place = locate(text, start, passage)
        if place is None:
            found.lost.append(_why_lost(text, given, start, passage))
        elif place != start and given is not None:
            shown = brief(given if start is None else start)
            reason = f"'{_short(text)}' is at {place}, not at offset {shown}"
            unit = None if start is None else _unit(start, place, passage)
            if unit is None:
                found.moved.append(reason)
            else:
                found.recounted.append(f"{reason}, which counts {unit}")
        found.answers.append((text, ELSEWHERE if place is None else place))
    return found


def locate(text: str, start: int | None, passage: str) -> int | None:
    """Return the position of `text`: at `start`, else its only place, else the likely one.

    That is where `start` leads if it counts UTF-16 units or bytes, else the one place beside
    `start`, else the only place near it. None if there is no such place.
    """
    if start is not None and start >= 0 and passage.startswith(text, start):
        return start
    first = passage.find(text)
    if first < 0 or passage.find(text, first + 1) < 0:
        return first if first >= 0 else None
    if start is None or start < 0:
        return None
    counted = {_counted(start, passage, *unit) for unit in UNITS.values()}
    beside = {max(0, start - 1), start + 1}
    for places in (counted, beside):
        fitting = [at for at in places if at is not None and passage.startswith(text, at)]
        if len(fitting) == 1:
            return fitting[0]
    low = max(0, start - SEARCH_RADIUS)
    near = passage.find(text, low, start + SEARCH_RADIUS + len(text))
    return (
        near
        if near >= 0 and passage.find(text, near + 1, start + SEARCH_RADIUS + len(text)) < 0
        else None
    )


def _counted(start: int, passage: str, encoding: str, size: int) -> int | None:
    """Return the character at which an offset in other units leads, None if there is none."""
    raw = passage.encode(encoding)[: start * size]
    try:
        return len(raw.decode(encoding)) if len(raw) == start * size else None
    except UnicodeDecodeError:  # it leads into the middle of a character
        return None


def _unit(start: int, place: int, passage: str) -> str | None:
    """Return the unit in which `start` is the offset of the character at `place`."""
    return next(
        (
            name
            for name, (encoding, size) in UNITS.items()
            if len(passage[:place].encode(encoding)) == start * size
        ),
        None,
    )


def _offset(given: object) -> int | None:
    """Return an offset as a whole number, also from "27" or 27.0; None if it is something else."""
    if isinstance(given, str) and (found := _DIGITS.fullmatch(given)):
        return int(found[1])
    if isinstance(given, float) and given.is_integer():
        return int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _why_lost(text: str, given: object, start: int | None, passage: str) -> str:
    """Explain why an answer cannot be found in its passage."""
    if given is not None and start is None:
        asked = f"offset {brief(given)}, which is not a whole number"
    else:
        asked = f"offset {brief(start)}" if start is not None else "no offset is given"
    several = _places(text, passage)
    if not several:
        other = text.casefold() in passage.casefold()
        return (
            f"'{_short(text)}' is not in the passage{'' if given is None else f' ({asked})'}"
            f"{', only with other capital letters' if other else ''}"
        )
    none = f"none at {asked}" if start is not None else asked
    return f"'{_short(text)}' occurs {several} times in the passage, {none}"


def _places(text: str, passage: str) -> int:
    """Count the occurrences of `text` in the passage, also overlapping ones."""
    count, at = 0, passage.find(text)
    while at >= 0:
        count, at = count + 1, passage.find(text, at + 1)
    return count


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
