"""Find rows of titles above the header of a table, as spreadsheets for people have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from ...errors import DataError
from .headers import header_verdict, is_known
from .table_format import SIGNS, Format, rows_of

SEEN = 60  # rows that are looked at
LINES = 1000  # that they may have
MOST_TITLES = 20  # rows above a header
FEWEST_BELOW = 3  # rows below it
REGULAR = 0.8  # of the rows below it are as wide as it


def refuse_titles(form: Format, lines: Sequence[str]) -> None:
    """Raise DataError if a table's first rows are titles, and one below them is its header."""
    if form.kind not in ("tsv", "csv"):
        return
    signs = [form.sign] if form.kind == "tsv" or len(form.first) > 1 else [*SIGNS]
    for sign in signs:
        found = header_below(_rows(lines[:LINES], replace(form, sign=sign)))
        if found is not None:
            number, names = found
            raise DataError(
                "{path}:{number}: this row looks like the header ({names}), and the rows above it "
                "are titles. Delete them; or add header=yes or header=no to --columns if the first "
                "row is the header, or data.",
                path=form.path,
                number=number,
                names=", ".join(names),
            )


def _rows(lines: Sequence[str], form: Format) -> list[tuple[int, list[str]]]:
    """Return the first rows, none of what is not CSV: reading it reports that."""
    try:
        return list(islice(rows_of(lines, form), SEEN))
    except DataError:
        return []


def header_below(rows: Sequence[tuple[int, list[str]]]) -> tuple[int, list[str]] | None:
    """Return the line and the names of a header that is not the first of some rows.

    Rows above it have at most half as many cells with a text as most rows have.
    """
    filled = [sum(bool(cell.strip()) for cell in row) for _, row in rows]
    if len(rows) < FEWEST_BELOW + 2:
        return None
    usual = Counter(filled).most_common(1)[0][0]
    if usual < 2 or filled[0] > max(1, usual // 2) or _names_columns(rows[0][1]):
        return None
    place = next(place for place, count in enumerate(filled) if count >= usual)
    below = rows[place + 1 :]
    wide = sum(count >= usual for count in filled[place + 1 :])
    if place > MOST_TITLES or len(below) < FEWEST_BELOW or wide < REGULAR * len(below):
        return None
    number, names = rows[place]
    verdict = header_verdict(names, [row for _, row in below])
    return (number, names) if verdict == "yes" or _names_columns(names) else None


def _names_columns(row: Sequence[str]) -> bool:
    return sum(map(is_known, filter(str.strip, row))) > 1
