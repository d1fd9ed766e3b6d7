"""Choose the columns or keys of a file: as named, else by usual names, else by their order.

`data.columns` maps fields to columns, `{source = "English", target = "Deutsch"}`, or to numbers
from 1. A name implies that the first row is a header. With numbers alone, `header = "yes"` or
`"no"` decides; without it the row itself does. Every guess is reported with its line. A guess that
could be wrong is a doubt: `triptych init` asks about it, and training goes on.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from ...errors import DataError, UsageError, nearest, unknown
from ...messages import message
from .flag_columns import advice
from .headers import ROWS, header_verdict, numbers_alone, sides_of
from .json_lines import object_of
from .likely import labelled_sample, sample_of
from .remarks import Remark
from .table_format import Format, chosen_of, rows_of

HEADER = "header"  # the key of data.columns that is not a field
LEARNT = ("label", "labels", "value", "tags", "target_language")  # may hold numbers alone
SHOWN = 60  # characters of a row in a message
PAIR = ("source", "target")
Columns = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """Hold the columns that are read.

    columns: places from 0, or keys of JSONL. named: False if order or a guess decided.
    """

    columns: tuple[int | str, ...]
    header: bool = False
    named: bool = True
    remarks: list[Remark] = field(default_factory=list)


def choose(
    form: Format,
    lines: Sequence[str],
    needs: Sequence[str],
    names: Sequence[tuple[str, ...]],
    columns: Columns | None = None,
    languages: tuple[str | None, str | None] = (None, None),
) -> ColumnChoice:
    """Choose the columns or keys of `needs` in a file that is not plain text.

    Args:
        form: the layout of the file.
        lines: the file's lines.
        needs: the fields to find.
        names: usual names of all needs together, in order of preference.
        columns: field -> column or key, by name or number; `header`: "yes" or "no".
        languages: the languages of source and target, which a header may name.

    Raises:
        DataError: a named column is not in the file.
    """
    given = {need: str(name).strip() for need, name in (columns or {}).items()}
    for need in given:
        if need not in (*needs, HEADER):
            raise unknown("field", need, (*needs, HEADER), "in data.columns (--columns)")
    decided = given.pop(HEADER, None)
    if decided not in (None, "yes", "no"):
        raise UsageError(
            "header={decided} in data.columns (--columns) must be header=yes or header=no.",
            decided=decided,
        )
    if not form.first:  # an empty file
        return ColumnChoice(tuple(range(len(needs))) if form.kind != "jsonl" else tuple(needs))
    if form.kind == "jsonl":
        return _keys(form, lines, needs, names, given, languages)
    return _places(form, lines, needs, names, given, decided, languages)


def of_fields(fields: Sequence[str], needs: Sequence[str]) -> dict[str, str]:
    """Write `data.fields`, a list in the order of needs, as `data.columns`.

    Numbers alone imply that there is no header.
    """
    if len(fields) != len(needs):
        raise DataError(
            "data.fields names {count} columns; it must name {count2}, those of {names}.",
            count=len(fields),
            count2=len(needs),
            names=", ".join(needs),
        )
    header = {HEADER: "no"} if all(name.isdecimal() for name in fields) else {}
    return dict(zip(needs, fields, strict=True)) | header


def _keys(form: Format, lines: Sequence[str], needs: Sequence[str],
          names: Sequence[tuple[str, ...]], given: dict[str, str],
          languages: tuple[str | None, str | None]) -> ColumnChoice:  # fmt: skip
    remarks: list[Remark] = []
    found = _named(form, needs, names, given, languages, remarks)
    missing = [name for name in given.values() if name not in form.first]
    if missing and not any(name in line for line in lines for name in missing):
        raise _no_column(form, missing)
    keys = {need: form.first[place] for need, place in (found or {}).items()} | given
    if len(keys) < len(needs):
        missing = [need for need in needs if need not in keys]
        reason = message(
            "columns: no keys are called {names}; there are {names2}",
            names=" or ".join(missing),
            names2=", ".join(form.first),
        )
        remarks.append(
            Remark(
                f"{form.path}:1",
                reason,
                message("Name them in data.columns (--columns)"),
                True,
                "error",
            )
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


def _values(lines: Sequence[str], key: str) -> Iterator[str]:
    """Yield the values of a key; lines without an object are reported where they are read."""
    for line in lines:
        with contextlib.suppress(ValueError):
            yield str(object_of(line).get(key, "")) if line.strip() else ""


def _places(
    form: Format,
    lines: Sequence[str],
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
            "data.columns (--columns) names the column '{next}' but has header=no. "
            "Give the column's number.",
            next=next(iter(by_name.values())),
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
        remarks.append(_several(form, lines, needs, open_, taken, header))
        way = advice(form, lines)
        if way is not None:
            place = f"{form.path}:{form.begins}"
            remarks.append(Remark(place, message("columns: {way}", way=way)))
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


def _column(lines: Sequence[str], form: Format, place: int, header: bool) -> Iterator[str]:
    rows = itertools.islice(rows_of(lines, form), int(header), None)
    return (row[place] for _, row in rows if place < len(row))


def _place(first: Sequence[str], name: str) -> int | None:
    """Return the place of a column with this name, spelled exactly so or in another case."""
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
    """Map the needs that are not given to places, by usual names; None if some are not found."""
    first, places = form.first, [place for place, need in enumerate(needs) if need not in given]
    wanted = list(dict.fromkeys(tuple(several[place] for place in places) for several in names))
    chosen = chosen_of(first, wanted) if places else None
    if chosen is not None:
        return {needs[place]: first.index(name) for place, name in zip(places, chosen, strict=True)}
    sides = sides_of(first, *languages) if tuple(needs) == PAIR else None
    if sides is None or not places:
        return None
    taken = (
        message("{first!r} is taken for the {need}", first=first[place], need=need)
        for need, place in zip(needs, sides, strict=True)
        if need not in given
    )
    listed = reduce(lambda one, two: message("{one} and {two}", one=one, two=two), taken)
    reason = message("columns: {listed}", listed=listed)
    remarks.append(Remark(f"{form.path}:{form.begins}", reason, severity="note"))
    return {need: place for need, place in zip(needs, sides, strict=True) if need not in given}


def _seen(form: Format, below: list[list[str]], remarks: list[Remark]) -> bool:
    """Tell by its look whether the first row is a header; report it if it is or may be."""
    verdict, place = header_verdict(form.first, below), f"{form.path}:{form.begins}"
    row = _shown(form.first)
    if verdict == "yes":
        reason = message("header: this line ({row}) is taken for a header and not read", row=row)
        remarks.append(
            Remark(
                place, reason, message("If it is data, add to data.columns: --columns header=no")
            )
        )
    elif verdict == "perhaps":
        reason = message("header: this line ({row}) may be a header and is read as data", row=row)
        remarks.append(
            Remark(
                place,
                reason,
                message("Decide it in data.columns: --columns header=yes or header=no"),
                True,
            )
        )
    return verdict == "yes"


def _several(form: Format, lines: Sequence[str], needs: Sequence[str], open_: Sequence[str],
             taken: Mapping[str, int], header: bool) -> Remark:  # fmt: skip
    """Report which columns are taken where there are more than needed and no names."""
    row = ", ".join(
        f"{need} {form.first[taken[need]][:30]!r}"
        for need in open_
        if taken[need] < len(form.first)
    )
    reason = message(
        "columns: no columns are called {names}; the first {count} of {count2} are taken ({row})",
        names=", ".join(open_),
        count=len(open_),
        count2=len(form.first),
        row=row,
    )
    way = message(
        "Name others in data.columns: --columns {sample_of}",
        sample_of=sample_of(needs, form, header, lines),
    )
    labelled = labelled_sample(form, lines, header) if tuple(needs) == PAIR else None
    if labelled is not None:
        way = message("{way}; if they are texts with a label: --columns {sample}", way=way,
                      sample=labelled)  # fmt: skip
    return Remark(f"{form.path}:{form.begins}", reason, way, True)


def _alone(
    form: Format,
    needs: Sequence[str],
    alone: Sequence[str],
    columns: Mapping[str, object],
    named: bool,
) -> list[Remark]:
    """Report columns that are read as text and hold numbers alone."""
    way = (
        ""
        if named
        else (
            message(
                "If that is intended, name the column in data.columns, else name "
                "another: --columns {sample_of}",
                sample_of=sample_of(needs, form, False),
            )
        )
    )
    return [
        Remark(
            f"{form.path}:{form.begins}",
            message(
                "numbers alone: the {need} (column {columns}) holds numbers and no "
                "text, as ids and scores do",
                need=need,
                columns=columns[need],
            ),
            way,
            not named,
            "warning" if named else "error",
        )
        for need in alone
    ]


def _again(form: Format, lines: Sequence[str]) -> list[Remark]:
    """Report a header that occurs again among the data, as in joined files."""
    head = lines[form.begins - 1]
    again = [
        number for number, line in enumerate(lines, 1) if line == head and number != form.begins
    ]
    more = f" (and {len(again) - 1:,} times more)" if len(again) > 1 else ""
    return (
        [
            Remark(
                f"{form.path}:{again[0]}",
                message("header: the header occurs again here{more} and is left out", more=more),
            )
        ]
        if again
        else []
    )


def _odd(form: Format) -> list[Remark]:
    """Report a line whose quotation marks do not follow the CSV quoting of the lines before."""
    if not form.odd:
        return []
    reason = message(
        "quotation marks: the lines before are quoted as CSV is, and this one "
        "is not; all marks are read as text",
    )
    way = message("Close them here, or double those within a text")
    return [Remark(f"{form.path}:{form.odd}", reason, way)]


def _no_column(form: Format, missing: Sequence[str]) -> DataError:
    what, where = message("column"), message("Its first line")
    if form.kind == "jsonl":
        what, where = message("key"), message("Its first object")
    close = [one for name in missing if (one := nearest(name, form.first)) is not None]
    hint = message(" Did you mean {names}?", names=" or ".join(map(repr, close))) if close else ""
    return DataError(
        "{path} has no {what} {names}. {where} has: {shown}.{hint}",
        path=form.path,
        what=what,
        hint=hint,
        names=" and ".join(map(repr, missing)),
        where=where,
        shown=_shown(form.first),
    )


def _shown(row: Sequence[str]) -> str:
    whole = ", ".join(row)
    return whole if len(whole) <= 2 * SHOWN else f"{whole[: 2 * SHOWN]}..."
