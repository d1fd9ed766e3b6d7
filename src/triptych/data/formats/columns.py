"""Read the user's labelled texts: TSV, CSV or JSONL with text (text_pair) and label or value."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, unknown
from ...messages import listed, message
from ..example import Example, Notify, OnProblem
from ..small import class_counts
from .choosing import HEADER, ColumnChoice, Columns, choose
from .flag_columns import flags_of, labels_of, places_of
from .foreign.own_lines import own_file
from .headers import NAMES
from .json_lines import brief, object_of, text_of
from .likely import sample_of
from .lines import stop
from .missing_labels import warning_of
from .pairs import body_of, once
from .remarks import Remark
from .table_format import Format, chosen_of, described, sniffed, with_header
from .tagged_content import refuse_tags
from .titles import refuse_titles

if TYPE_CHECKING:
    from ..table import DataTable

TEXTS = ("text", "text_pair")
LEARNT = ("label", "labels", "value")


def read(
    names: Sequence[str],
    data: DataTable,
    needs: Sequence[str],
    report: Notify | None = None,
) -> list[Example]:
    """Read the Examples of one or several files; empty texts are left out and counted.

    data.columns, or data.fields in the order of `needs`, names the columns or keys. Raises
    DataError naming file and line of the first record that cannot be read.
    """
    notify = report or (lambda message: None)
    found, empty, unlabelled = [], 0, list[str]()

    def left_out(place: str, reason: str) -> None:
        unlabelled.append(place)

    for name in names:
        for example in records(
            name, data.named(needs), needs, notify, encoding=data.encoding, left_out=left_out
        ):
            if all(
                (getattr(example, field) or "").strip() for field in needs if field not in LEARNT
            ):
                found.append(example)
            else:
                empty += 1
    if empty:
        notify(
            message(
                "{names}: {count:,} lines without text are left out; triptych data check lists "
                "them.",
                names=listed(Path(name).name for name in names),
                count=empty,
            )
        )
    if unlabelled and not found:
        raise DataError(
            "{unlabelled}: the {needs} is missing, here and in all other lines.",
            unlabelled=unlabelled[0],
            needs=needs[-1],
        )
    if unlabelled:
        notify(
            message(
                "{names}: {count:,} lines without {field} are left out; triptych data check lists "
                "them.",
                names=listed(Path(name).name for name in names),
                count=len(unlabelled),
                field=needs[-1],
            )
        )
    doubt = warning_of(class_counts(found))
    if doubt is not None:
        names_ = listed(Path(name).name for name in names)
        notify(message("Note: {names}: {warning}", names=names_, warning=doubt))
    return found


def records(
    name: str | Path,
    columns: Columns | None,
    needs: Sequence[str],
    notify: Notify = lambda message: None,
    wrong: OnProblem = stop,
    remark: Callable[[Remark], None] | None = None,
    encoding: str | None = None,
    left_out: OnProblem | None = None,
) -> Iterator[Example]:
    """Yield every line as an Example, also lines without text.

    `wrong` gets the place and reason of each line that is not a record, `left_out` of each that has
    no label or number to learn; without it `wrong` gets those too. `remark` gets each guess
    about the file; without it the guesses go to `notify`.
    """
    path = Path(name)
    file = own_file(path, notify, encoding)
    lines = file.lines
    form, choice = layout_of(path, lines, columns, needs)
    notify(described(form, file))
    if form.kind == "text":
        raise DataError(
            "{path} has one text a line and no second column. Write {names} with a "
            "tab between them, or as JSONL.",
            path=path,
            names=" and ".join(called(needs)),
        )
    for one in choice.remarks:
        (remark or (lambda found: notify(str(found))))(one)
    for number, values in _values_of(lines, form, choice, needs, columns, wrong):
        if needs[-1] in ("label", "value") and _is_missing(values[needs[-1]]):
            (left_out or wrong)(f"{path}:{number}", f"the {needs[-1]} is missing.")
            continue
        try:
            values = {need: _value(need, values[need]) for need in needs}
        except ValueError as problem:
            wrong(f"{path}:{number}", str(problem))
        else:
            several = values.get("target")
            if isinstance(several, list):
                values |= {"target": several[0], "references": several}
            yield Example(**values, place=f"{path.name}:{number}")


def layout_of(
    path: Path, lines: Sequence[str], columns: Columns | None, needs: Sequence[str]
) -> tuple[Format, ColumnChoice]:
    """Return the format of a file, and the columns or keys that hold `needs`."""
    form = sniffed(path, lines, [])
    known = usual_names(needs)
    if needs[-1] in LEARNT and not columns and chosen_of(form.first, known) is None:
        refuse_tags(path)
    if form.kind == "text":
        return form, ColumnChoice(())
    if HEADER not in (columns or {}):
        refuse_titles(form, lines)
    flags = flags_of(columns, form.first)
    if columns and flags is not None:  # all of them are found when the rows are read
        columns = {**columns, "labels": flags[0]}
    if not columns and form.kind != "jsonl" and chosen_of(form.first, known) is None:
        _refuse_half_a_header(form, lines, needs)
    choice = choose(form, lines, needs, known, columns)
    return form if form.kind == "jsonl" else with_header(form, form.first, choice.header), choice


def refuse_unknown_fields(columns: Columns | None) -> None:
    """Raise UsageError for a field in `data.columns` that texts with labels do not have."""
    for field in columns or {}:
        if field not in (*TEXTS, *LEARNT, HEADER):
            raise unknown("field", field, (*TEXTS, *LEARNT, HEADER), "in data.columns (--columns)")


def called(needs: Sequence[str]) -> list[str]:
    """Return the fields under the names that files use."""
    return [NAMES[need][0] for need in needs]


def usual_names(needs: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all usual names of the fields together, without repeated names."""
    return [
        one
        for one in itertools.product(*(NAMES[need] for need in needs))
        if len(set(one)) == len(one)
    ]


