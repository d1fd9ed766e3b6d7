"""Check conversations and preferences, record by record, before training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from ...errors import DataError
from ..example import texts_of
from ..formats.chats import UNUSABLE, conversation, preference, refuse_other
from ..formats.choosing import Columns
from ..formats.foreign.conversations import has_turns
from ..formats.foreign.own_lines import own_lines
from ..formats.foreign.preferences import has_answers
from ..formats.json_lines import FIRST_LINES, brief, damage, is_object
from ..formats.named_fields import field_lines
from ..split import sentence_key
from .pairs import Problem, Report, readable

ENDINGS = (".jsonl", ".ndjson", ".json")
# Fields -> a test of whether a record has them.
KINDS = {("messages", "chosen", "rejected"): has_answers, ("messages",): has_turns}


def needs_of(name: str | Path, encoding: str | None = None) -> tuple[str, ...] | None:
    """Return the fields of a file of JSONL or a JSON list by its first objects' keys, else None."""
    path = Path(name)
    if not path.name.removesuffix(".gz").endswith(ENDINGS) or not path.is_file():
        return None
    try:
        lines = own_lines(path, encoding=encoding)
    except DataError:
        return None
    some = islice((line for line in lines if line.strip()), FIRST_LINES)
    first = [json.loads(line) for line in some if is_object(line)]
    return next((needs for needs, known in KINDS.items() if any(map(known, first))), None)


def check(
    name: str,
    needs: tuple[str, ...],
    encoding: str | None = None,
    columns: Columns | None = None,
) -> Report:
    """List all records that cannot be learnt from and all duplicates.

    Only a damaged JSON list ends the check early.
    """
    report, seen = Report(pairs={"train": 0}), {}
    found = report.problems
    if not readable(name, found, encoding):
        return report
    make = preference if "chosen" in needs else conversation

    def remark(place: str, what: str) -> None:
        found.append(Problem(place, f"not read: {what}", "warning"))

    for place, values in _each(name, found, encoding, columns):
        try:
            example = make(values, place, remark)
        except UNUSABLE as problem:
            reason = str(problem).removeprefix(place).lstrip(":. ")
            found.append(Problem(place, f"unreadable: {reason} The record is left out."))
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


def _each(
    name: str, found: list[Problem], encoding: str | None, columns: Columns | None
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (file:line, object) of every record; lines that are not one go to `found`."""
    lines = field_lines(name, columns, encoding=encoding)
    refuse_other(lines, name)
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as problem:
            found.append(Problem(f"{name}:{number}", f"unreadable: {damage(line, problem)}"))
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
