"""Read JSONL (one object a line) and the texts in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import TypeGuard

FIRST_LINES = 50  # that decide what a file holds


def is_object(line: str) -> bool:
    """Tell whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def first_object(lines: Sequence[str]) -> dict[str, object]:
    """Return the first JSON object among the first lines that are not empty, else an empty dict."""
    some = (line for line in lines if line.strip())
    return next((object_of(line) for line in islice(some, FIRST_LINES) if is_object(line)), {})


def object_of(line: str) -> dict[str, object]:
    """Parse a line. Raises ValueError with the reason if it is not a JSON object."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise ValueError(damage(line, problem)) from None
    if not isinstance(values, dict):
        raise ValueError(
            f'expected a JSON object, got {brief(values)}. Write {{"source": ..., "target": ...}}.'
        )
    return values


def damage(line: str, problem: Exception) -> str:
    """Return why a line of JSONL is not JSON; the last line of half a file is often cut off."""
    written = line.strip()
    text = isinstance(problem, json.JSONDecodeError) and problem.msg.startswith("Unterminated")
    ends = isinstance(problem, json.JSONDecodeError) and problem.pos >= len(line.rstrip())
    if written.startswith("{") and (text or (ends and written[-1] not in "{[,")):
        return f"not JSON ({problem}). The line may be cut off; copy the file again."
    return f"not JSON ({problem}). JSONL holds one object a line."


def brief(value: object) -> str:
    """Shorten a JSON value for a message; nested values are not shown."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def text_of(values: dict[str, object], key: str) -> str:
    """Return the text under a key. Raises ValueError describing anything else."""
    if key not in values:
        raise ValueError(
            f"the key '{key}' is missing; there are {', '.join(values)}. Name other keys in "
            "data.columns (--columns)."
        )
    value = values[key]
    if not isinstance(value, str):
        raise ValueError(f"'{key}' must be a text, got {brief(value)}.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(
            f"'{key}' holds half a character (a lone surrogate, \\ud800 to \\udfff), which "
            "UTF-8 text cannot hold."
        )
    return value


def is_record(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a JSON value is an object, whose keys are texts."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Tell whether a JSON value is a list."""
    return isinstance(value, list)


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether a value is a text without half characters, which no tokenizer can read."""
    return isinstance(value, str) and not any(
        "\ud800" <= character <= "\udfff" for character in value
    )