def _refuse_half_a_header(form: Format, lines: Sequence[str], needs: Sequence[str]) -> None:
    """Raise DataError if the first line names some columns of a labelled text but not the others.

    Such a line is a header, not a text.
    """
    written = {cell.lower() for cell in form.first}
    missing = [need for need in needs if written.isdisjoint(NAMES[need])]
    if needs[-1] in LEARNT and 0 < len(missing) < len(needs):
        raise DataError(
            "{path}:{begins}: this looks like a header ({names}), but no column is "
            "called {names2}. Rename one, or name the columns in data.columns, by "
            "name or number: --columns {sample_of}. Add header=no if this is not a "
            "header.",
            path=form.path,
            begins=form.begins,
            names=", ".join(form.first),
            names2=" or ".join(missing),
            sample_of=sample_of(needs, form, True, lines),
        )


def _values_of(
    lines: Sequence[str],
    form: Format,
    choice: ColumnChoice,
    needs: Sequence[str],
    columns: Columns | None,
    wrong: OnProblem,
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (line number, field -> cell or JSON value) of every record."""
    flags = flags_of(columns, form.first)
    if flags is not None:
        yield from _of_flags(lines, form, choice, needs, flags, wrong)
    elif form.kind == "jsonl":
        yield from _of_objects(lines, form, choice, needs, wrong)
    else:
        for number, cells in body_of(lines, form, choice, called(needs), wrong):
            yield number, dict(zip(needs, map(str.strip, cells), strict=True))


def _of_flags(
    lines: Sequence[str],
    form: Format,
    choice: ColumnChoice,
    needs: Sequence[str],
    flags: Sequence[str],
    wrong: OnProblem,
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield records whose labels have a column or a key each, with 0 or 1."""
    names, places = places_of(form, flags, choice.header)
    texts = replace(choice, columns=choice.columns[:-1])  # the labels are the last of the needs
    if form.kind == "jsonl":
        records_ = _of_objects(lines, form, texts, needs[:-1], wrong)
        rows = ((number, values, object_of(lines[number - 1])) for number, values in records_)
        read_ = (
            (number, values, [all_.get(name) for name in names]) for number, values, all_ in rows
        )
    else:
        wide = replace(choice, columns=(*texts.columns, *places))
        read_ = (
            (
                number,
                dict(zip(needs[:-1], map(str.strip, cells), strict=False)),
                cells[-len(names) :],
            )
            for number, cells in body_of(lines, form, wide, (*called(needs[:-1]), *names), wrong)
        )
    for number, values, cells in read_:
        try:
            yield number, {**values, needs[-1]: labels_of(names, cells)}
        except ValueError as problem:
            wrong(f"{form.path}:{number}", str(problem))


def _of_objects(lines: Sequence[str], form: Format, choice: ColumnChoice, needs: Sequence[str],
                wrong: OnProblem) -> Iterator[tuple[int, dict[str, object]]]:  # fmt: skip
    keys = dict(zip(needs, map(str, choice.columns), strict=True))
    said: set[str] = set()
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                values = object_of(line)
                for need, key in keys.items():
                    if key in form.first and need in ("label", "value"):
                        values.setdefault(key, None)
                    if key not in values or need not in (*LEARNT, "target"):
                        text_of(values, key)  # raises the error that explains the value
            except ValueError as problem:
                wrong(f"{form.path}:{number}", once(str(problem), said))
            else:
                yield number, {need: values[key] for need, key in keys.items()}


def _value(need: str, given: object) -> Any:
    """Convert a cell or a JSON value to the field's type. Raises ValueError with the reason."""
    if need == "labels":
        return _labels(given)
    if need == "target":
        return _targets(given)
    if need == "value":
        try:
            number = (
                float(given)
                if isinstance(given, str | int | float) and not isinstance(given, bool)
                else math.nan
            )
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"the value {brief(given)} is not a number.")
        return number
    if need == "label":
        return _label(given)
    assert isinstance(given, str), f"{need} was read as a text"
    return given.strip()


