"""Read JSONL: one object a line, and the texts in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import TypeGuard

FIRST_LINES = 50  # that say what a file holds


def is_object(line: str) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def first_object(lines: Sequence[str]) -> dict[str, object]:
    """The first of a file's lines that is a JSON object; none of its keys where there is none among
    the first that are not empty.
    """
    some = (line for line in lines if line.strip())
    return next((object_of(line) for line in islice(some, FIRST_LINES) if is_object(line)), {})


def object_of(line: str) -> dict[str, object]:
    """Read a line. Raises ValueError saying what is wrong with it."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"not JSON ({problem}). JSONL holds one object a line.") from None
    if not isinstance(values, dict):
        raise ValueError('JSON, but no object. Write {"source": ..., "target": ...}.')
    return values


def brief(value: object) -> str:
    """Show a JSON value in a message: in few characters, and without its inside, which may be
    nested deeply.
    """
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def text_of(values: dict[str, object], key: str) -> str:
    """Return the text under a key. Raises ValueError saying what is there instead."""
    if key not in values:
        raise ValueError(
            f"the key '{key}' is missing; there are {', '.join(values)}. Other keys are named "
            "with data.columns (--columns)."
        )
    value = values[key]
    if not isinstance(value, str):
        raise ValueError(f"'{key}' is no text but {type(value).__name__}.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(
            f"'{key}' holds half a character (a lone surrogate, \\ud800 to \\udfff), which no "
            "UTF-8 text can."
        )
    return value


def is_text(value: object) -> TypeGuard[str]:
    """A text without halves of characters, which no tokenizer can read."""
    return isinstance(value, str) and not any(
        "\ud800" <= character <= "\udfff" for character in value
    )
