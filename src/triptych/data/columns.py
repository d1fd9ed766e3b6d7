"""Users' texts with what they are to be judged as: TSV, CSV or JSONL with text (and text_pair) and label, labels or value."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from .example import Example
from .sources import Format, brief, lines_of, object_of, rows_of, sniffed, stop, tell_taken, text_of

if TYPE_CHECKING:
    from .parts import DataTable

Wrong = Callable[[str, str], None]
LEARNT = ("label", "labels", "value")
# Names that a header or a key may have beside the field's own.
NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "sentence1", "text1", "sms", "message", "review", "title"),
    "text_pair": ("text_pair", "sentence2", "text2"),
    "label": ("label", "category", "class", "intent", "sentiment"),
    "labels": ("labels", "categories", "classes"),
    "value": ("value", "score", "similarity", "rating"),
    "source": ("source", "document", "dialogue", "article", "text", "input"),
    "target": ("target", "summary", "highlights", "question", "answer", "answers", "output"),
    "question": ("question",),
    "passage": ("passage", "context", "sentence", "paragraph"),
    "target_language": ("task", "prefix", "target_language"),
}


def read(names: Sequence[str], data: DataTable, needs: Sequence[str], report: Callable[[str], None] | None = None) -> list[Example]:
    """The Examples of one or several files. data.fields: the columns or keys of `needs`, in their order.

    Texts that are empty are left out, and counted. Raises DataError naming file and line of the first thing that cannot be read.
    """
    tell = report or (lambda message: None)
    found, empty = [], 0
    for name in names:
        for example in records(name, data.fields, needs, tell):
            if all((getattr(example, field) or "").strip() for field in needs if field not in LEARNT):
                found.append(example)
            else:
                empty += 1
    if empty:
        tell(f"{', '.join(Path(name).name for name in names)}: {empty:,} lines without text are left out; triptych data check lists them.")
    return found


def records(name: str | Path, fields: Sequence[str] | None, needs: Sequence[str], tell: Callable[[str], None] = lambda message: None,
            wrong: Wrong = stop) -> Iterator[Example]:  # fmt: skip
    """Every line as an Example, also those without text; `wrong` gets the place and reason of what cannot be one."""
    path = Path(name)
    if fields is not None and len(fields) != len(needs):
        raise DataError(f"data.fields names {len(fields)} columns; it must name {len(needs)}, those of {', '.join(called(needs))}.")
    lines = lines_of(path, tell)
    known = [one for one in itertools.product(*(NAMES[need] for need in needs)) if len(set(one)) == len(one)]
    form = sniffed(path, lines, [tuple(fields)] if fields else known)
    tell(str(form))
    if form.kind == "text":
        raise DataError(
            f"{path} has one text a line and no second column. Write {' and '.join(called(needs))} with a tab between them, or as JSONL."
        )
    if fields is None:
        if form.kind != "jsonl" and form.chosen is None:
            _refuse_half_a_header(lines, form, needs)
        tell_taken(form, lines, called(needs), tell)
    cells = _of_objects(lines, form, fields, needs, wrong) if form.kind == "jsonl" else _of_columns(lines, form, fields, needs, wrong)
    for number, values in cells:
        try:
            values = {need: _value(need, values[need]) for need in needs}
        except ValueError as problem:
            wrong(f"{path}:{number}", str(problem))
        else:
            several = values.get("target")
            if isinstance(several, list):
                values |= {"target": several[0], "references": several}
            yield Example(**values, place=f"{path.name}:{number}")


def called(needs: Sequence[str]) -> list[str]:
    """The fields as files name them."""
    return [NAMES[need][0] for need in needs]


def _refuse_half_a_header(lines: list[str], form: Format, needs: Sequence[str]) -> None:
    """Raise DataError where the first line names some of the columns of a labelled text and not the others: it is no text."""
    number, row = next(rows_of(lines, form.kind, form.path), (0, []))
    written = {cell.strip().lower() for cell in row}
    missing = [need for need in needs if written.isdisjoint(NAMES[need])]
    if needs[-1] in LEARNT and 0 < len(missing) < len(needs):
        raise DataError(
            f"{form.path}:{number}: this looks like a header ({', '.join(row)}), and no column is called {' or '.join(missing)}. Rename "
            f"one, or name the columns of {', '.join(called(needs))} in data.fields: by their names, or by numbers where this is no header."
        )


def _of_objects(lines: list[str], form: Format, fields: Sequence[str] | None, needs: Sequence[str], wrong: Wrong,
                ) -> Iterator[tuple[int, dict[str, Any]]]:  # fmt: skip
    keys = dict(zip(needs, form.chosen or fields or called(needs), strict=True))
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                values = object_of(line)
                for need, key in keys.items():
                    if key not in values or need not in (*LEARNT, "target"):
                        text_of(values, key)  # says what is wrong
            except ValueError as problem:
                wrong(f"{form.path}:{number}", str(problem))
            else:
                yield number, {need: values[key] for need, key in keys.items()}


def _of_columns(lines: list[str], form: Format, fields: Sequence[str] | None, needs: Sequence[str], wrong: Wrong,
                ) -> Iterator[tuple[int, dict[str, Any]]]:  # fmt: skip
    if form.chosen:
        places = [form.columns.index(name) for name in form.chosen]
    elif fields is None:
        places = list(range(len(needs)))
    elif all(field in form.columns for field in fields):  # by number
        places = [int(field) - 1 for field in fields]
    else:
        head = next(rows_of(lines, form.kind, form.path), (0, []))[1]
        raise DataError(f"{form.path} has no columns {', '.join(fields)}. Its first line has: {', '.join(head)}.")
    sign = {"tsv": "a tab", "csv": "a comma"}[form.kind]
    rows = rows_of(lines, form.kind, form.path)
    for number, row in itertools.islice(rows, 1 if form.header else 0, None):
        if len(row) <= max(places):
            reason = f"{len(row)} column(s), at least {max(places) + 1} are needed ({', '.join(called(needs))}), with {sign} between them."
            wrong(f"{form.path}:{number}", reason)
        else:
            yield number, dict(zip(needs, (row[place] for place in places), strict=True))


def _value(need: str, given: Any) -> Any:
    """A cell or a JSON value as the field holds it. Raises ValueError saying what is wrong with it."""
    if need == "labels":
        return _labels(given)
    if need == "target":
        return _targets(given)
    if need == "value":
        try:
            number = float(given) if not isinstance(given, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"the value {brief(given)} is no number.")
        return number
    if need == "label":
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise ValueError(f"the label is {brief(given)}; it must be a text or a whole number.")
        if not str(given).strip():
            raise ValueError("the label is missing.")
        return str(given).strip()
    return given.strip()


def _targets(given: Any) -> str | list[str]:
    """A text, or a list of them: several versions of what is to be written, as texts or as SQuAD's {"text": ...}."""
    several = given if isinstance(given, list) else [given]
    texts = [text_of({"target": one.get("text") if isinstance(one, dict) else one}, "target").strip() for one in several]
    kept = [text for text in texts if text]
    return kept if isinstance(given, list) and kept else "".join(kept)


