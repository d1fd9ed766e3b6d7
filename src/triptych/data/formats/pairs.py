"""Users' files to Examples: two aligned text files, TSV, CSV or JSONL, plain or gzipped; sniffed,
and echoed back.

A line ends at "\\n" and nowhere else: U+2028 and its kin are text. What is wrong is said with file
and line. A byte order mark (U+FEFF) at the beginning of a line is what files that were put together
leave behind: it is no text.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from ...errors import DataError
from ..example import Example
from .json_lines import first_object, is_object, object_of, text_of
from .quoting import quoting

if TYPE_CHECKING:
    from .choosing import Choice, Remark

Kind = Literal["text", "tsv", "csv", "jsonl"]
FIELDS = ("source", "target")  # of columns and keys, unless told otherwise
MARK = "\ufeff"  # the byte order mark
LONGEST_LINE = 20_000  # characters; a longer line is no sentence (`data check` lists them)
LONGEST_LINE_BYTES = 64 << 20  # of a compressed file; of a file that is one document, the next
LONGEST_DOCUMENT_BYTES = 1 << 30
PIECE_BYTES = 1 << 20
csv.field_size_limit(1_000_000_000)


@dataclass(frozen=True, slots=True)
class Format:
    """What a file turned out to be."""

    path: Path
    kind: Kind
    lines: int
    columns: tuple[str, ...]  # names where there is a header or keys, else numbers
    header: bool = False
    # the columns or keys that hold what is wanted, where their names say so
    chosen: tuple[str, ...] | None = None
    first: tuple[str, ...] = ()  # cells of the first row, or keys of the first object
    begins: int = 1  # the line of the first row
    quoted: bool = False  # a TSV quoted as CSV is
    odd: int = 0  # the line whose quotation marks are at odds with those before it

    def __str__(self) -> str:
        names = {"text": "plain text", "tsv": "TSV", "csv": "CSV", "jsonl": "JSONL"}[self.kind]
        names += " quoted as CSV is" if self.quoted else ""
        columns = "" if self.kind == "text" else f", columns {', '.join(self.columns)}"
        return f"{self.path.name}: {names}{columns}, {self.lines:,} lines, UTF-8"


@dataclass(frozen=True, slots=True)
class Files:
    """One part of a data set: two aligned files, or one file with two columns or keys.

    fields: the names of those columns or keys, or their numbers ("1", "2") in a file without a
        header.
    columns: the same by field, as `data.columns` has them; languages: of the two sides, which a
        header may name.
    """

    source: str | Path
    target: str | Path | None = None
    fields: tuple[str, str] = FIELDS
    columns: Mapping[str, str | int] | None = None
    languages: tuple[str | None, str | None] = (None, None)


def read_bytes(
    path: str | Path, longest: int = LONGEST_LINE_BYTES, gzipped: bool | None = None
) -> bytes:
    """Read a file, decompressed where it ends in .gz.

    Args:
        longest: The most bytes of one line of what is decompressed, or of what is no regular file
            (a pipe, a device): a few bytes of gzip can stand for gigabytes, and a device never
            ends. A regular file is as large as its owner sees.
        gzipped: Whether it is compressed, where its name does not say so.

    Raises:
        DataError: It cannot be read, or one of its lines is too long.
    """
    path = Path(path)
    gzipped = path.suffix == ".gz" if gzipped is None else gzipped
    with readable(path):
        if not gzipped and (path.is_file() or path.is_dir()):
            return path.read_bytes()
        with gzip.open(path, "rb") if gzipped else open(path, "rb") as file:
            return _bounded(file, path, longest)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise DataError for what the system, or a damaged gzip file, raises while `path` is read."""
    try:
        yield
    except FileNotFoundError:
        raise missing(path) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a file in it.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise DataError(f"{path} is not a whole gzip file ({problem}). Copy it again.") from None
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror or problem}.") from None


def _bounded(file: IO[bytes] | gzip.GzipFile, path: Path, longest: int) -> bytes:
    """Everything in `file`, read in pieces. Raises DataError at the first line that is longer than
    `longest` bytes.
    """
    parts: list[bytes] = []
    held = 0  # bytes of the line that is being read
    while part := file.read(PIECE_BYTES):
        parts.append(part)
        first = part.find(b"\n")
        held += len(part) if first < 0 else first
        if held > longest:
            number = sum(one.count(b"\n") for one in parts[:-1]) + 1
            raise DataError(
                f"{path}:{number}: the line has over {longest:,} bytes. If that is right, "
                "decompress the file first (gunzip); otherwise it is damaged or made to fill the "
                "memory."
            )
        if first >= 0:
            held = len(part) - part.rfind(b"\n") - 1
    return b"".join(parts)


