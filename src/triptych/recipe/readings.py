"""Read a text from the command line as a value of a recipe. Imports no torch."""

from __future__ import annotations

import contextlib
import re
import tomllib
from typing import Any

# One part of a list on the command line, quoted or not.
PART = re.compile(r"""\s*(?:"(?:[^"\\]|\\.)*"|'[^']*')\s*(?=,|$)|[^,]+""")


def readings_of(value: object) -> list[object]:
    """Return what a text on the command line can mean.

    That is a TOML value, the text itself, or a list with commas.
    """
    if not isinstance(value, str):
        return [value]
    readings: list[object] = [value]
    parts = [part.strip() for part in PART.findall(value) if part.strip()] if "," in value else []
    if parts:  # commas alone are a text, like a stop string
        readings.insert(0, [_unquoted(part) for part in parts])
        with contextlib.suppress(tomllib.TOMLDecodeError):
            readings.insert(0, parse_toml(f"value = [{value}]")["value"])
    with contextlib.suppress(tomllib.TOMLDecodeError):
        readings.insert(0, parse_toml(f"value = {value}")["value"])
    if value.lower() in ("none", "true", "false"):
        readings.insert(0, {"none": None, "true": True, "false": False}[value.lower()])
    return readings


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML. Raise TOMLDecodeError for everything that cannot be read.

    The library itself fails on deeply nested brackets and on numbers of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("brackets are nested too deeply") from None
    except ValueError:
        raise tomllib.TOMLDecodeError("a number has too many digits") from None


def _unquoted(part: str) -> str:
    """Return a part of a list without the quotes around it, read as in TOML."""
    with contextlib.suppress(tomllib.TOMLDecodeError):
        return str(parse_toml(f"value = {part}")["value"]) if part[0] in "\"'" else part
    return part
