"""Choose which columns or keys of a file hold what is wanted: as named, by their usual names, else
by their order.

`data.columns` maps fields to columns, `{source = "English", target = "Deutsch"}`, or to numbers
from 1. A name says that the first row is a header. With numbers alone, `header = "yes"` or `"no"`
says so; else the row is looked at. What is guessed is remarked on, with its line; what could be
read in another way is a doubt, at which `triptych init` asks and training goes on.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ...errors import DataError, UsageError, unknown
from .headers import ROWS, header_verdict, numbers_alone, sides_of
from .json_lines import object_of
from .quoting import is_number
from .table_format import Format, chosen_of, rows_of

HEADER = "header"  # the key of data.columns that is no field
COUNTERS = ("id", "ids", "idx", "index", "no", "nr", "key", "uid", "guid")
LEARNT = ("label", "labels", "value", "tags", "target_language")  # what may be numbers alone
SHOWN = 60  # characters of a row in a message
PAIR = ("source", "target")
Columns = Mapping[str, str | int]
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Remark:
    """What is guessed about a file, and the way to say otherwise.

    doubt: another reading is possible. severity: of `data check`, which passes over a note.
    """

    place: str
    reason: str
    way: str = ""
    doubt: bool = False
    severity: Severity = "warning"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" + (f". {self.way}" if self.way else "")


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """Which columns are read. columns: places from 0, of JSONL keys; named: not by their order or
    by a guess.
    """

    columns: tuple[int | str, ...]
    header: bool = False
    named: bool = True
    remarks: list[Remark] = field(default_factory=list)


def choose(
    form: Format,
    lines: list[str],
    needs: Sequence[str],
    names: Sequence[tuple[str, ...]],
    columns: Columns | None = None,
    languages: tuple[str | None, str | None] = (None, None),
) -> ColumnChoice:
    """Choose the columns or keys of `needs` in a file that is no plain text.

    Args:
        form: how the file is laid out.
        lines: the file's lines.
        needs: the fields that are looked for.
        names: usual names of all needs together, in the order in which they are looked for.
        columns: field -> column or key, by name or number; `header`: "yes" or "no".
        languages: of source and target, which a header may name.

    Raises:
        DataError: a named column is not there.
        UsageError: `columns` itself is wrong.
    """
    given = {need: str(name).strip() for need, name in (columns or {}).items()}
    for need in given:
        if need not in (*needs, HEADER):
            raise unknown("field", need, (*needs, HEADER), "in data.columns (--columns)")
    decided = given.pop(HEADER, None)
    if decided not in (None, "yes", "no"):
        raise UsageError(
            f"header={decided} in data.columns (--columns) must be header=yes or header=no."
        )
    if not form.first:  # an empty file
        return ColumnChoice(tuple(range(len(needs))) if form.kind != "jsonl" else tuple(needs))
    if form.kind == "jsonl":
        return _keys(form, lines, needs, names, given, languages)
    return _places(form, lines, needs, names, given, decided, languages)


def of_fields(fields: Sequence[str], needs: Sequence[str]) -> dict[str, str]:
    """`data.fields`, a list in the order of needs, as `data.columns`. Numbers alone mean that there
    is no header.
    """
    if len(fields) != len(needs):
        raise DataError(
            f"data.fields names {len(fields)} columns; it must name {len(needs)}, those of "
            f"{', '.join(needs)}."
        )
    header = {HEADER: "no"} if all(name.isdecimal() for name in fields) else {}
    return dict(zip(needs, fields, strict=True)) | header


def _keys(form: Format, lines: list[str], needs: Sequence[str], names: Sequence[tuple[str, ...]],
          given: dict[str, str], languages: tuple[str | None, str | None],
          ) -> ColumnChoice:  # fmt: skip
    remarks: list[Remark] = []
    found = _named(form, needs, names, given, languages, remarks)
    missing = [name for name in given.values() if name not in form.first]
    if missing and not any(name in line for line in lines for name in missing):
        raise _no_column(form, missing)
    keys = {need: form.first[place] for need, place in (found or {}).items()} | given
    if len(keys) < len(needs):
        missing = [need for need in needs if need not in keys]
        reason = (
            f"columns: no keys are called {' or '.join(missing)}; there are {', '.join(form.first)}"
        )
        remarks.append(
            Remark(f"{form.path}:1", reason, "Name them in data.columns (--columns)", True, "error")
        )
    else:
        alone = [
            need
            for need in needs
            if need not in LEARNT and numbers_alone(_values(lines, keys[need]))
        ]
        remarks += _alone(form, needs, alone, keys, True)
    usual = dict(zip(needs, names[0], strict=True)) if names else {}
    chosen = tuple(keys.get(need, usual.get(need, need)) for need in needs)
    return ColumnChoice(chosen, True, not remarks, remarks)


def _values(lines: list[str], key: str) -> Iterator[str]:
    """The values of a key; a line that is no object is said where it is read."""
    for line in lines:
        with contextlib.suppress(ValueError):
            yield str(object_of(line).get(key, "")) if line.strip() else ""


def _places(
    form: Format,
    lines: list[str],
    needs: Sequence[str],
    names: Sequence[tuple[str, ...]],
    given: dict[str, str],
    decided: str | None,
    languages: tuple[str | None, str | None],
) -> ColumnChoice:
    first, remarks, noted = form.first, [], []
    numbered = {need: int(name) - 1 for need, name in given.items() if name.isdecimal()}
    by_name = {need: name for need, name in given.items() if need not in numbered}
    if by_name and decided == "no":
        raise UsageError(
            f"data.columns (--columns) names the column '{next(iter(by_name.values()))}' and says "
            "header=no. Give its number."
        )
    missing = [name for name in by_name.values() if _place(first, name) is None]
    missing += [given[need] for need, place in numbered.items() if not 0 <= place < len(first)]
    if missing:
        raise _no_column(form, missing)
    places = numbered | {need: _place(first, name) or 0 for need, name in by_name.items()}
    named = None if decided == "no" else _named(form, needs, names, given, languages, noted)
    if (
        named is not None
        and not (set(named.values()) & set(places.values()))
        and (by_name or len(given) < len(needs))
    ):
        places, header, remarks = named | places, True, noted
    elif by_name or decided is not None:
        header = bool(by_name) or decided == "yes"
    else:
        below = itertools.islice(rows_of(lines, form), 1, ROWS)
        header = _seen(form, [row for _, row in below], remarks)
    free = [place for place in range(max(len(first), len(needs))) if place not in places.values()]
    open_ = [need for need in needs if need not in places]
    taken = places | dict(zip(open_, free, strict=False))
    if open_ and len(free) > len(open_):
        remarks.append(_several(form, needs, open_, taken, header))
    taken |= {
        need: len(first) + number
        for number, need in enumerate(need for need in needs if need not in taken)
    }
    alone = [
        need
        for need in needs
        if need not in LEARNT and numbers_alone(_column(lines, form, taken[need], header))
    ]
    remarks += _alone(form, needs, alone, {need: taken[need] + 1 for need in needs}, not open_)
    remarks += _again(form, lines) if header else []
    remarks += _odd(form)
    return ColumnChoice(
        tuple(taken[need] for need in needs), header, not open_ and not noted, remarks
    )


def _column(lines: list[str], form: Format, place: int, header: bool) -> Iterator[str]:
    rows = itertools.islice(rows_of(lines, form), int(header), None)
    return (row[place] for _, row in rows if place < len(row))


def _place(first: Sequence[str], name: str) -> int | None:
    """Where a column of this name is; exactly so written, else in small or capital letters."""
    exact = [place for place, cell in enumerate(first) if cell == name]
    close = [place for place, cell in enumerate(first) if cell.casefold() == name.casefold()]
    return next(iter(exact or close), None)


def _named(
    form: Format,
    needs: Sequence[str],
    names: Sequence[tuple[str, ...]],
    given: Mapping[str, str],
    languages: tuple[str | None, str | None],
    remarks: list[Remark],
) -> dict[str, int] | None:
    """Need -> place of what is not given, by the usual names of columns and keys; None where they
    do not say all of it.
    """
    first, places = form.first, [place for place, need in enumerate(needs) if need not in given]
    wanted = list(dict.fromkeys(tuple(several[place] for place in places) for several in names))
    chosen = chosen_of(first, wanted) if places else None
    if chosen is not None:
        return {needs[place]: first.index(name) for place, name in zip(places, chosen, strict=True)}
    sides = sides_of(first, *languages) if tuple(needs) == PAIR else None
    if sides is None or not places:
        return None
    listed = " and ".join(
        f"{first[place]!r} is taken for the {need}"
        for need, place in zip(needs, sides, strict=True)
        if need not in given
    )
    remarks.append(Remark(f"{form.path}:{form.begins}", f"columns: {listed}", severity="note"))
    return {need: place for need, place in zip(needs, sides, strict=True) if need not in given}


def _seen(form: Format, below: list[list[str]], remarks: list[Remark]) -> bool:
    """Whether the first row is a header, by what it looks like; said where it is, or may be."""
    verdict, place = header_verdict(form.first, below), f"{form.path}:{form.begins}"
    row = _shown(form.first)
    if verdict == "yes":
        reason = f"header: this line ({row}) is taken for a header and not read"
        remarks.append(
            Remark(place, reason, "If it is data, say so in data.columns: --columns header=no")
        )
    elif verdict == "perhaps":
        reason = f"header: this line ({row}) may be a header and is read as data"
        remarks.append(
            Remark(
                place, reason, "Say which in data.columns: --columns header=yes or header=no", True
            )
        )
    return verdict == "yes"


def _several(
    form: Format, needs: Sequence[str], open_: Sequence[str], taken: Mapping[str, int], header: bool
) -> Remark:
    """More columns than are needed, and no names: which are taken."""
    row = ", ".join(
        f"{need} {form.first[taken[need]][:30]!r}"
        for need in open_
        if taken[need] < len(form.first)
    )
    reason = (
        f"columns: no columns are called {', '.join(open_)}; the first {len(open_)} of "
        f"{len(form.first)} are taken ({row})"
    )
    way = f"data.columns names others: --columns {sample_of(needs, form, header)}"
    return Remark(f"{form.path}:{form.begins}", reason, way, True)


def sample_of(needs: Sequence[str], form: Format, header: bool) -> str:
    """What --columns could say of this file."""
    texts = [
        place
        for place, cell in enumerate(form.first)
        if cell and not is_number(cell) and cell.casefold() not in COUNTERS
    ]
    places = texts if len(texts) >= len(needs) else list(range(max(len(form.first), len(needs))))
    cells = [
        form.first[place] if header and place < len(form.first) else str(place + 1)
        for place in places
    ]
    return ",".join(f"{need}={cell}" for need, cell in zip(needs, cells, strict=False))


def _alone(
    form: Format,
    needs: Sequence[str],
    alone: Sequence[str],
    columns: Mapping[str, object],
    named: bool,
) -> list[Remark]:
    """What is to be read as text and holds numbers alone."""
    way = (
        ""
        if named
        else (
            "If that is meant, say so in data.columns, or name another: --columns "
            f"{sample_of(needs, form, False)}"
        )
    )
    return [
        Remark(
            f"{form.path}:{form.begins}",
            f"numbers alone: the {need} (column {columns[need]}) holds numbers and no text, as "
            "ids and scores do",
            way,
            not named,
            "warning" if named else "error",
        )
        for need in alone
    ]


def _again(form: Format, lines: list[str]) -> list[Remark]:
    """A header that stands among the data again, as where files were joined."""
    head = lines[form.begins - 1]
    again = [
        number for number, line in enumerate(lines, 1) if line == head and number != form.begins
    ]
    more = f" (and {len(again) - 1:,} times more)" if len(again) > 1 else ""
    return (
        [
            Remark(
                f"{form.path}:{again[0]}",
                f"header: the header stands here again{more} and is left out",
            )
        ]
        if again
        else []
    )


def _odd(form: Format) -> list[Remark]:
    """A line whose quotation marks are at odds with those before it."""
    if not form.odd:
        return []
    reason = (
        "quotation marks: the lines before are quoted as CSV is, and this one is not; all marks "
        "are read as text"
    )
    way = "Close them here, or double those within a text"
    return [Remark(f"{form.path}:{form.odd}", reason, way)]


def _no_column(form: Format, missing: Sequence[str]) -> DataError:
    what, where = (
        ("key", "Its first object") if form.kind == "jsonl" else ("column", "Its first line")
    )
    return DataError(
        f"{form.path} has no {what} {' and '.join(map(repr, missing))}. {where} has: "
        f"{_shown(form.first)}."
    )


def _shown(row: Sequence[str]) -> str:
    whole = ", ".join(row)
    return whole if len(whole) <= 2 * SHOWN else f"{whole[: 2 * SHOWN]}..."