def missing(path: Path) -> DataError:
    """What is said of a file that is not there."""
    return DataError(
        f"There is no file {path}. Check the path; it is taken from the folder you are in, in a "
        "recipe from its own."
    )


def lines_of(path: str | Path, report: Callable[[str], None] | None = None) -> list[str]:
    """Read the lines of a UTF-8 text file, without their ends.

    Args:
        path: The file, plain or gzipped.
        report: Gets a sentence on byte order marks inside the file, if there are any.

    Raises:
        DataError: Names the first line that is not UTF-8.
    """
    return decode_lines(read_bytes(path), str(path), report)


def marked_lines(raw: bytes) -> list[int]:
    """Return the numbers of the lines after the first that begin with a byte order mark."""
    mark = MARK.encode()
    if mark not in raw[1:]:
        return []
    return [
        number
        for number, line in enumerate(raw.split(b"\n"), 1)
        if number > 1 and line.startswith(mark)
    ]


def not_utf8(place: str, byte: int, utf16: bool = False) -> DataError:
    """What is said of a byte that is no UTF-8."""
    return DataError(
        f"{place}: byte 0x{byte:02X} is not UTF-8. Convert the file (for example: iconv -f "
        f"{'utf-16' if utf16 else 'latin1'} -t utf-8), or list all such lines with: triptych data "
        "check."
    )


def decode_lines(raw: bytes, where: str, report: Callable[[str], None] | None = None) -> list[str]:
    """The lines of a file's content; `where` is what an error calls it, `report` gets what
    `lines_of` says of marks.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise not_utf8(
            f"{where}:{line}", raw[problem.start], raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        ) from None
    lines = text.split("\n")
    if MARK in text:
        lines = [line.lstrip(MARK) for line in lines]
        tell_marks(where, marked_lines(raw) if report is not None else [], report)
    if lines and lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def tell_marks(where: str, marked: Sequence[int], report: Callable[[str], None] | None) -> None:
    """Report the lines that begin with a byte order mark."""
    if report is not None and marked:
        several = f"{len(marked):,} byte order marks" if len(marked) > 1 else "a byte order mark"
        first = f"the first in line {marked[0]:,}" if len(marked) > 1 else f"in line {marked[0]:,}"
        report(
            f"{where}: {several} inside the file ({first}), where files were put together; left "
            "out."
        )


def sniff(path: str | Path, names: Sequence[tuple[str, ...]] = (FIELDS,)) -> Format:
    """What kind of file this is: by its name, then by its first lines. names: of columns or keys to
    look for, in turn.
    """
    return sniffed(Path(path), lines_of(path), names)


def sniffed(path: Path, lines: list[str], names: Sequence[tuple[str, ...]]) -> Format:
    """`sniff` of a file that has been read."""
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    first = next((line for line in lines if line.strip()), "")
    kind: Kind = "text"
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
            f"{path}:1: not CSV: {found} stand between the columns, where commas should: "
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
    """The Format of a file whose first row is a header, or is not."""
    columns = first if header else tuple(str(number + 1) for number in range(len(first)))
    lines = form.lines + form.header - header
    return replace(form, columns=columns, header=header, first=first, lines=lines)


def chosen_of(columns: Sequence[str], names: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The first of `names` that are all there, as they are written there."""
    written = {column.lower(): column for column in columns}
    return next(
        (
            tuple(written[one.lower()] for one in several)
            for several in names
            if {one.lower() for one in several} <= set(written)
        ),
        None,
    )


def read(files: Files, source_language: str | None = None, target_language: str | None = None,
         report: Callable[[str], None] | None = None) -> list[Example]:  # fmt: skip
    """All pairs that have text on both sides. `report` is told what the files are and how many
    lines were passed over.

    Raises DataError naming file and line of the first thing that cannot be read.
    """
    tell = report or (lambda message: None)
    examples, empty, long = [], 0, 0
    for place, source, target in records(files, source_language, target_language, tell):
        if not source.strip() or not target.strip():
            empty += 1
        elif len(source) > LONGEST_LINE or len(target) > LONGEST_LINE:
            long += 1
        else:
            examples.append(
                Example(source.strip(), target.strip(), source_language, target_language, place)
            )
    if empty:
        tell(
            f"{Path(files.source).name}: {empty:,} pairs with an empty side are left out; "
            "triptych data check lists them."
        )
    if long:
        tell(
            f"{Path(files.source).name}: {long:,} pairs with a line over {LONGEST_LINE:,} "
            "characters are left out."
        )
    return examples


