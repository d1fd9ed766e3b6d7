"""Read passages with questions and answers that are spans of them: SQuAD's JSON, JSONL, TSV, CSV.

SQuAD (Rajpurkar et al. 2016, 2018), plain, .gz or in a tar, is {"data": [{"title", "paragraphs":
[{"context", "qas": [{"id", "question", "answers": [{"text", "answer_start"}],
"is_impossible"}]}]}]}; `question_records.py` names other containers. A JSONL file holds one
question a line: {"question", "passage" or "context", "answers": [{"text", "start" or
"answer_start"}]}; a table has the columns question, passage, answer. An answer may be its text
alone. Offsets count characters; "27" and 27.0 are read as 27. A wrong offset is corrected if its
answer can be found (`answers.py`). A record without a question is left out and reported.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ..example import Example, Notify, OnProblem
from .answers import standing
from .choosing import Columns
from .foreign.own_lines import own_lines
from .json_lines import FIRST_LINES, brief, first_object, is_list, is_record
from .lines import LONGEST_DOCUMENT_BYTES, advice, as_utf8, read_bytes, stop
from .question_records import ANSWERS, PASSAGES, STARTS, LocatedQuestion, QuestionReader
from .question_tables import columns_of, table_questions
from .record_notes import RecordNotes
from .remarks import Remark

if TYPE_CHECKING:
    from ..table import DataTable

NAMED = 3  # places that a notice names
LINES, TARS = (".jsonl", ".ndjson"), (".tar", ".tgz")
TABLES = (".csv", ".tsv", ".tab", ".xlsx")
HEAD_BYTES = 1 << 20  # of a document, that show whether it is SQuAD's
NESTED = re.compile(rb'(?<!\\)"(?:paragraphs|qas)"\s*:\s*\[')


@dataclass(slots=True)
class QuestionCounts:
    """Collect the places of questions with moved, lost or empty parts while reading."""

    moved: list[str] = field(default_factory=list[str])
    recounted: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])
    empty: list[str] = field(default_factory=list[str])


def read(
    names: Sequence[str],
    data: DataTable,
    needs: Sequence[str] = (),
    report: Notify | None = None,
) -> list[Example]:
    """Read the questions of files with passages.

    Each has `place` = file#question-id and `source_language` = data.source. An empty list of
    answers means that the passage holds none. A question is left out if none of its answers can be
    found in its passage, and a record if it has no question. Raises DataError with file and line
    for what is damaged, or if no record of a file is a question.
    """
    found = [one for name in names for one in questions_in(name, data, report)]
    return usable(found, report, ", ".join(Path(name).name for name in names))


def questions_in(name: str, data: DataTable, report: Notify | None) -> list[LocatedQuestion]:
    """Return the questions of a file, and report what is left out. Raises as `read`."""
    notes = RecordNotes()

    def unusable(place: str, reason: str) -> None:
        notes.leave_out(place, reason.rstrip("."), f"{place}: {reason}")

    found = list(
        questions(
            name,
            data.source,
            unusable=unusable,
            columns=data.columns,
            encoding=data.encoding,
            remark=None if report is None else lambda one: report(str(one)),
        )
    )
    if notes.left_out and not found:
        notes.refuse_all(name, "questions")
    if report is not None:
        notes.tell(name, "questions", report)
    return found


def usable(
    found: Sequence[LocatedQuestion], report: Notify | None, what: str, is_span: bool = True
) -> list[Example]:
    """Return the Examples that can be learnt from, and report moved and lost answers.

    is_span: an answer must be in its passage; else any text will do.
    """
    counts, examples = QuestionCounts(), list[Example]()
    for one in found:
        example = one.example
        counts.moved += [example.place] * bool(one.moved and is_span)
        counts.recounted += [example.place] * bool(one.recounted and is_span)
        if not (example.question or "").strip() or not (example.passage or "").strip():
            counts.empty.append(example.place)
        elif one.lost and not (standing(example) if is_span else example.answers):
            counts.lost.append(example.place)
        else:
            examples.append(example)
    notify = report or _say_nothing
    if counts.moved:
        notify(
            f"{what}: answers of {_some(counts.moved)} are not at their offset. They were "
            "found near it, or in the only place of the passage that holds them."
        )
    if counts.recounted:
        notify(
            f"{what}: answers of {_some(counts.recounted)} have offsets that count UTF-16 units or "
            "bytes instead of characters. They are read at their place."
        )
    if counts.lost:
        reason = "the answer is not found in the passage" if is_span else "the answer has no text"
        notify(f"{what}: {_some(counts.lost)} left out: {reason}. triptych data check lists them.")
    if counts.empty:
        notify(f"{what}: {_some(counts.empty)} left out: the question or the passage is empty.")
    return examples


def _say_nothing(message: str) -> None:
    """Take no notice of a message."""


def is_squad(name: str, encoding: str | None = None) -> bool:
    """Tell whether a file holds questions with located answers, by its first records.

    A .json file that is one unknown object counts, too: its error says what is expected. A file
    that does not exist is judged by its name.
    """
    plain = Path(name).name.removesuffix(".gz").lower()
    if plain.endswith(TARS) or not Path(name).is_file():
        return plain.endswith((".json", *TARS))
    if not plain.endswith((".json", *LINES)):
        return False
    try:
        if plain.endswith(".json") and NESTED.search(_head(name)):
            return True
        first = _first(own_lines(name, encoding=encoding))
    except DataError:
        return False
    if not first:
        return plain.endswith(".json")
    return "qas" in first or (
        "question" in first and "answers" in first and not first.keys().isdisjoint(PASSAGES)
    )


def is_question_file(name: str, encoding: str | None = None) -> bool:
    """Tell whether a file holds questions whose answers are spans of their passages.

    As `is_squad`, and tables or JSONL with an `answer`, if its place is given or most of the first
    answers are in their passages: answers in other words are for generative-answering.
    """
    if is_squad(name, encoding):
        return True
    plain = Path(name).name.removesuffix(".gz").lower()
    if not plain.endswith((*TABLES, *LINES, ".json")) or not Path(name).is_file():
        return False
    try:
        lines = own_lines(name, encoding=encoding)
        if plain.endswith(TABLES):
            keys = columns_of(Path(name), lines)
        else:
            keys = list(_first(lines))
        if "question" not in keys or set(keys).isdisjoint(PASSAGES):
            return False
        if set(keys).isdisjoint(ANSWERS) or not set(keys).isdisjoint(STARTS):
            return not set(keys).isdisjoint(ANSWERS)
        some = list(islice(questions(name, unusable=_ignore, encoding=encoding), FIRST_LINES))
    except DataError:
        return False
    return 2 * sum(bool(standing(one.example)) for one in some) > len(some)


def _first(lines: Sequence[str]) -> dict[str, object]:
    """Return the first object of some lines, or the first in its list under "data"."""
    first = first_object(lines)
    listed = first.get("data")
    inner = listed[0] if is_list(listed) and listed else None
    return inner if is_record(inner) else first


def _ignore(place: str, reason: str) -> None:
    """Take no note of a record: the check of the file reports it."""


def _head(name: str) -> bytes:
    """Return the beginning of a file; reads it whole if it is compressed."""
    if not name.endswith(".gz"):
        with open(name, "rb") as file:
            return file.read(HEAD_BYTES)
    return read_bytes(name, LONGEST_DOCUMENT_BYTES)[:HEAD_BYTES]


def questions(
    path: str | Path,
    language: str | None = None,
    wrong: OnProblem = stop,
    unusable: OnProblem | None = None,
    columns: Columns | None = None,
    encoding: str | None = None,
    remark: Callable[[Remark], None] | None = None,
) -> Iterator[LocatedQuestion]:
    """Yield every question of a file, also empty ones.

    `wrong` gets what is damaged; `unusable` each record without a question (without it `wrong`
    does); `remark` each guess about a table.
    """
    path = Path(path)
    reader = QuestionReader(str(path), language, unusable or wrong, columns or {})
    if not path.name.removesuffix(".gz").lower().endswith((".json", *LINES, *TARS)):
        lines = own_lines(path, encoding=encoding)
        if not next((line for line in lines if line.strip()), "").lstrip().startswith(("{", "[")):
            yield from table_questions(lines, reader, wrong, remark or (lambda one: None))
            return
    for where, raw in contents(path):
        yield from parse(as_utf8(raw, where, encoding), where, language, wrong, unusable, columns)


def contents(path: Path) -> list[tuple[str, bytes]]:
    """Return (name for messages, content) of the file, or of each JSON file in a tar, by name."""
    name = path.name.removesuffix(".gz")
    raw = read_bytes(path, LONGEST_DOCUMENT_BYTES, path.suffix in (".gz", ".tgz"))
    if not name.endswith((".tar", ".tgz")):
        return [(str(path), raw)]
    return members(raw, str(path))


def members(raw: bytes, where: str) -> list[tuple[str, bytes]]:
    """Return the JSON files in a tar's content."""
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as tar:
            files = sorted(
                (one for one in tar if one.isfile() and one.name.endswith((".json", ".jsonl"))),
                key=lambda one: one.name,
            )
            # A sparse file stores holes as their length and can expand to any size.
            if large := next((one for one in files if one.size > len(raw)), None):
                raise DataError(
                    f"{where}:{large.name} claims {large.size:,} bytes in a tar of {len(raw):,}. "
                    "Pack it without --sparse."
                )
            found = [
                (f"{where}:{one.name}", stream.read())
                for one in files
                if (stream := tar.extractfile(one)) is not None
            ]
    except (tarfile.TarError, EOFError, OSError) as problem:
        raise DataError(f"{where} is not a whole tar file ({problem}). Copy it again.") from None
    if not found:
        raise DataError(f"{where} holds no .json file. Put SQuAD JSON files into it.")
    return found


