"""Read a JSON list of objects as JSONL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ....errors import DataError
from ..json_lines import brief
from ..lines import decode_text
from .foreign_file import ForeignFile, at_their_lines, own_line

BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*[\]{]")  # a list, and its end or first object
BETWEEN = re.compile(r"\s*(,?)\s*")  # between two items of a JSON list


def read(path: Path, raw: bytes) -> ForeignFile | None:
    """Read a list of objects item by item, each at its line. See `ForeignReader`.

    Raises DataError if the list is damaged, or an item is not an object.
    """
    if BEGINS.match(raw) is None:  # a text may begin with [, too
        return None
    text = decode_text(raw, str(path))
    lines, numbered = at_their_lines(
        (number, own_line(_object(value, f"{path}:{number}")))
        for number, value in items(text, str(path))
    )
    return ForeignFile("a JSON list", lines, numbered)


def _object(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected a JSON object in the list, got {brief(value)}.")
    return value


def items(text: str, where: str) -> Iterator[tuple[int, object]]:
    """Parse a list item by item, and yield each with its line number."""
    decoder, place, line, counted, first = json.JSONDecoder(), text.index("[") + 1, 1, 0, True
    while True:
        gap = BETWEEN.match(text, place)
        assert gap is not None, "the pattern can match nothing, so it always matches"
        place = gap.end()
        line, counted = line + text.count("\n", counted, place), place
        if not gap[1] and text.startswith("]", place):
            return
        if bool(gap[1]) == first:  # every item but the first follows a comma
            raise DataError(
                f"{where}:{line}: the JSON list is not closed with ], or a comma is missing. It "
                "may be cut off; copy it again."
            )
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as problem:
            raise DataError(
                f"{where}:{line}: not JSON ({problem}). The file may be cut off; copy it again."
            ) from None
        yield line, value
        place, first = end, False
