"""Read records whose keys or columns the user has named, under the names of our fields.

Formats of records (conversations, preferences, questions, plain texts in JSONL) know their keys.
With `data.columns` other keys serve, and so does a table with such columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import DataError
from ..example import Notify
from .choosing import HEADER, Columns, choose
from .foreign.own_lines import own_lines
from .json_lines import object_of
from .lines import stop
from .pairs import body_of
from .table_format import Format, sniffed, with_header


def field_lines(
    path: str | Path,
    columns: Columns | None,
    report: Notify | None = None,
    encoding: str | None = None,
) -> list[str]:
    """Return a file's lines; with `columns`, as JSONL in which their keys are called as the fields.

    Keys that are not named keep their names, unless a named field has that name. An empty line
    stands for each line that is not a record, so that numbers of lines stay.

    Raises DataError for a key or column that no record has, and as `own_lines`.
    """
    path = Path(path)
    lines = own_lines(path, report, encoding)
    given = {need: str(name).strip() for need, name in (columns or {}).items() if need != HEADER}
    if not given:
        return lines
    form = sniffed(path, lines, [])
    if form.kind == "text":
        raise DataError(
            f"{path} is plain text and has no columns. Leave out data.columns (--columns)."
        )
    if form.kind == "jsonl":
        return _renamed(lines, path, given)
    return _of_table(lines, form, columns or {}, given)


def _renamed(lines: Sequence[str], path: Path, given: Mapping[str, str]) -> list[str]:
    """Return JSONL with the given keys called as the fields; other lines stay as they are."""
    found, seen = list[str](), set[str]()
    for line in lines:
        try:
            values = object_of(line)
        except ValueError:  # reported where it is read
            found.append(line)
            continue
        seen |= values.keys()
        named = {need: values[key] for need, key in given.items() if key in values}
        rest = {
            key: value
            for key, value in values.items()
            if key not in given.values() and key not in given
        }
        found.append(json.dumps(rest | named, ensure_ascii=False))
    missing = [key for key in given.values() if key not in seen]
    if missing:
        raise DataError(
            f"{path} has no key {' and '.join(map(repr, missing))}. Its records have: "
            f"{', '.join(sorted(seen))}."
        )
    return found


def _of_table(
    lines: Sequence[str], form: Format, columns: Columns, given: Mapping[str, str]
) -> list[str]:
    """Return the rows of a table as JSONL with the fields that are given."""
    needs = tuple(given)
    choice = choose(form, lines, needs, [needs], columns)
    form = with_header(form, form.first, choice.header)
    found = [""] * len(lines)
    for number, cells in body_of(lines, form, choice, needs, stop):
        found[number - 1] = json.dumps(dict(zip(needs, cells, strict=True)), ensure_ascii=False)
    return found
