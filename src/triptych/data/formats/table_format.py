"""Detect the format of a user's file (text, TSV, CSV, JSONL), and read its columns and rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...errors import DataError
from ...messages import Message, message
from .foreign.own_lines import OwnFile, own_file
from .json_lines import first_object, is_object
from .quoting import quoting

FileKind = Literal["text", "tsv", "csv", "jsonl"]
SIGNS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
FIELDS = ("source", "target")  # default names of columns and keys
WORKBOOKS = (".xlsx", ".xlsm")  # read as CSV
ROWS_JUDGED = 200  # that decide which character separates the columns
RETURN = "\r"
# Noncharacters of Unicode, one of which stands for a carriage return while the module csv reads.
_NEVER = [chr(code) for code in range(0xFDD0, 0xFDF0)]
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
    sign: str = "\t"  # what separates the columns
    skipped: int = 0  # lines before the table: Excel's sep=;


def described(form: Format, file: OwnFile) -> Message:
    """Say what a file is read as: a text file by its lines and encoding, another by its records."""
    kinds = {"text": message("plain text"), "tsv": "TSV", "csv": "CSV", "jsonl": "JSONL"}
    listed = message(", columns {names}", names=", ".join(form.columns))
    columns = "" if form.kind == "text" else listed
    if file.is_foreign:
        return message(
            "{file}: {count:,} records{columns}",
            file=form.path.name,
            count=_records(form, file.lines),
            columns=columns,
        )
    more = message(" quoted as CSV is") if form.quoted else ""
    if form.kind == "csv" and form.sign != ",":
        more = message(" with {sign} between columns", sign=SIGNS[form.sign])
    return message(
        "{file}: {kind}{more}{columns}, {lines:,} lines, {encoding}",
        file=form.path.name,
        kind=kinds[form.kind],
        more=more,
        columns=columns,
        lines=form.lines,
        encoding=file.encoding,
    )


def _records(form: Format, lines: Sequence[str]) -> int:
    if form.kind in ("csv", "tsv"):
        return sum(1 for _ in rows_of(lines, form)) - form.header
    return sum(1 for line in lines if line.strip())


def sniff(
    path: str | Path,
    names: Sequence[tuple[str, ...]] = (FIELDS,),
    encoding: str | None = None,
) -> Format:
    """Detect the format of a file by its name, then by its first lines.

    names: names of columns or keys to look for, in order of preference.
    """
    return sniffed(Path(path), own_file(path, encoding=encoding).lines, names)


def sniffed(path: Path, lines: Sequence[str], names: Sequence[tuple[str, ...]]) -> Format:
    """Detect the format of a file that has been read. See `sniff`."""
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    first = next((line for line in lines if line.strip()), "")
    kind: FileKind = "text"
    if suffix in (".jsonl", ".ndjson") or (
        suffix not in (".tsv", ".csv") and first.startswith("{") and is_object(first)
    ):
        kind = "jsonl"
    elif suffix in (".csv", *WORKBOOKS):
        kind = "csv"
    elif suffix in (".tsv", ".tab") or _all_tabs(lines[:50]):
        kind = "tsv"
    if kind == "text":
        return Format(path, kind, len(lines), ())
    if kind == "jsonl":
        keys = tuple(first_object(lines))
        return Format(path, kind, len(lines), keys, chosen=chosen_of(keys, names), first=keys)
    quoted, odd = quoting(lines) if kind == "tsv" else (False, 0)
    sign, skipped = separator(lines[:ROWS_JUDGED]) if kind == "csv" else ("\t", 0)
    sign = "," if suffix in WORKBOOKS else sign
    form = Format(
        path, kind, len(lines) - skipped, (), quoted=quoted, odd=odd, sign=sign, skipped=skipped
    )
    begins, row = next(rows_of(lines if form.quoted else lines[:50], form), (1, []))
    cells = tuple(cell.strip() for cell in row)
    chosen = chosen_of(cells, names)
    return replace(with_header(form, cells, chosen is not None), chosen=chosen, begins=begins)


def separator(lines: Sequence[str]) -> tuple[str, int]:
    """Return the character between the columns of a CSV, and the number of lines before them.

    It is the one that Excel's first line names (`sep=;`), else the one that cuts the most rows into
    as many columns as the first has. Of two such a comma in prose (before a space) or in a number
    (between digits) separates less often; then a comma, the usual one.
    """
    named = re.fullmatch(r'"?sep=(.)"?\s*', lines[0]) if lines else None
    if named is not None and named[1] in SIGNS:
        return named[1], 1
    shares: dict[str, tuple[float, bool]] = {}
    for sign in SIGNS:
        widths = [len(row) for _, row in csv_rows(lines, sign, strict=False) if row]
        if widths and widths[0] > 1:
            text = "\n".join(lines)
            plain = len(re.findall(r",(?=\s\S)|(?<=\d),(?=\d)", text)) * 2 <= text.count(",")
            shares[sign] = widths.count(widths[0]) / len(widths), sign != "," or plain
    return max(shares, key=shares.__getitem__, default=","), 0


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


def rows_of(lines: Sequence[str], form: Format) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every row of a TSV or CSV."""
    if form.kind == "tsv" and not form.quoted:  # no cell contains a tab
        yield from ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line)
        return
    number = 1 + form.skipped
    try:
        for read, row in csv_rows(lines[form.skipped :], form.sign):
            if row:
                yield number, row
            number = read + 1 + form.skipped
    except csv.Error as problem:
        raise DataError(
            f"{form.path}:{number}: not CSV ({problem}). Quote texts that hold "
            f"{SIGNS[form.sign]} or quotes."
        ) from None


def csv_rows(
    lines: Sequence[str], sign: str, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Yield (lines read so far, cells) of every row of CSV, also of empty lines.

    A carriage return that does not end a line belongs to its cell, quoted or not.
    """
    text = "\n".join(lines)
    kept = next(one for one in _NEVER if one not in text) if RETURN in text else ""
    reader = csv.reader(
        io.StringIO(text.replace(RETURN, kept) if kept else text), strict=strict, delimiter=sign
    )
    for row in reader:
        yield reader.line_num, [cell.replace(kept, RETURN) for cell in row] if kept else row


def _all_tabs(lines: Sequence[str]) -> bool:
    counts = {line.count("\t") for line in lines if line}
    return bool(counts) and min(counts) >= 1