def parse(
    raw: bytes,
    where: str,
    language: str | None = None,
    wrong: OnProblem = stop,
    unusable: OnProblem | None = None,
    columns: Columns | None = None,
) -> Iterator[LocatedQuestion]:
    """Yield the questions in the JSON or JSONL of a file; `where` is its name in messages."""
    plain = where.removesuffix(".gz").lower()
    reader = QuestionReader(where, language, unusable or wrong, columns or {})
    if plain.endswith(LINES) or (plain.endswith(".json") and _has_lines(raw)):
        for number, line in enumerate(raw.split(b"\n"), 1):
            if line.removeprefix(BOM_UTF8).strip():
                yield from _line(line, number, reader, wrong)
    else:
        yield from _document(raw, reader, wrong)


def _has_lines(raw: bytes) -> bool:
    """Tell whether a .json file is JSONL: the first of its several lines is a whole object."""
    first, _, rest = raw.removeprefix(BOM_UTF8).strip().partition(b"\n")
    try:
        return bool(rest) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _document(raw: bytes, reader: QuestionReader, wrong: OnProblem) -> Iterator[LocatedQuestion]:
    values = _loaded(raw, reader.where, 1, wrong)
    if values is None:
        return
    articles = values.get("data") if is_record(values) else values
    at = "data"
    if is_record(values) and not {"paragraphs", "qas", "question"}.isdisjoint(reader.named(values)):
        articles, at = [values], "record"
    if not is_list(articles):
        found = (
            f"an object with the keys {', '.join(values) or '(none)'}"
            if is_record(values)
            else brief(values)
        )
        wrong(
            f"{reader.where}:1",
            f'there is no list of articles under "data", but {found}. Questions on passages are '
            'SQuAD JSON, {"data": [{"paragraphs": [{"context", "qas"}]}]}, or a list of objects '
            "with question, passage and answers. Other data (pairs, labelled texts, conversations) "
            "in a .json file is a list of objects, or one object a line.",
        )
        return
    for number, article in enumerate(articles):
        yield from reader.questions(article, f"{at}[{number}]")


