"""The two scripts of Chinese, told apart and converted by OpenCC."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..errors import UsageError

HANT, HANS = "zh-Hant", "zh-Hans"


@cache
def _converter(name: str) -> Any:
    try:
        import opencc
    except ImportError:
        raise UsageError("Telling Chinese scripts apart needs OpenCC: pip install 'triptych[zh]'") from None
    return opencc.OpenCC(name)


def to_script(text: str, script: str) -> str:
    """`text` in traditional (zh-Hant) or simplified (zh-Hans) characters."""
    return _converter("t2s" if script == HANS else "s2t").convert(text)


def script_of(text: str) -> str | None:
    """zh-Hant or zh-Hans where a character shows it; None where both write the same, or where the two are mixed."""
    traditional, simplified = to_script(text, HANS) != text, to_script(text, HANT) != text
    if traditional == simplified:
        return None
    return HANT if traditional else HANS
