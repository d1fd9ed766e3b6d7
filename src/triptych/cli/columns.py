"""Read --columns and --encoding, and ask `init`'s user about columns that a file does not name."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..data.hub.repository import go_offline
from ..errors import UsageError
from ..messages import Message, message
from .console import ask, is_terminal, table, talk
from .language import help_text, translated

if TYPE_CHECKING:
    from ..data.formats.choosing import ColumnChoice, Columns
    from ..data.formats.table_format import Format

FIELD = re.compile(r",(?=\s*[a-z_]+\s*=)")  # a comma between two columns, not inside a name
CELL = 30  # characters of a cell that are shown
SAMPLES = 3
PARTS = {
    "source": message("the source"),
    "target": message("the target"),
    "text": message("the text"),
    "label": message("the label"),
}


@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """Hold the flags that say how your data is read."""

    columns: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "Which columns or keys of your own files are read, by name or by number from 1: "
                "text=Comment,label=Kind or source=2,target=3. With numbers, header=yes or "
                "header=no says whether the first line is a header. The same as data.columns of a "
                "recipe."
            )
        ),
    ] = None
    encoding: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "Encoding of your own files, like cp1252 or gb18030; by default UTF-8, or what a "
                "byte order mark says. The same as data.encoding of a recipe."
            )
        ),
    ] = None

    offline: Annotated[
        bool,
        Parameter(
            help=help_text(
                "Read data sets and models of the hub from what was fetched before, and ask nobody."
            )
        ),
    ] = False

    def begin(self) -> None:
        """Fetch nothing from now on, if that is asked for."""
        if self.offline:
            go_offline()

    def overrides(self) -> dict[str, object]:
        """Return the flags that are given as keys of a recipe."""
        given = {"data.columns": parsed(self.columns), "data.encoding": self.encoding}
        return {key: value for key, value in given.items() if value is not None}


AS_FOUND = ReadingFlags()


def parsed(given: str | None) -> dict[str, str | int] | None:
    """Return `source=English,target=Deutsch` as a table: field -> name or number.

    Raises:
        UsageError: The text is not such a list.
    """
    if given is None:
        return None
    found: dict[str, str | int] = {}
    for part in FIELD.split(given):
        field, sign, name = (one.strip() for one in part.partition("="))
        if not sign or not field or not name:
            raise UsageError(
                "--columns {given}: '{part}' is not FIELD=COLUMN. Write, for example, "
                "--columns source=English,target=3.",
                given=given,
                part=part,
            )
        if field in found:
            raise UsageError(
                "--columns {given} names two columns for {field}. Name one.",
                given=given,
                field=field,
            )
        found[field] = name
    return found


def settled(
    name: str | Path,
    needs: Sequence[str],
    columns: Columns | None = None,
    languages: tuple[str | None, str | None] | None = None,
    encoding: str | None = None,
) -> dict[str, str | int] | None:
    """Return which columns of a file are read: those given, or the answers to questions.

    A guess is shown as a table of columns with three rows.

    Args:
        name: The file.
        needs: The fields that the task reads.
        columns: What --columns gave.
        languages: Codes of source and target of a translation, which a header may name.
        encoding: That of the file, if it is not UTF-8.

    Returns:
        Field -> name or number; None where the file itself names its columns.

    Raises:
        UsageError: The columns are in doubt and nobody can be asked. The text lists them.
    """
    from ..data.formats.columns import layout_of
    from ..data.formats.foreign.own_lines import own_lines
    from ..data.formats.pairs import Files
    from ..data.formats.pairs import layout_of as layout_of_pairs

    path, kept = Path(name), dict(columns) if columns else None
    lines = own_lines(path, encoding=encoding)
    if languages is not None:  # The header of a translation may name its languages.
        form, choice = layout_of_pairs(Files(path, columns=columns, languages=languages), lines)
    else:
        form, choice = layout_of(path, lines, columns, needs)
    if form.kind == "text" or not form.first:
        return kept
    doubts = [
        message("{place}: {reason}.", place=one.place, reason=one.reason)
        for one in choice.remarks
        if one.doubt
    ]
    if doubts:
        return asked(form, lines, needs, choice, doubts)
    if choice.remarks or not choice.named:
        talk(shown(form, lines, needs, choice))
    if (
        kept
        and choice.header
        and form.kind != "jsonl"
        and "header" not in kept
        and all(str(one).isdecimal() for one in kept.values())
    ):
        kept["header"] = "yes"  # The recipe records what was found.
    return kept


def asked(
    form: Format,
    lines: list[str],
    needs: Sequence[str],
    choice: ColumnChoice | None,
    doubts: Sequence[str],
) -> dict[str, str | int]:
    """Return the columns as the user names them in a terminal.

    Raises:
        UsageError: There is no terminal. The text lists the columns.
    """
    listing = shown(form, lines, needs, choice)
    from ..data.formats.likely import is_headed, sample_of

    headed = form.kind == "jsonl" or (is_headed(form, lines) if choice is None else choice.header)
    sample = sample_of(needs, form, headed, lines)
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        way = "" if headed else message(", and header=yes or header=no beside numbers")
        raise UsageError(
            "{path}: its columns can be read in more than one way.\n{doubts}{listing}\n"
            "Name them by name or number: --columns {sample}{way}.",
            path=form.path,
            doubts="".join(f"{translated(one)}\n" for one in doubts),
            listing=listing,
            sample=sample,
            way=way,
        )
    for one in (*doubts, listing):
        talk(one)
    if form.kind == "jsonl":
        return {
            need: form.first[number - 1]
            for need, number in _ask_columns(needs, form, sample).items()
        }
    row = ", ".join(form.first)
    question = message(
        "Is line {line} ({row}) a header? [y/n] ", line=form.begins, row=row[: 2 * CELL]
    )
    header = _ask(question, {"y": True, "yes": True, "n": False, "no": False}, sample)
    numbers = _ask_columns(needs, form, sample)
    names = [form.first[number - 1] for number in numbers.values()]
    if header and all(
        name and form.first.count(name) == 1 and not name.isdecimal() for name in names
    ):
        return dict(zip(numbers, names, strict=True))
    return {
        **{need: str(number) for need, number in numbers.items()},
        "header": "yes" if header else "no",
    }


def _ask(question: Message, answers: Mapping[str, bool], sample: str) -> bool:
    while True:
        reply = _answer(question, sample)
        if reply.casefold() in answers:
            return answers[reply.casefold()]
        talk(message("{reply!r} is neither y (yes) nor n (no).", reply=reply))


def _ask_columns(needs: Sequence[str], form: Format, sample: str) -> dict[str, int]:
    """Return the numbers of the columns, from 1, given as numbers or by name."""
    found: dict[str, int] = {}
    for need in needs:
        found[need] = _ask_column(need, form, found, sample)
    return found


def _ask_column(need: str, form: Format, taken: Mapping[str, int], sample: str) -> int:
    count = len(form.first)
    question = message(
        "Which column is {part}? [1-{count} or its name] ",
        part=PARTS.get(need, need),
        count=count,
    )
    while True:
        reply = _answer(question, sample)
        number = int(reply) if reply.isdecimal() else 0
        if not 1 <= number <= count and reply in form.first:
            number = form.first.index(reply) + 1
        other = next((one for one, place in taken.items() if place == number), None)
        if not 1 <= number <= count:
            talk(
                message(
                    "There is no column {reply!r}. Give a number from 1 to {count}, or a name as "
                    "it is written in the file.",
                    reply=reply,
                    count=count,
                )
            )
        elif other is not None:
            talk(
                message(
                    "Column {number} is {part} already.",
                    number=number,
                    part=PARTS.get(other, other),
                )
            )
        else:
            return number


def _answer(question: Message, sample: str) -> str:
    reply = ask(translated(question))
    if reply is None:
        raise UsageError(
            "The question was not answered. Name the columns with --columns, for example "
            "--columns {sample}.",
            sample=sample,
        )
    return reply


def shown(form: Format, lines: list[str], needs: Sequence[str], choice: ColumnChoice | None) -> str:
    """Return a file's columns, one per line: number, name, the field it may be, three samples."""
    rows, first = _samples(form, lines), form.first
    header = choice is not None and choice.header and form.kind != "jsonl"
    keys = form.kind == "jsonl"
    taken = (
        {}
        if choice is None
        else {column: need for column, need in zip(choice.columns, needs, strict=False)}
    )
    samples = rows[1 : SAMPLES + 1] if header else rows[:SAMPLES]
    head = [
        translated(message("key") if keys else message("column")),
        *([translated(message("name"))] if header else []),
        *([translated(message("taken for"))] if taken else []),
    ]
    listed = [
        [
            *head,
            *(
                translated(
                    message("record {number}", number=number + 1)
                    if keys
                    else message("row {number}", number=number + 1 + header)
                )
                for number in range(len(samples))
            ),
        ]
    ]
    for place, name in enumerate(first):
        cells = [row[place] if place < len(row) else "" for row in samples]
        part = taken.get(name if keys else place, "-")
        details = [
            name if keys else str(place + 1),
            *([name] if header else []),
            *([part] if taken else []),
        ]
        listed.append([*map(_short, details), *map(_short, cells)])
    # `talk` would indent all lines but the first, so all are indented here.
    return indent(table(listed, right=False), "  ")


def _samples(form: Format, lines: list[str]) -> list[list[str]]:
    from itertools import islice

    from ..data.formats.json_lines import object_of
    from ..data.formats.table_format import rows_of

    if form.kind != "jsonl":
        return [row for _, row in islice(rows_of(lines, form), SAMPLES + 1)]
    found = []
    for line in filter(str.strip, lines[: 2 * SAMPLES]):
        try:
            values = object_of(line)
        except ValueError:  # Reading the file raises the error.
            continue
        found.append([str(values.get(key, "")) for key in form.first])
    return found


def _short(cell: str) -> str:
    """Return a table's cell cut to one short line, without control characters."""
    plain = "".join(one if one.isprintable() else " " for one in cell)
    return plain if len(plain) <= CELL else f"{plain[: CELL - 3]}..."