def _loaded(raw: bytes, where: str, line: int, wrong: OnProblem) -> object:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        line += raw.count(b"\n", 0, problem.start)
        wrong(
            f"{where}:{line}",
            f"byte 0x{raw[problem.start]:02X} is not UTF-8. {advice(raw)}",
        )
    except json.JSONDecodeError as problem:
        reason = f"not valid JSON ({problem.msg.removesuffix(' at')} at column {problem.colno})"
        wrong(
            f"{where}:{line + problem.lineno - 1}",
            f"{reason}. The file may be cut off; copy it again.",
        )
    except (RecursionError, ValueError) as problem:
        wrong(f"{where}:{line}", f"not valid JSON ({problem}).")
    return None


def _line(
    raw: bytes, number: int, reader: QuestionReader, wrong: OnProblem
) -> Iterator[LocatedQuestion]:
    values = _loaded(raw, reader.where, number, wrong)
    place = f"{reader.where}:{number}"
    if is_record(values):
        yield from reader.questions(values, f"line {number}", place=place)
    elif values is not None:
        wrong(
            place,
            'expected a JSON object. Write {"question": ..., "passage": ..., "answers": [{"text": '
            '..., "start": ...}]}.',
        )


def _some(places: Sequence[str]) -> str:
    names = ", ".join(Path(place).name if "/" in place else place for place in places[:NAMED])
    return (
        f"{len(places):,} question{'s' if len(places) > 1 else ''} "
        f"({names}{', ...' if len(places) > NAMED else ''})"
    )


def own_record(example: Example) -> dict[str, object]:
    """Write a question as a record of our own JSONL, with the answers that are in its passage."""
    return {
        "question": example.question,
        "passage": example.passage,
        "answers": [{"text": text, "start": start} for text, start in standing(example)],
    }
