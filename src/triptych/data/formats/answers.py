"""Find answers in their passage, and correct offsets that do not match.

A wrong offset is corrected if the text occurs near it, or only once in the passage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..example import Example
from .json_lines import brief, is_text

# Characters around the given offset that are searched for an answer which the passage holds more
# than once.
SEARCH_RADIUS = 50
# The start of a reference that is not in the passage: it counts in scores but is not learnt.
ELSEWHERE = -1
_DIGITS = re.compile(r"\s*([+-]?\d{1,18})(?:\.0*)?\s*")  # an offset written as a text


def standing(example: Example) -> list[tuple[str, int]]:
    """Return the answers that are in the passage."""
    return [(text, start) for text, start in example.answers or [] if start != ELSEWHERE]


def located(
    answers: Sequence[object], passage: str
) -> tuple[list[tuple[str, int]], list[str], list[str]]:
    """Find each answer, an object with text and offset or its text alone, in the passage.

    Returns:
        (text, start) of each answer, ELSEWHERE if it is not found; a sentence for each answer that
        is not at its offset; and one for each that is not found or has no text.
    """
    kept, moved, lost = [], [], []
    for one in answers:
        # An answer given as its text alone is searched for.
        text = one.get("text") if isinstance(one, dict) else one
        given = one.get("answer_start", one.get("start")) if isinstance(one, dict) else None
        if not is_text(text) or not text.strip():
            lost.append("an answer has no text")
            continue
        start = _offset(given)
        found = locate(text, start, passage)
        if found is None:
            lost.append(_why_lost(text, given, start, passage))
        elif found != start and given is not None:
            moved.append(
                f"'{_short(text)}' is at {found}, not at offset "
                f"{brief(given if start is None else start)}"
            )
        kept.append((text, ELSEWHERE if found is None else found))
    return kept, moved, lost


def locate(text: str, start: int | None, passage: str) -> int | None:
    """Return the position of `text`: at `start`, else its only place or its only one near `start`.

    None if there is no such place.
    """
    if start is not None and start >= 0 and passage.startswith(text, start):
        return start
    first = passage.find(text)
    if first < 0 or passage.find(text, first + 1) < 0:
        return first if first >= 0 else None
    if start is None or start < 0:
        return None
    low = max(0, start - SEARCH_RADIUS)
    near = passage.find(text, low, start + SEARCH_RADIUS + len(text))
    return (
        near
        if near >= 0 and passage.find(text, near + 1, start + SEARCH_RADIUS + len(text)) < 0
        else None
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
        return f"'{_short(text)}' is not in the passage{'' if given is None else f' ({asked})'}"
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
