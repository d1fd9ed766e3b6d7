"""Check texts and their references line by line, where columns or keys name them as such."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...errors import DataError
from ..example import Example
from ..formats.choosing import Columns
from ..formats.columns import records, usual_names
from ..formats.foreign.own_lines import own_lines
from ..formats.table_format import chosen_of, sniffed
from ..split import sentence_key
from .pairs import Problem, Report, of_remarks, readable

KINDS = (
    ("question", "passage", "target"),
    ("source", "target", "target_language"),
    ("passage", "target"),
    ("source", "target"),
)
OTHERS = ("instruction", "messages", "chosen")  # keys that conversations have


def needs_of(name: str | Path, encoding: str | None = None) -> tuple[str, ...] | None:
    """Return the fields of a file, by its names of columns or keys.

    None if they do not show it, or show pairs of sentences (`source` and `target`, a text each).
    """
    path = Path(name)
    if not path.is_file():
        return None
    try:
        lines = own_lines(path, encoding=encoding)
        form = sniffed(path, lines, [])
        for needs in KINDS:
            chosen = chosen_of(form.first, usual_names(needs))
            if chosen and not set(OTHERS) & set(form.first):
                pairs = (
                    needs == KINDS[-1] and chosen == KINDS[-1] and not _has_lists(lines, form.kind)
                )
                return None if pairs else needs
    except DataError:
        pass
    return None


def _has_lists(lines: Sequence[str], kind: str) -> bool:
    """Tell whether a target is a list of several versions."""
    return kind == "jsonl" and any(_has_list(line) for line in lines if "[" in line)


def _has_list(line: str) -> bool:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):  # reported where the line is read
        return False
    return isinstance(values, dict) and isinstance(values.get("target"), list)


def check(
    name: str, needs: Sequence[str], columns: Columns | None = None, encoding: str | None = None
) -> Report:
    """Check a file and collect every line that is unreadable, empty or a duplicate.

    columns: the place of the fields.
    """
    report = Report(pairs={"train": 0})
    found = report.problems
    if not readable(name, found, encoding):
        return report
    examples: list[Example] = []
    seen: dict[str, str] = {}

    def wrong(place: str, reason: str) -> None:
        found.append(Problem(place, f"unreadable: {reason}"))

    for example in records(
        name,
        columns,
        needs,
        wrong=wrong,
        remark=lambda one: found.extend(of_remarks(one)),
        encoding=encoding,
    ):
        example.place = str(Path(name).parent / example.place)
        empty = [need for need in needs if not (getattr(example, need) or "").strip()]
        if empty:
            found.append(
                Problem(
                    example.place,
                    f"empty text: {' and '.join(empty)} is empty; the line is left out",
                )
            )
            continue
        examples.append(example)
        key = "\t".join(sentence_key(getattr(example, need)) for need in needs)
        if key in seen:
            found.append(
                Problem(example.place, f"duplicate: the same text is at {seen[key]}", "warning")
            )
        seen.setdefault(key, example.place)
        report.inputs.setdefault(
            sentence_key(example.passage or example.source or ""), example.place
        )
    report.pairs["train"] = len(examples)
    return report
