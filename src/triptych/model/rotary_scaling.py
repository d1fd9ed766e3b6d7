"""Scale the frequencies of rotary positions, for texts longer than those of the first training.

A scaling is the table that published models have in their config.json (`rope_type`, `factor`, ...).
Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

ORIGINAL = "original_max_position_embeddings"
LONG, SHORT = "long_factor", "short_factor"
# rope_type -> its keys that must be there, and those that may be
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "linear": (("factor",), ()),
    "dynamic": (("factor", ORIGINAL), ()),
    "llama3": (("factor", ORIGINAL, "low_freq_factor", "high_freq_factor"), ()),
    "yarn": (
        ("factor", ORIGINAL),
        ("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"),
    ),
    "longrope": ((ORIGINAL, LONG, SHORT), ("factor", "attention_factor")),
}
LARGEST = 1e30
BY_LENGTH = ("dynamic", "longrope")  # their frequencies depend on the length of the text


def scaling_problem(scaling: Mapping[str, Any], width: int, base: float = 1e4) -> str | None:
    """Return why a scaling does not fit `width` rotated columns and a base, or None.

    It is a sentence without a full stop.
    """
    kind = scaling.get("rope_type")
    if not isinstance(kind, str) or kind not in KEYS:
        return f"rotary_scaling.rope_type is {kind!r}; it must be one of {', '.join(KEYS)}"
    needed, others = KEYS[kind]
    for key in needed:
        if scaling.get(key) is None:
            return f"rotary_scaling of rope_type {kind!r} lacks {key}"
    for key, value in scaling.items():
        if key not in (*needed, *others, "rope_type"):
            return f"rotary_scaling has {key!r}; {kind} may have {', '.join((*needed, *others))}"
        if not _is_valid(key, value, width // 2):
            wanted = f"{width // 2} positive numbers" if key in (LONG, SHORT) else "above 0"
            return f"rotary_scaling.{key} is {value!r}; it must be {wanted}"
    if kind == "llama3" and scaling["high_freq_factor"] <= scaling["low_freq_factor"]:
        return "rotary_scaling.high_freq_factor must be above low_freq_factor"
    if kind in ("yarn", "longrope") and (scaling[ORIGINAL] <= 1 or base <= 1):
        return f"rotary_scaling of rope_type {kind!r} needs {ORIGINAL} and the base above 1"
    lacks_factor = scaling.get("factor") is None and scaling.get("attention_factor") is None
    if kind == "longrope" and lacks_factor:
        return "rotary_scaling of rope_type 'longrope' needs factor or attention_factor"
    return None


def _is_valid(key: str, value: Any, pairs: int) -> bool:
    if key in ("rope_type", "truncate"):
        return key == "rope_type" or isinstance(value, bool)
    if key in (LONG, SHORT):
        each = cast("list[Any]", value) if isinstance(value, list) else []
        return len(each) == pairs and all(map(_is_positive, each))
    return _is_positive(value) or (value is None and key != ORIGINAL)


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < LARGEST


def multipliers(
    scaling: Mapping[str, Any], frequencies: Sequence[float], base: float
) -> list[float]:
    """Return what each frequency is multiplied by, in texts of the first training's length."""
    kind: str = scaling["rope_type"]
    if kind == "linear":  # Chen et al. 2023
        return [1.0 / scaling["factor"]] * len(frequencies)
    if kind == "llama3":
        return [_llama3(scaling, one) for one in frequencies]
    if kind == "yarn":
        return _yarn(scaling, len(frequencies), base)
    if kind == "longrope":
        return [1.0 / one for one in scaling[SHORT]]
    return [1.0] * len(frequencies)


def _llama3(scaling: Mapping[str, Any], frequency: float) -> float:
    """Divide low frequencies by the factor, and blend between low and high (Llama 3.1)."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling[ORIGINAL] * frequency / (2 * math.pi)  # in a text of the first training
    share = min(1.0, max(0.0, (turns - low) / (high - low)))
    return (1.0 - share) / scaling["factor"] + share


def _yarn(scaling: Mapping[str, Any], pairs: int, base: float) -> list[float]:
    """Divide the frequencies by the factor, but for those that turn often (Peng et al. 2023)."""

    def pair(turns: float) -> float:
        """Return the pair that turns so often in a text of the first training."""
        return pairs * math.log(scaling[ORIGINAL] / (turns * 2 * math.pi)) / math.log(base)

    first, last = pair(scaling.get("beta_fast") or 32), pair(scaling.get("beta_slow") or 1)
    if scaling.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * pairs - 1)
    last = last if last != first else last + 0.001
    shares = [min(1.0, max(0.0, (one - first) / (last - first))) for one in range(pairs)]
    return [share / scaling["factor"] + 1.0 - share for share in shares]


def amplitude(scaling: Mapping[str, Any]) -> float:
    """Return the factor of cosines and sines: yarn and longrope sharpen attention in long texts."""
    kind, factor = scaling["rope_type"], scaling.get("factor") or 1.0
    if kind not in ("yarn", "longrope"):
        return 1.0
    if (given := scaling.get("attention_factor")) is not None:
        return float(given)
    if factor <= 1.0:
        return 1.0
    if kind == "longrope":  # Ding et al. 2024
        return math.sqrt(1.0 + math.log(factor) / math.log(scaling[ORIGINAL]))
    one, other = scaling.get("mscale"), scaling.get("mscale_all_dim")
    if one and other:
        return (0.1 * one * math.log(factor) + 1.0) / (0.1 * other * math.log(factor) + 1.0)
    return 0.1 * math.log(factor) + 1.0
