"""Read users' pairs: two aligned text files, or TSV, CSV or JSONL with two columns or keys.

Files may be gzipped. Their format is detected and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

from ...errors import DataError
from ...messages import message
from ..example import Notify, OnProblem
from ..pair_table import PairTable
from .choosing import HEADER, ColumnChoice, choose, of_fields
from .foreign.own_lines import own_file
from .json_lines import object_of, text_of
from .lines import stop
from .remarks import Remark
from .subtitle_pairs import read_sides
from .table_format import (
    FIELDS,
    WORKBOOKS,
    Format,
    described,
    is_header,
    rows_of,
    sniffed,
    with_header,
)
from .titles import refuse_titles

TABLES = (".csv", ".tsv", ".tab", *WORKBOOKS)
TOGETHER = 2048  # records that are added in one go
LONGEST_LINE = 20_000  # characters; longer lines are not sentences (`data check` lists them)


@dataclass(frozen=True, slots=True)
class Files:
    """Name the files of one split: two aligned files, or one file with two columns or keys.

    fields: the names of those columns or keys, or their numbers ("1", "2") in a file without a
        header.
    columns: the same by field, as in `data.columns`; languages: of the two sides, which a header
        may name; encoding: that of the files, if it is not UTF-8.
    """

    source: str | Path
    target: str | Path | None = None
    fields: tuple[str, str] = FIELDS
    columns: Mapping[str, str | int] | None = None
    languages: tuple[str | None, str | None] = (None, None)
    encoding: str | None = None


def read(files: Files, source_language: str | None = None, target_language: str | None = None,
         report: Notify | None = None) -> PairTable:  # fmt: skip
    """Read all pairs that have text on both sides.

    `report` gets the format of the files and the number of lines left out. Raises DataError naming
    file and line of the first thing that cannot be read.
    """
    notify = report or (lambda message: None)
    examples = PairTable(Path(files.source).name, (source_language, target_language))
    empty, long = 0, 0
    found = records(files, source_language, target_language, notify)
    for _, source, target in add_usable(examples, found):
        if source and target:
            long += 1
        else:
            empty += 1
    say_left_out(files, empty, long, notify)
    return examples


def add_usable(
    examples: PairTable, found: Iterator[tuple[int, str, str]], together: int = TOGETHER
) -> Iterator[tuple[int, str, str]]:
    """Add the records with text on both sides to a table, and yield the others, all stripped.

    together: how many are read before any is added.
    """
    while block := [*islice(found, together)]:
        lines, sources, targets = zip(*block, strict=True)
        ones, others = [*map(str.strip, sources)], [*map(str.strip, targets)]
        if all(ones) and all(others) and max(map(len, chain(ones, others))) <= LONGEST_LINE:
            examples.extend(ones, others, lines)
            continue
        for line, one, other in zip(lines, ones, others, strict=True):
            if one and other and max(len(one), len(other)) <= LONGEST_LINE:
                examples.append(one, other, line)
            else:
                yield line, one, other


def say_left_out(files: Files, empty: int, long: int, notify: Notify) -> None:
    """Say how many pairs are left out for an empty side, and how many for a long line."""
    if empty:
        notify(
            message(
                "{name}: {count:,} pairs with an empty side are left out; triptych data check "
                "lists them.",
                name=Path(files.source).name,
                count=empty,
            )
        )
    if long:
        notify(
            message(
                "{name}: {count:,} pairs with a line over {longest:,} characters are left out.",
                name=Path(files.source).name,
                count=long,
                longest=LONGEST_LINE,
            )
        )


def records(
    files: Files, source_language: str | None = None, target_language: str | None = None,
    notify: Notify = lambda message: None, wrong: OnProblem = stop,
    remark: Callable[[Remark], None] | None = None,
) -> Iterator[tuple[int, str, str]]:  # fmt: skip
    """Yield (line number, source, target) of every line, also of empty ones.

    `wrong` gets the place and reason of each line that is not a pair. A header or keys with the two
    languages' codes ("en", "de") or names serve as well as `source` and `target`. `remark` gets
    each guess about the file; without it the guesses go to `notify`.
    """
    path = Path(files.source)
    other = None if files.target is None else Path(files.target)
    cues = read_sides(path, other, notify, files.encoding)
    if cues is not None:
        yield from cues
        return
    file = own_file(path, notify, files.encoding)
    lines = file.lines
    if other is not None:
        second = own_file(other, notify, files.encoding)
        others = second.lines
        for one, its in ((path, file), (other, second)):
            _refuse_table(one, its.lines)
            notify(described(Format(one, "text", len(its.lines), ()), its))
        if len(lines) != len(others):
            wrong(
                str(path if len(lines) < len(others) else other),
                (
                    f"unequal line counts: {path} has {len(lines):,} lines and {other} has "
                    f"{len(others):,}; line n of one must translate line n of the other. From "
                    f"line {min(len(lines), len(others)) + 1:,} on one side is missing."
                ),
            )
        yield from zip(count(1), lines, others, strict=False)
        return
    form, choice = layout_of(files, lines, (source_language, target_language))
    notify(described(form, file))
    if form.kind == "text":
        raise DataError(
            "{path} has one text a line and no second column. Name the other "
            "side's file too (target).",
            path=path,
        )
    for one in choice.remarks:
        (remark or (lambda found: notify(str(found))))(one)
    pairs = (
        _objects(lines, form, choice, wrong)
        if form.kind == "jsonl"
        else body_of(lines, form, choice, FIELDS, wrong)
    )
    yield from ((number, one, other) for number, (one, other) in pairs)


def _refuse_table(path: Path, lines: Sequence[str]) -> None:
    """Raise DataError for a table in the place of one of two aligned files."""
    form = sniffed(path, lines, [])
    named = path.name.removesuffix(".gz").lower().endswith(TABLES) or form.kind == "jsonl"
    kind = message("a table with {count} columns", count=len(form.first))
    kind = "JSONL" if form.kind == "jsonl" else kind
    if named and (form.kind == "jsonl" or len(form.first) > 1):
        raise DataError(
            "{path} is {kind}, but each line of two aligned files is one sentence. Name it alone "
            "if it holds both sides, or write its sentences as plain text.",
            path=path,
            kind=kind,
        )


def layout_of(
    files: Files, lines: Sequence[str], languages: tuple[str | None, str | None] = (None, None)
) -> tuple[Format, ColumnChoice]:
    """Return the format of a file with both sides, and the columns or keys that are read."""
    given, path = languages[0] or files.languages[0], Path(files.source)
    spoken = given, languages[1] or files.languages[1]
    columns = (
        files.columns
        if files.fields == FIELDS or files.columns
        else of_fields(files.fields, FIELDS)
    )
    names = [FIELDS, *([(spoken[0], spoken[1])] if spoken[0] and spoken[1] else [])]
    form = sniffed(path, lines, [])
    if HEADER not in (columns or {}):
        refuse_titles(form, lines)
    choice = (
        choose(form, lines, FIELDS, names, columns, spoken)
        if form.kind != "text"
        else ColumnChoice(())
    )
    return with_header(form, form.first, choice.header) if form.kind in (
        "tsv",
        "csv",
    ) else form, choice


def _objects(
    lines: Sequence[str], form: Format, choice: ColumnChoice, wrong: OnProblem
) -> Iterator[tuple[int, list[str]]]:
    first, second = map(str, choice.columns)
    said: set[str] = set()
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                values = object_of(line)
                texts = [text_of(values, first), text_of(values, second)]
            except ValueError as problem:
                wrong(f"{form.path}:{number}", once(str(problem), said))
            else:
                yield number, texts


def once(reason: str, said: set[str]) -> str:
    """Return a reason that many lines may have, without its advice where that was given before."""
    if reason in said:
        return f"{reason.partition(';')[0].rstrip('.')}."
    said.add(reason)
    return reason


def body_of(
    lines: Sequence[str],
    form: Format,
    choice: ColumnChoice,
    needs: Sequence[str],
    wrong: OnProblem,
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells of the chosen columns) of every row except headers."""
    places = [int(place) for place in choice.columns]
    sign = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}[form.sign]
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
