"""Read flat YAML: keys with a value or a list of values, as Marian writes its settings.

Nothing else of YAML is read: no tables in tables, tags, anchors or texts of several lines. So no
value can grow beyond the text, and none becomes an object.
"""

from __future__ import annotations

import json
import re

from ..errors import RunError, brief

LARGEST = 1 << 20  # characters
LARGEST_VOCABULARY = 64 << 20
Scalar = str | int | float | bool | None
WORDS: dict[str, Scalar] = {
    "true": True, "false": False, "null": None, "~": None, "": None, "yes": True, "no": False,
}  # fmt: skip
KEY = re.compile(r'("(?:[^"\\]|\\.)*"|[\w][\w.-]*)\s*:(?:\s+(.*))?')
INTEGER = re.compile(r"[-+]?\d{1,18}")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")


def read_flat(text: str, where: str) -> dict[str, Scalar | list[Scalar]]:
    """Read a text. Raises RunError naming the line that holds anything else."""
    if len(text) > LARGEST:
        raise RunError("{where} is larger than {size} MB.", where=where, size=LARGEST >> 20)
    found: dict[str, Scalar | list[Scalar]] = {}
    listed: list[Scalar] | None = None  # the list of the last key, which further lines add to
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] == "#" or stripped == "---":
            continue
        try:
            if stripped == "-" or stripped.startswith("- "):
                if listed is None:
                    raise ValueError("a value of a list without a key")
                listed.append(_scalar(stripped[1:].strip()))
                continue
            match = KEY.fullmatch(stripped)
            if match is None or line[0].isspace():
                raise ValueError("neither a key nor a value of a list")
            key = str(_scalar(match[1])) if match[1][0] == '"' else match[1]
            if key in found:
                raise ValueError("a key that was given before")
            value = (match[2] or "").strip()
            listed = [] if value in ("", "[]") else None
            found[key] = listed if listed is not None else _value(value)
        except ValueError as problem:
            raise RunError(
                "{where}, line {number}: {line} is {problem}. Triptych reads flat YAML only: keys "
                "with a value or a list of values.",
                where=where, number=number, line=brief(repr(stripped), 60), problem=problem,
            ) from None  # fmt: skip
    return found


def _value(text: str) -> Scalar | list[Scalar]:
    if text[0] == "[" and text[-1] == "]":
        return [_scalar(one.strip()) for one in text[1:-1].split(",")]
    return _scalar(text)


def _scalar(text: str) -> Scalar:
    """Return a value. Raises ValueError for what is not flat."""
    if text[:1] == '"':
        try:
            return str(json.loads(text))
        except (ValueError, RecursionError):
            raise ValueError("not a whole text in quotes") from None
    if text[:1] == "'":
        if len(text) < 2 or text[-1] != "'":
            raise ValueError("not a whole text in quotes")
        return text[1:-1].replace("''", "'")
    if text[:1] in tuple("[]{}&*!|>%@`") and text:
        raise ValueError("not one value")
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def read_numbers(text: str, where: str) -> dict[str, int]:
    """Read a vocabulary: a token and its number in each line. Raises RunError naming a bad line."""
    if len(text) > LARGEST_VOCABULARY:
        raise RunError("{where} is larger than {size} MB.", where=where,
                       size=LARGEST_VOCABULARY >> 20)  # fmt: skip
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped == "---":
            continue
        key, _, value = stripped.rpartition(":")
        try:
            token = str(_scalar(_escaped(key.rstrip()))) if key[:1] in ("'", '"') else key
            if not key or not INTEGER.fullmatch(value.strip()) or token in found:
                raise ValueError
        except ValueError:
            raise RunError(
                "{where}, line {number}: {line} is not a token of its own and its number.",
                where=where, number=number, line=brief(repr(stripped), 60),
            ) from None  # fmt: skip
        found[token] = int(value)
    return found


def _escaped(text: str) -> str:
    """Write characters that YAML names by two digits as JSON does, by four."""
    return re.sub(r"\\x([0-9A-Fa-f]{2})", r"\\u00\1", text) if text[0] == '"' else text