def _labels(given: Any) -> list[str]:
    """["a", "b"] from a list, from its JSON, or from "a|b"; nothing is no label."""
    if isinstance(given, str):
        given = given.strip()
        if given.startswith("["):
            try:
                given = json.loads(given)
            except (ValueError, RecursionError) as problem:
                raise ValueError(f"the labels {given[:60]!r} are no JSON list ({problem}).") from None
        else:
            given = given.split("|") if given else []
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ValueError(f"the labels are {brief(given)}; they must be a list of texts, or one text with | between them.")
    return list(dict.fromkeys(one.strip() for one in given if one.strip()))


def needs_of(name: str | Path) -> tuple[str, ...] | None:
    """Which fields a file seems to hold: by its header or keys, else two columns whose second has few values. None: others."""
    path = Path(name)
    lines = lines_of(path)
    for texts, learnt in itertools.product((("text", "text_pair"), ("text",)), LEARNT):
        needs = (*texts, learnt)
        if sniffed(path, lines, list(itertools.product(*(NAMES[need] for need in needs)))).chosen:
            return needs
    form = sniffed(path, lines, [])
    if form.kind not in ("tsv", "csv") or len(form.columns) != 2:
        return None
    rows = [row for _, row in rows_of(lines, form.kind, path) if len(row) == 2]
    labels = {row[1].strip() for row in rows}
    few = len(rows) >= 4 and len(labels) <= max(2, len(rows) // 10) and max(map(len, labels)) <= 60
    return ("text", "label") if few and len({row[0] for row in rows}) > len(labels) else None
