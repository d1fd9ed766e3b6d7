"""Users' files to Examples: two aligned text files, TSV, CSV or JSONL, plain or gzipped; sniffed, and echoed back.

A line ends at "\\n" and nowhere else: U+2028 and its kin are text. What is wrong is said with file and line.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import DataError
from .example import Example

Kind = Literal["text", "tsv", "csv", "jsonl"]
LONGEST_LINE = 20_000  # characters; a longer line is no sentence (`data check` lists them)
csv.field_size_limit(1_000_000_000)


@dataclass(frozen=True, slots=True)
class Format:
    """What a file turned out to be."""

    path: Path
    kind: Kind
    lines: int
    columns: tuple[str, ...]  # names where there is a header or keys, else numbers
    header: bool = False

    def __str__(self) -> str:
        names = {"text": "plain text", "tsv": "TSV", "csv": "CSV", "jsonl": "JSONL"}[self.kind]
        columns = "" if self.kind == "text" else f", columns {', '.join(self.columns)}"
        return f"{self.path.name}: {names}{columns}, {self.lines:,} lines, UTF-8"


@dataclass(frozen=True, slots=True)
class Files:
    """One part of a data set: two aligned files, or one file with two columns or keys."""

    source: str | Path
    target: str | Path | None = None
    fields: tuple[str, str] = ("source", "target")


def read_bytes(path: str | Path) -> bytes:
    """A file's content, decompressed where it ends in .gz. Raises DataError where it cannot be read."""
    path = Path(path)
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError:
        raise DataError(f"There is no file {path}. Check the path; it is taken from the folder you are in.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a file in it.") from None
    except (gzip.BadGzipFile, EOFError) as problem:
        raise DataError(f"{path} is not a whole gzip file ({problem}). Copy it again.") from None
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror or problem}.") from None


def lines_of(path: str | Path) -> list[str]:
    """The lines of a UTF-8 text file, without their ends. Raises DataError naming the first line that is not UTF-8."""
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise DataError(
            f"{path}:{line}: byte 0x{raw[problem.start]:02X} is not UTF-8. Convert the file (for example: iconv -f latin1 -t utf-8), "
            "or list all such lines with: triptych data check."
        ) from None
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def sniff(path: str | Path) -> Format:
    """What kind of file this is: by its name, then by its first lines."""
    path = Path(path)
    lines = lines_of(path)
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    first = next((line for line in lines if line.strip()), "")
    kind: Kind = "text"
    if suffix in (".jsonl", ".ndjson") or (suffix not in (".tsv", ".csv") and first.startswith("{") and _is_object(first)):
        kind = "jsonl"
    elif suffix == ".csv":
        kind = "csv"
    elif suffix in (".tsv", ".tab") or _all_tabs(lines[:50]):
        kind = "tsv"
    if kind == "jsonl":
        return Format(path, kind, len(lines), tuple(_object(first, path, 1)) if first else ())
    if kind == "text":
        return Format(path, kind, len(lines), ())
    row = next(_rows(lines[:50], kind, path), (0, []))[1]
    header = bool(row) and {"source", "target"} <= {cell.strip().lower() for cell in row}
    columns = tuple(cell.strip() for cell in row) if header else tuple(str(number + 1) for number in range(len(row)))
    return Format(path, kind, len(lines) - header, columns, header)


def read(files: Files, source_language: str | None = None, target_language: str | None = None,
         report: Callable[[str], None] | None = None) -> list[Example]:  # fmt: skip
    """All pairs that have text on both sides. `report` is told what the files are and how many lines were passed over."""
    tell = report or (lambda message: None)
    pairs = _parallel(files, tell) if files.target is not None else _columns(files, tell)
    examples, empty, long = [], 0, 0
    for place, source, target in pairs:
        if not source.strip() or not target.strip():
            empty += 1
        elif len(source) > LONGEST_LINE or len(target) > LONGEST_LINE:
            long += 1
        else:
            examples.append(Example(source.strip(), target.strip(), source_language, target_language, place))
    if empty:
        tell(f"{Path(files.source).name}: {empty:,} pairs with an empty side are left out; triptych data check lists them.")
    if long:
        tell(f"{Path(files.source).name}: {long:,} pairs with a line over {LONGEST_LINE:,} characters are left out.")
    return examples


def _parallel(files: Files, tell: Callable[[str], None]) -> Iterator[tuple[str, str, str]]:
    assert files.target is not None, "parallel files need a target"
    for path in (files.source, files.target):
        tell(str(sniff(path)))
    sources, targets = lines_of(files.source), lines_of(files.target)
    if len(sources) != len(targets):
        raise DataError(
            f"{files.source} has {len(sources):,} lines and {files.target} has {len(targets):,}; line n of one must translate line n of "
            f"the other. From line {min(len(sources), len(targets)) + 1:,} on one side is missing."
        )
    name = Path(files.source).name
    yield from ((f"{name}:{number}", *pair) for number, pair in enumerate(zip(sources, targets, strict=True), 1))


def _columns(files: Files, tell: Callable[[str], None]) -> Iterator[tuple[str, str, str]]:
    form = sniff(files.source)
    tell(str(form))
    name, lines = Path(files.source).name, lines_of(files.source)
    if form.kind == "text":
        raise DataError(f"{files.source} has one text a line and no second column. Name the other side's file too (target).")
    if form.kind == "jsonl":
        for number, line in enumerate(lines, 1):
            if line.strip():
                values = _object(line, form.path, number)
                yield (
                    f"{name}:{number}",
                    _text(values, files.fields[0], form.path, number),
                    _text(values, files.fields[1], form.path, number),
                )
        return
    names = [column.lower() for column in form.columns]
    first, second = (names.index(field.lower()) if field.lower() in names else place for place, field in enumerate(files.fields))
    for number, row in _rows(lines, form.kind, form.path):
        if form.header and number == 1:
            continue
        if row and len(row) <= max(first, second):
            raise DataError(f"{files.source}:{number}: {len(row)} column(s), at least {max(first, second) + 1} are needed.")
        if row:
            yield f"{name}:{number}", row[first], row[second]


def _rows(lines: list[str], kind: Kind, path: Path) -> Iterator[tuple[int, list[str]]]:
    if kind == "tsv":  # no quoting: a tab never stands inside a text
        yield from ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line)
        return
    reader = csv.reader(io.StringIO("\n".join(lines)), strict=True)
    number = 1
    try:
        for row in reader:
            yield number, row
            number = reader.line_num + 1
    except csv.Error as problem:
        raise DataError(f"{path}:{number}: not CSV ({problem}). Quote texts that hold commas or quotes.") from None


def _all_tabs(lines: list[str]) -> bool:
    counts = {line.count("\t") for line in lines if line}
    return bool(counts) and min(counts) >= 1


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _object(line: str, path: Path, number: int) -> dict[str, object]:
    try:
        values = json.loads(line)
    except ValueError as problem:
        raise DataError(f"{path}:{number}: not JSON ({problem}). JSONL holds one object a line.") from None
    if not isinstance(values, dict):
        raise DataError(f'{path}:{number}: JSON, but no object. Write {{"source": ..., "target": ...}}.')
    return values


def _text(values: dict[str, object], key: str, path: Path, number: int) -> str:
    if key not in values:
        raise DataError(f"{path}:{number}: the key '{key}' is missing; there are {', '.join(values)}.")
    value = values[key]
    if not isinstance(value, str):
        raise DataError(f"{path}:{number}: '{key}' is no text but {type(value).__name__}.")
    return value
