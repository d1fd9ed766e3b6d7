"""Read what is indexed: a folder of texts, a table (CSV, TSV, JSONL), or a query on SQLite."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...data.example import Notify
from ...data.formats.choosing import HEADER, Columns
from ...data.formats.columns import TEXTS, records
from ...data.formats.headers import NAMES
from ...data.formats.lines import conversion, decode_text, read_bytes
from ...errors import DataError, UsageError, unknown
from ...messages import message
from ..search_index import LONGEST_PASSAGE, SHOWN, is_document, passages_of

SQLITE = b"SQLite format 3\0"
TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".xlsx", ".xlsm")


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold a passage as it was read.

    start: its first character in the file, or in the row. line: of its first character, or of its
    row, from 1.
    """

    line: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Describe a file that can be read.

    Args:
        name: What answers call it.
        path: Where it is.
        bytes: Its size.
        mtime_ns: When it was last written.
        digest: Computes its SHA-256.
        pieces: Reads its passages. Raises DataError where it cannot be read.
    """

    name: str
    path: Path
    bytes: int
    mtime_ns: int
    digest: Callable[[], str]
    pieces: Callable[[], list[Piece]]


@dataclass(frozen=True, slots=True)
class Source:
    """Say what is indexed, and how it is read.

    Args:
        path: A folder, a text, a table, or an SQLite database.
        columns: Field -> column of a table, as data.columns of a recipe.
        encoding: Of a table, if it is not UTF-8.
        query: The SELECT that gives the rows of a database.
        longest: Characters of the longest passage.
    """

    path: Path
    columns: Columns | None = None
    encoding: str | None = None
    query: str | None = None
    longest: int = LONGEST_PASSAGE

    def reading(self) -> dict[str, object]:
        """Return what decides what is read, beside the files."""
        return {
            "columns": None if self.columns is None else dict(self.columns),
            "encoding": self.encoding,
            "query": self.query,
            "longest": self.longest,
        }

    @property
    def is_database(self) -> bool:
        try:
            with self.path.open("rb") as file:
                return file.read(len(SQLITE)) == SQLITE
        except OSError:
            return False

    @property
    def rows(self) -> bool:
        """Tell whether passages are rows of a table."""
        return not self.path.is_dir() and not is_document(self.path)


def files_of(source: Source, report: Notify, without: Path | None = None) -> list[SourceFile]:
    """Return the files of a source, in the order of their names.

    Args:
        source: What is indexed.
        report: Receives a sentence about files that are not read, and about guessed columns.
        without: A folder that is not read, the index itself.

    Raises:
        UsageError: There is no such source, or an option does not fit it.
        DataError: A database cannot be read.
    """
    path = source.path
    if not path.exists():
        raise UsageError(
            "There is no {path} to index. Name a folder, a table (CSV, TSV, JSONL) or an SQLite "
            "database.",
            path=path,
        )
    if source.query is not None and not source.is_database:
        raise UsageError(
            "--query reads an SQLite database, and {path} is not one. Leave it out.", path=path
        )
    if source.is_database:
        return [_database(source)]
    if source.rows:
        refuse_fields(source.columns)
        return [_table(source, report)]
    if source.columns is not None:
        raise UsageError(
            "--columns names columns of a table, and {path} holds texts. Leave it out.", path=path
        )
    found = [path] if path.is_file() else _documents(path, report, without)
    root = path.parent if path.is_file() else path
    return [_document(one, str(one.relative_to(root)), source) for one in found]


def _documents(root: Path, report: Notify, without: Path | None) -> list[Path]:
    inside = None if without is None else without.resolve()
    files = [
        one
        for one in sorted(root.rglob("*"))
        if one.is_file() and (inside is None or inside not in one.resolve().parents)
    ]
    others = [one for one in files if not one.name.startswith(".") and not is_document(one)]
    if others:
        names = ", ".join(str(one.relative_to(root)) for one in others[:SHOWN])
        more = len(others) - SHOWN
        report(
            message(
                "{count:,} files of {root} are not read, because only .txt and .md are, plain or "
                ".gz: {names}",
                count=len(others),
                root=root,
                names=message("{names} and {count:,} more.", names=names, count=more)
                if more > 0
                else f"{names}.",
            )
        )
    return [one for one in files if is_document(one)]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            "{path} cannot be read: {reason}.", path=path, reason=error.strerror or error
        ) from None


def _document(path: Path, name: str, source: Source) -> SourceFile:
    about = path.stat()

    def pieces() -> list[Piece]:
        raw = read_bytes(path)
        text = decode_text(raw, str(path), source.encoding, advise=conversion)
        return _cut(name, text, 1, source.longest, counts_lines=True)

    return SourceFile(name, path, about.st_size, about.st_mtime_ns, lambda: _sha256(path), pieces)


def _cut(name: str, text: str, line: int, longest: int, counts_lines: bool) -> list[Piece]:
    """Cut a text into passages, with the line of each, or that of their row."""
    found, seen = [], 0
    for one in passages_of(name, text, longest):
        if counts_lines:
            line += text.count("\n", seen, one.start)
            seen = one.start
        found.append(Piece(line, one.start, one.text))
    return found


# Tables and databases -----------------------------------------------------------------------------


def refuse_fields(columns: Columns | None) -> None:
    for field in columns or {}:
        if field not in (*TEXTS, HEADER):
            raise unknown("field", field, (*TEXTS, HEADER), "in --columns of an index")


def needs_of(columns: Columns | None) -> tuple[str, ...]:
    """Return the fields that are read of a row: a text, and a second one if it is named."""
    return TEXTS if columns is not None and "text_pair" in columns else ("text",)


def _table(source: Source, report: Notify) -> SourceFile:
    path = source.path
    about = path.stat()

    def pieces() -> list[Piece]:
        needs = needs_of(source.columns)
        found: list[Piece] = []
        for one in records(path, source.columns, needs, report, encoding=source.encoding):
            parts = [one.text or "", one.text_pair or ""][: len(needs)]
            line = int(one.place.rsplit(":", 1)[1])
            found += _cut(path.name, "\n".join(parts), line, source.longest, counts_lines=False)
        return found

    return SourceFile(
        path.name, path, about.st_size, about.st_mtime_ns, lambda: _sha256(path), pieces
    )


def _database(source: Source) -> SourceFile:
    """Return a database as a file whose content are the rows of the query."""
    path, query = source.path, source.query
    if query is None:
        raise UsageError(
            '{path} is an SQLite database: say what is indexed, for example --query "SELECT body '
            'FROM notes".',
            path=path,
        )
    refuse_fields(source.columns)
    rows = list(_rows(path, query, source.columns))
    content = json.dumps(rows, ensure_ascii=False).encode("utf-8", "replace")

    def pieces() -> list[Piece]:
        return [
            piece
            for number, text in enumerate(rows, 1)
            for piece in _cut(path.name, text, number, source.longest, counts_lines=False)
        ]

    # The time of the file does not tell a change that is still in a write-ahead log.
    digest = hashlib.sha256(content).hexdigest()
    return SourceFile(path.name, path, len(content), -1, lambda: digest, pieces)


def _rows(path: Path, query: str, columns: Columns | None) -> Iterator[str]:
    """Yield the text of each row. Nothing is written: the database is opened read-only."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            answer = database.execute(query)
            if answer.description is None:
                raise UsageError("--query {query!r} gives no rows. Write a SELECT.", query=query)
            names = [one[0] for one in answer.description]
            places = _places(path, names, columns)
            for number, row in enumerate(answer, 1):
                yield "\n".join(_cell(path, number, names[place], row[place]) for place in places)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise DataError(
            "{path}: the query cannot be answered ({error}).", path=path, error=error
        ) from None


def _cell(path: Path, number: int, name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        raise DataError(
            "{path}: row {number}: the column {name} holds bytes, not a text. Name another in "
            "--query or --columns.",
            path=path,
            number=number,
            name=name,
        )
    return str(value)


def _places(path: Path, names: Sequence[str], columns: Columns | None) -> list[int]:
    """Return the columns of a query that are read: those named, the usual one, or the only one."""
    if columns is None:
        usual = [place for place, name in enumerate(names) if name.lower() in NAMES["text"]]
        if len(names) > 1 and not usual:
            raise UsageError(
                "{path}: the query gives the columns {names}. Select one of them, or name it: "
                "--columns text={first}.",
                path=path,
                names=", ".join(names),
                first=names[0],
            )
        return usual[:1] or [0]
    found: list[int] = []
    for field in needs_of(columns):
        given = str(columns.get(field, ""))
        if given in names:
            found.append(names.index(given))
        elif given.isdecimal() and 1 <= int(given) <= len(names):
            found.append(int(given) - 1)
        else:
            raise UsageError(
                "{path}: the query has no column {given!r}; it gives {names}.",
                path=path,
                given=given or field,
                names=", ".join(names),
            )
    return found
