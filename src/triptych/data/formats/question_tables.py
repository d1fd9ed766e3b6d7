"""Read questions on passages from TSV and CSV: columns question, passage (or context), answer.

`answer_start`, `id` and `is_impossible` are read where columns are called so. An answer may be
written as JSON, or as pandas writes a column of `datasets`: {'text': [...], 'answer_start': [...]}.
"""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from ..example import OnProblem
from .choosing import choose
from .json_lines import is_list, is_record
from .pairs import body_of
from .question_records import (
    ANSWERS,
    FIELDS,
    PASSAGES,
    STARTS,
    LocatedQuestion,
    QuestionReader,
)
from .remarks import Remark
from .table_format import Format, sniffed, with_header

NEEDS = ("question", "passage", "answer")
NAMES = {"question": ("question",), "passage": PASSAGES, "answer": ANSWERS, "start": STARTS}
OTHERS = ("id", "is_impossible", "title")  # columns that are read under their own names


def columns_of(path: Path, lines: list[str]) -> list[str]:
    """Return the columns of a table in small letters, none if it has no header."""
    return [name.casefold() for name in sniffed(path, lines, []).first]


def table_questions(
    lines: list[str],
    reader: QuestionReader,
    wrong: OnProblem,
    remark: Callable[[Remark], None],
) -> Iterator[LocatedQuestion]:
    """Yield the questions of a table, one a row. remark: gets each guess about its columns."""
    path = Path(reader.where)
    form = sniffed(path, lines, [])
    if form.kind == "text":
        wrong(
            f"{path}:1",
            "there are no columns. Write question, passage and answer with a tab between them.",
        )
        return
    needs = _needs(form, reader)
    names = [
        several
        for several in itertools.product(*(NAMES.get(need, (need,)) for need in needs))
        if len(set(several)) == len(several)
    ]
    choice = choose(form, lines, needs, names, reader.columns)
    form = with_header(form, form.first, choice.header)
    numbers = tuple(f"numbers alone: the {need} " for need in needs[len(NEEDS) :])
    for one in choice.remarks:
        if not one.reason.startswith(numbers):  # offsets and ids are meant to be numbers
            remark(one)
    own = QuestionReader(reader.where, reader.language, reader.unusable)
    keys = [FIELDS.get(need, need) for need in needs]
    for number, cells in body_of(lines, form, choice, needs, reader.unusable):
        values: dict[str, object] = dict(zip(keys, cells, strict=True))
        values["answers"] = _answers(str(values["answers"]))
        yield from own.questions(values, f"line {number}", place=f"{path}:{number}")


def _needs(form: Format, reader: QuestionReader) -> tuple[str, ...]:
    """Return the fields that the table has: those that are needed, and others by their names."""
    first = [name.casefold() for name in form.first]
    has_start = "start" in reader.columns or any(name in first for name in STARTS)
    more = ("start",) if has_start else ()
    return (*NEEDS, *more, *(name for name in OTHERS if first.count(name) == 1))


def _answers(cell: str) -> object:
    """Return the answers in a cell: its text, or what it holds as JSON or a literal of Python."""
    text = cell.strip()
    if not text.startswith(("[", "{")):
        return text
    for parse in (json.loads, ast.literal_eval):
        try:
            found: object = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if _holds_texts(found):
            return found
    return text


def _holds_texts(found: object) -> bool:
    """Tell whether a list or an object is one of answers, and not a text that looks like one."""
    if is_list(found):
        return all(isinstance(one, str) or (is_record(one) and "text" in one) for one in found)
    return is_record(found) and "text" in found
