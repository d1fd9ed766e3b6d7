"""Read JSONL and JSON lists record by record, each tool by a `RecordForm`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ....errors import DataError
from ..json_lines import FIRST_LINES, brief, damage
from ..lines import decode_text
from .foreign_file import ForeignFile, at_their_lines, own_line

Record = dict[str, object]
BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:(\{)|\[\s*([\]{\[]))")  # an object, or a list of them
BETWEEN = re.compile(r"\s*(,?)\s*")  # between two items of a JSON list


class Unusable(Exception):
    """Say why a record cannot be used: "without a label"."""

    @property
    def reason(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class OwnRecords:
    """Hold the records of a tool as records of our own.

    kind: what the file is, as in `ForeignFile`. records: one for each record of the file, or why it
    is left out. notes: sentences on what is not read.
    """

    kind: str
    records: Sequence[Record | Unusable]
    notes: Sequence[str] = field(default_factory=tuple[str, ...])


@dataclass(frozen=True, slots=True)
class RecordForm:
    """Describe the records of one tool.

    knows: tells a record of this tool; one of the first records of a file decides. own: writes all
    records of the file as our own.
    """

    knows: Callable[[object], bool]
    own: Callable[[Sequence[object]], OwnRecords]


def each(own: Callable[[object], Record], records: Sequence[object]) -> list[Record | Unusable]:
    """Write each record as our own, where it is not `Unusable`."""
    found: list[Record | Unusable] = []
    for record in records:
        try:
            found.append(own(record))
        except Unusable as problem:
            found.append(problem)
    return found


def read_forms(path: Path, raw: bytes, forms: Sequence[RecordForm]) -> ForeignFile | None:
    """Read a file whose first records one of `forms` knows, or any JSON list of objects.

    Raises DataError naming the line of damaged JSON, and of an item that is not an object.
    """
    begins = BEGINS.match(raw)
    if begins is None:
        return None
    text, where = decode_text(raw, str(path)), str(path)
    numbered = _lines(text, where) if begins[1] else items(text, where)
    try:
        first = list(islice(numbered, FIRST_LINES))
    except DataError:  # one object over several lines, or a text that begins like a list
        if begins[2] in (b"{", b"]"):
            raise
        return None
    form = next((one for one in forms if any(one.knows(value) for _, value in first)), None)
    if form is None and begins[2] not in (b"{", b"]"):
        return None
    found = [*first, *numbered]
    if form is None:
        objects = [_object(value, f"{path}:{number}") for number, value in found]
        return as_file(OwnRecords("a JSON list", objects), found)
    return as_file(form.own([value for _, value in found]), found)


def as_file(
    own: OwnRecords, found: Sequence[tuple[int, object]], counted: bool = False
) -> ForeignFile:
    """Write a file's records as lines of JSONL.

    found: the line of each record, and its value. counted: True if the line numbers count records.
    """
    lines, numbered = at_their_lines(
        (number, "" if isinstance(one, Unusable) else own_line(one))
        for (number, _), one in zip(found, own.records, strict=True)
    )
    file = ForeignFile(own.kind, lines, numbered or counted, notes=list(own.notes))
    for count, ((number, _), one) in enumerate(zip(found, own.records, strict=True), 1):
        if isinstance(one, Unusable):
            place = f"record {count}" if numbered or counted else f"line {number}"
            file.leave_out(one.reason, place)
    return file


def _object(value: object, place: str) -> Record:
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected a JSON object in the list, got {brief(value)}.")
    return value


def _lines(text: str, where: str) -> Iterator[tuple[int, object]]:
    """Yield the value of each line that is not empty, with its number."""
    for number, line in enumerate(_split(text), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as problem:
                raise DataError(f"{where}:{number}: {damage(line, problem)}") from None


def _split(text: str) -> Iterable[str]:
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


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
