"""Check conversations and preferences, record by record, before training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ...errors import DataError, UsageError
from ..example import texts_of
from ..formats.chats import conversation, preference, records
from ..formats.foreign.own_lines import own_lines
from ..formats.json_lines import brief, first_object
from ..split import sentence_key
from .pairs import Problem, Report, readable

ENDINGS = (".jsonl", ".ndjson", ".json")
# Fields -> the keys of a record, in one of these forms.
KINDS: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = {
    ("messages", "chosen", "rejected"): (("chosen", "rejected"),),
    ("messages",): (("messages",), ("instruction", "output")),
}


def needs_of(name: str | Path) -> tuple[str, ...] | None:
    """Return the fields of a file of JSONL or a JSON list by its first object's keys, else None."""
    path = Path(name)
    if not path.name.removesuffix(".gz").endswith(ENDINGS) or not path.is_file():
        return None
    try:
        lines = own_lines(path)
        is_list = next((line for line in lines if line.strip()), "").lstrip().startswith("[")
        first = (
            next(records("\n".join(lines), str(path)), ("", {}))[1]
            if is_list
            else first_object(lines)
        )
    except DataError:
        return None
    return next(
        (needs for needs, ways in KINDS.items() if any(set(way) <= set(first) for way in ways)),
        None,
    )


def check(name: str, needs: tuple[str, ...]) -> Report:
    """List all records that cannot be learnt from and all duplicates.

    Only a damaged JSON list ends the check early.
    """
    report, seen = Report(pairs={"train": 0}), {}
    found = report.problems
    if not readable(name, found):
        return report
    make = preference if "chosen" in needs else conversation
    for place, values in _each(name, found):
        try:
            example = make(values, place)
        except (DataError, UsageError) as problem:
            found.append(
                Problem(place, f"unreadable: {str(problem).removeprefix(place).lstrip(':. ')}")
            )
            continue
        if example is None:
            found.append(Problem(place, "empty output: the record is left out", "warning"))
            continue
        report.pairs["train"] += 1
        key = sentence_key(
            "\n".join(chain(*(texts_of(getattr(example, field)) for field in needs)))
        )
        if key in seen:
            found.append(Problem(place, f"duplicate: the same record is at {seen[key]}", "warning"))
        seen.setdefault(key, place)
        report.inputs.setdefault(sentence_key("\n".join(texts_of(example.messages))), place)
    return report


def _each(name: str, found: list[Problem]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (file:line, object) of every record; lines that are not one go to `found`."""
    lines = own_lines(name)
    if next((line for line in lines if line.strip()), "").lstrip().startswith("["):
        try:
            yield from records("\n".join(lines), name)
        except DataError as problem:
            place = f"{name}:{str(problem).removeprefix(f'{name}:').split(':')[0]}"
            found.append(
                Problem(place, f"unreadable: {str(problem).removeprefix(place).lstrip(': ')}")
            )
        return
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as problem:
            found.append(Problem(f"{name}:{number}", f"unreadable: not JSON ({problem})"))
            continue
        if isinstance(value, dict):
            yield f"{name}:{number}", value
        elif line.strip():
            found.append(
                Problem(
                    f"{name}:{number}",
                    f"unreadable: expected a JSON object, got {brief(value)}",
                )
            )