def _is_missing(given: object) -> bool:
    """Tell whether a cell or a JSON value is empty; NaN is what programs write for an empty one."""
    if isinstance(given, float):
        return math.isnan(given)
    return given is None or (isinstance(given, str) and not given.strip())


def _label(given: object) -> str:
    """Return a label as it would stand in CSV: true, 1 for 1.0. Raises ValueError for others."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, float) and math.isfinite(given):
        return f"{given:.0f}" if given.is_integer() else repr(given)
    if not isinstance(given, str | int):
        raise ValueError(f"the label is {brief(given)}; it must be a text or a number.")
    return str(given).strip()


def _targets(given: object) -> str | list[str]:
    """Return a text, or a list of several versions, given as texts or as SQuAD's {"text": ...}."""
    several = given if isinstance(given, list) else [given]
    texts = [
        text_of({"target": one.get("text") if isinstance(one, dict) else one}, "target").strip()
        for one in several
    ]
    kept = [text for text in texts if text]
    return kept if isinstance(given, list) and kept else "".join(kept)


def _labels(given: object) -> list[str]:
    """Read ["a", "b"] from a list, from its JSON, or from "a|b"; empty text gives no labels."""
    if isinstance(given, str):
        given = given.strip()
        if given.startswith("["):
            try:
                given = json.loads(given)
            except (ValueError, RecursionError) as problem:
                raise ValueError(
                    f"the labels {given[:60]!r} are not a JSON list ({problem})."
                ) from None
        else:
            given = given.split("|") if given else []
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ValueError(
            f"the labels are {brief(given)}; they must be a list of texts, or one text with | "
            "between them."
        )
    return list(dict.fromkeys(one.strip() for one in given if one.strip()))


def needs_of(
    name: str | Path, columns: Columns | None = None, encoding: str | None = None
) -> tuple[str, ...] | None:
    """Guess a file's fields by its header or keys, else by a second column with few values.

    columns: the known columns; fields that are named there are in the file. None: other data.
    """
    path = Path(name)
    lines = own_file(path, encoding=encoding).lines
    form, given = sniffed(path, lines, []), [need for need in columns or {} if need != HEADER]
    learnt = [need for need in LEARNT if need in given]
    if "text" in given and learnt:
        return (*[need for need in ("text", "text_pair") if need in given], *learnt[:1])
    headed = (columns or {}).get(HEADER) != "no"
    for needs in (
        (*texts, one)
        for texts, one in itertools.product((("text", "text_pair"), ("text",)), LEARNT)
    ):
        open_ = [need for need in needs if need not in given]
        if (
            headed
            and len(open_) == len(needs) - len(given)
            and chosen_of(form.first, usual_names(open_))
        ):
            return needs
    if form.kind not in ("tsv", "csv") or len(form.first) != 2 or given:
        return None
    refuse_titles(form, lines)
    choice = choose(form, lines, ("text", "label"), [], columns)
    rows = [
        cells
        for _, cells in body_of(lines, form, choice, ("text", "label"), lambda place, reason: None)
    ]
    labels = {label.strip() for _, label in rows}
    few = len(rows) >= 4 and len(labels) <= max(2, len(rows) // 10) and max(map(len, labels)) <= 60
    return ("text", "label") if few and len({text for text, _ in rows}) > len(labels) else None
