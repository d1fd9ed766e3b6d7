"""Detect and convert the two scripts of Chinese with OpenCC."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from ...errors import UsageError, unknown
from ..example import Example

HANT, HANS = "zh-Hant", "zh-Hans"


class Converter(Protocol):
    """Describe what is used of OpenCC."""

    def convert(self, text: str) -> str: ...


@cache
def _converter(name: str) -> Converter:
    try:
        import opencc
    except ImportError:
        raise UsageError(
            "Detecting Chinese scripts needs OpenCC: pip install 'triptych[zh]'"
        ) from None
    return opencc.OpenCC(name)


def to_script(text: str, script: str) -> str:
    """Convert `text` to traditional (zh-Hant) or simplified (zh-Hans) characters."""
    return _converter("t2s" if script == HANS else "s2t").convert(text)


def script_of(text: str) -> str | None:
    """Return zh-Hant or zh-Hans if a character decides it; None for neutral or mixed text."""
    traditional, simplified = to_script(text, HANS) != text, to_script(text, HANT) != text
    if traditional == simplified:
        return None
    return HANT if traditional else HANS


def in_script(examples: Sequence[Example], script: str | None) -> list[Example]:
    """Set the script of Chinese targets as their language: converted to one, or "tagged".

    script: "zh-Hans" (also if unset) or "zh-Hant" converts all. "tagged" keeps the characters and
    leaves out lines where both scripts are equal or mixed, since a tag would mean nothing there.
    """
    if script not in (None, HANS, HANT, "tagged"):
        raise unknown("script", script, (HANS, HANT, "tagged"))
    found = []
    for example in examples:
        text = example.target or ""
        language = script_of(text) if script == "tagged" else script or HANS
        if language is not None:
            target = text if script == "tagged" else to_script(text, language)
            found.append(
                Example(example.source, target, example.source_language, language, example.place)
            )
    return found
