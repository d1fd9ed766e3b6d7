"""The two scripts of Chinese, told apart and converted by OpenCC."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from ...errors import UsageError, unknown
from ..example import Example

HANT, HANS = "zh-Hant", "zh-Hans"


@cache
def _converter(name: str) -> Any:
    try:
        import opencc
    except ImportError:
        raise UsageError(
            "Telling Chinese scripts apart needs OpenCC: pip install 'triptych[zh]'"
        ) from None
    return opencc.OpenCC(name)


def to_script(text: str, script: str) -> str:
    """`text` in traditional (zh-Hant) or simplified (zh-Hans) characters."""
    return _converter("t2s" if script == HANS else "s2t").convert(text)


def script_of(text: str) -> str | None:
    """zh-Hant or zh-Hans where a character shows it; None where both write the same, or where the
    two are mixed.
    """
    traditional, simplified = to_script(text, HANS) != text, to_script(text, HANT) != text
    if traditional == simplified:
        return None
    return HANT if traditional else HANS


def in_script(examples: Sequence[Example], script: str | None) -> list[Example]:
    """Examples with a Chinese target, their target language being its script: all converted to one
    (unset: zh-Hans), or "tagged".

    Tagged ones keep their characters; where both scripts write the same, or a line mixes the two, a
    tag would say nothing, and the line is left out.
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
