"""Read labels that have a column each, which holds 1 or 0: `labels = "toxic+obscene+insult"`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from ...errors import DataError
from ...messages import Message, message
from .json_lines import brief
from .quoting import is_number
from .table_format import Format, rows_of

JOINS = "+"  # between the names of such columns
ON, OFF = ("1", "1.0", "true", "yes"), ("", "0", "0.0", "false", "no")
ROWS = 200  # that are looked at to find such columns
FEWEST_ROWS = 4


def flags_of(
    columns: Mapping[str, str | int] | None, first: Sequence[str]
) -> tuple[str, ...] | None:
    """Return the columns that `labels` names, if it names several.

    first: the names of all columns; a column that is really called "a+b" is one column.
    """
    given = str((columns or {}).get("labels", ""))
    if JOINS not in given or given in first:
        return None
    return tuple(name.strip() for name in given.split(JOINS) if name.strip())


def places_of(
    form: Format, flags: Sequence[str], header: bool
) -> tuple[tuple[str, ...], list[int]]:
    """Return the labels that the columns stand for, and the places of the columns or keys.

    Raises:
        DataError: A column is not in the file, or has no name that could be a label.
    """
    folded = [name.casefold() for name in form.first]
    places: list[int] = []
    for name in flags:
        if name.casefold() in folded:
            exact = form.first.index(name) if name in form.first else folded.index(name.casefold())
            places.append(exact)
        elif name.isdecimal() and 1 <= int(name) <= len(folded) and form.kind != "jsonl":
            places.append(int(name) - 1)
        else:
            raise DataError(
                "{path} has no column '{name}', which data.columns (--columns) names as a label. "
                "It has: {names}.",
                path=form.path,
                name=name,
                names=", ".join(form.first),
            )
    if not header and form.kind != "jsonl":
        raise DataError(
            "{path}:{begins}: labels={flags} in data.columns (--columns) names columns of 0 and 1, "
            "whose names are the labels, but the first line is no header. Write one above it.",
            path=form.path,
            begins=form.begins,
            flags=JOINS.join(flags),
        )
    return tuple(form.first[place] for place in places), places


def labels_of(names: Sequence[str], cells: Sequence[object]) -> list[str]:
    """Return the labels whose columns hold 1. Raises ValueError for anything but 0 and 1."""
    found: list[str] = []
    for name, cell in zip(names, cells, strict=True):
        written = "" if cell is None else str(cell).strip().casefold()
        if written in ON:
            found.append(name)
        elif written not in OFF:
            raise ValueError(
                f"the label {name!r} is {brief(cell)} here; a column of its own must hold 0 or 1."
            )
    return found


def found_in(form: Format, lines: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return the column of the longest texts and two or more columns that hold 0 and 1 alone."""
    if form.kind not in ("tsv", "csv") or len(form.first) < 3 or any(map(is_number, form.first)):
        return None
    below = [row for _, row in itertools.islice(rows_of(lines, form), 1, ROWS)]
    columns = [[row[place].strip() for row in below if place < len(row)] for place in _all(form)]
    if len(below) < FEWEST_ROWS:
        return None
    flags = [place for place in _all(form) if set(columns[place]) <= {"0", "1"}]
    others = [place for place in _all(form) if place not in flags]
    if len(flags) < 2 or not others or not all(form.first[place] for place in flags):
        return None
    text = max(others, key=lambda place: sum(map(len, columns[place])))
    return form.first[text], [form.first[place] for place in flags]


def _all(form: Format) -> Iterator[int]:
    return iter(range(len(form.first)))


def advice(form: Format, lines: Sequence[str]) -> Message | None:
    """Return a sentence on how such columns are learnt as labels, if the file has any."""
    found = found_in(form, lines)
    if found is None:
        return None
    return message(
        "{count} columns hold 0 or 1 alone, as labels do that have a column each. To learn them: "
        "--columns {value}",
        count=len(found[1]),
        value=f"text={found[0]},labels={JOINS.join(found[1])}",
    )
