"""Detect the format of a user's file (text, TSV, CSV, JSONL), and read its columns and rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...errors import DataError
from .foreign.own_lines import own_lines
from .json_lines import first_object, is_object
from .quoting import quoting

FileKind = Literal["text", "tsv", "csv", "jsonl"]
FIELDS = ("source", "target")  # default names of columns and keys
csv.field_size_limit(1_000_000_000)


@dataclass(frozen=True, slots=True)
class Format:
    """Describe the detected format of a file."""

    path: Path
    kind: FileKind
    lines: int
    columns: tuple[str, ...]  # names where there is a header or keys, else numbers
    header: bool = False
    # The columns or keys that hold the wanted fields, if their names show it.
    chosen: tuple[str, ...] | None = None
    first: tuple[str, ...] = ()  # cells of the first row, or keys of the first object
    begins: int = 1  # the line of the first row
    quoted: bool = False  # a TSV with CSV quoting
    odd: int = 0  # the line that breaks the quoting of those before it

    def __str__(self) -> str:
        names = {"text": "plain text", "tsv": "TSV", "csv": "CSV", "jsonl": "JSONL"}[self.kind]
        names += " quoted as CSV is" if self.quoted else ""
        columns = "" if self.kind == "text" else f", columns {', '.join(self.columns)}"
        return f"{self.path.name}: {names}{columns}, {self.lines:,} lines, UTF-8"


def sniff(path: str | Path, names: Sequence[tuple[str, ...]] = (FIELDS,)) -> Format:
    """Detect the format of a file by its name, then by its first lines.

    names: names of columns or keys to look for, in order of preference.
    """
    return sniffed(Path(path), own_lines(path), names)


def sniffed(path: Path, lines: list[str], names: Sequence[tuple[str, ...]]) -> Format:
    """Detect the format of a file that has been read. See `sniff`."""
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    first = next((line for line in lines if line.strip()), "")
    kind: FileKind = "text"
    if suffix in (".jsonl", ".ndjson") or (
        suffix not in (".tsv", ".csv") and first.startswith("{") and is_object(first)
    ):
        kind = "jsonl"
    elif suffix == ".csv":
        kind = "csv"
    elif suffix in (".tsv", ".tab") or _all_tabs(lines[:50]):
        kind = "tsv"
    if kind == "text":
        return Format(path, kind, len(lines), ())
    other = next(
        (sign for sign in (";", "\t") if kind == "csv" and "," not in first and sign in first), None
    )
    if other is not None:
        found, way = (
            ("semicolons", "Save it with commas, or as TSV")
            if other == ";"
            else ("tabs", "Call it .tsv, or save it with commas")
        )
        raise DataError(
            f"{path}:1: not CSV: {found} separate the columns instead of commas: "
            f"{first[:60]!r}. {way}."
        )
    if kind == "jsonl":
        keys = tuple(first_object(lines))
        return Format(path, kind, len(lines), keys, chosen=chosen_of(keys, names), first=keys)
    quoted, odd = quoting(lines) if kind == "tsv" else (False, 0)
    form = Format(path, kind, len(lines), (), quoted=quoted, odd=odd)
    begins, row = next(rows_of(lines if form.quoted else lines[:50], form), (1, []))
    cells = tuple(cell.strip() for cell in row)
    chosen = chosen_of(cells, names)
    return replace(with_header(form, cells, chosen is not None), chosen=chosen, begins=begins)


def with_header(form: Format, first: tuple[str, ...], header: bool) -> Format:
    """Return the Format of a file with or without a header in its first row."""
    columns = first if header else tuple(str(number + 1) for number in range(len(first)))
    lines = form.lines + form.header - header
    return replace(form, columns=columns, header=header, first=first, lines=lines)


def chosen_of(columns: Sequence[str], names: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the first of `names` that are all among the columns, as the columns spell them."""
    written = {column.lower(): column for column in columns}
    return next(
        (
            tuple(written[one.lower()] for one in several)
            for several in names
            if {one.lower() for one in several} <= set(written)
        ),
        None,
    )


def is_header(row: Sequence[str], form: Format) -> bool:
    """Tell whether a row is the header, or the header repeated."""
    return len(row) == len(form.first) and all(
        cell.strip() == name for cell, name in zip(row, form.first, strict=True)
    )


def rows_of(lines: list[str], form: Format) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every row of a TSV or CSV."""
    if form.kind == "tsv" and not form.quoted:  # no cell contains a tab
        yield from ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line)
        return
    sign = "\t" if form.kind == "tsv" else ","
    reader = csv.reader(io.StringIO("\n".join(lines)), strict=True, delimiter=sign)
    number = 1
    try:
        for row in reader:
            if row:
                yield number, row
            number = reader.line_num + 1
    except csv.Error as problem:
        raise DataError(
            f"{form.path}:{number}: not CSV ({problem}). Quote texts that hold commas or quotes."
        ) from None


def _all_tabs(lines: list[str]) -> bool:
    counts = {line.count("\t") for line in lines if line}
    return bool(counts) and min(counts) >= 1