def stop(place: str, reason: str) -> None:
    """What a reader does about something wrong, unless told to go on."""
    raise DataError(f"{place}: {reason}")


def records(
    files: Files, source_language: str | None = None, target_language: str | None = None,
    tell: Callable[[str], None] = lambda message: None, wrong: Callable[[str, str], None] = stop,
    remark: Callable[[Remark], None] | None = None,
) -> Iterator[tuple[str, str, str]]:  # fmt: skip
    """(place, source, target) of every line, also of empty ones; `wrong` gets the place and reason
    of what cannot be one.

    A header or keys with the two languages' codes ("en", "de") or names serve as well as `source`
    and `target`. remark: what is guessed; it is told unless another way is given.
    """
    path, name = Path(files.source), Path(files.source).name
    lines = lines_of(path, tell)
    if files.target is not None:
        other = Path(files.target)
        others = lines_of(other, tell)
        for one, its in ((path, lines), (other, others)):
            tell(str(Format(one, "text", len(its), ())))
        if len(lines) != len(others):
            wrong(
                str(path if len(lines) < len(others) else other),
                (
                    f"unequal line counts: {path} has {len(lines):,} lines and {other} has "
                    f"{len(others):,}; line n of one must translate line n of the other. From "
                    f"line {min(len(lines), len(others)) + 1:,} on one side is missing."
                ),
            )
        yield from (
            (f"{name}:{number}", *pair)
            for number, pair in enumerate(zip(lines, others, strict=False), 1)
        )
        return
    form, choice = layout_of(files, lines, (source_language, target_language))
    tell(str(form))
    if form.kind == "text":
        raise DataError(
            f"{path} has one text a line and no second column. Name the other side's file too "
            "(target)."
        )
    for one in choice.remarks:
        (remark or (lambda found: tell(str(found))))(one)
    pairs = (
        _objects(lines, form, choice, wrong)
        if form.kind == "jsonl"
        else body_of(lines, form, choice, FIELDS, wrong)
    )
    yield from ((f"{name}:{number}", one, other) for number, (one, other) in pairs)


def layout_of(
    files: Files, lines: list[str], languages: tuple[str | None, str | None] = (None, None)
) -> tuple[Format, Choice]:
    """What one file with both sides is, and which of its columns or keys are read."""
    from .choosing import Choice, choose, of_fields

    given, path = languages[0] or files.languages[0], Path(files.source)
    spoken = given, languages[1] or files.languages[1]
    columns = (
        files.columns
        if files.fields == FIELDS or files.columns
        else of_fields(files.fields, FIELDS)
    )
    names = [FIELDS, *([(spoken[0], spoken[1])] if spoken[0] and spoken[1] else [])]
    form = sniffed(path, lines, [])
    choice = (
        choose(form, lines, FIELDS, names, columns, spoken) if form.kind != "text" else Choice(())
    )
    return with_header(form, form.first, choice.header) if form.kind in (
        "tsv",
        "csv",
    ) else form, choice


def _objects(
    lines: list[str], form: Format, choice: Choice, wrong: Callable[[str, str], None]
) -> Iterator[tuple[int, list[str]]]:
    first, second = map(str, choice.columns)
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                values = object_of(line)
                texts = [text_of(values, first), text_of(values, second)]
            except ValueError as problem:
                wrong(f"{form.path}:{number}", str(problem))
            else:
                yield number, texts


def body_of(
    lines: list[str],
    form: Format,
    choice: Choice,
    needs: Sequence[str],
    wrong: Callable[[str, str], None],
) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells of the chosen columns) of every row but the header, wherever it is."""
    places = [int(place) for place in choice.columns]
    sign = {"tsv": "a tab", "csv": "a comma"}[form.kind]
    for number, row in rows_of(lines, form):
        if choice.header and (number == form.begins or is_header(row, form)):
            continue
        if len(row) <= max(places):
            named = "" if tuple(needs) == FIELDS else f" ({', '.join(needs)})"
            wrong(
                f"{form.path}:{number}",
                f"{len(row)} column(s), at least {max(places) + 1} are needed{named}, with {sign} "
                "between them.",
            )
        else:
            yield number, [row[place] for place in places]


def is_header(row: Sequence[str], form: Format) -> bool:
    """Whether a row is the first one, or the same once more."""
    return len(row) == len(form.first) and all(
        cell.strip() == name for cell, name in zip(row, form.first, strict=True)
    )


def rows_of(lines: list[str], form: Format) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every row of a TSV or CSV."""
    if form.kind == "tsv" and not form.quoted:  # a tab never stands inside a text
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
