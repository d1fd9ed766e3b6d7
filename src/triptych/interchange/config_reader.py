"""The config.json of another library as dials, and back: what the families share. Imports no
torch.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from ..errors import RunError, brief
from ..model.config import Activation, StackConfig
from ..model.dials import SET_ONLY

TINY = sys.float_info.min  # above 0
LARGEST = 1 << 63  # what no size of a tensor reaches
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def read_dials(
    values: Mapping[str, Any],
    where: str,
    keys: Mapping[str, str],
    defaults: Mapping[str, Any],
    plain: Mapping[str, Any],
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """Dial -> value. keys: dial -> key; defaults: dial -> what is meant where the key is missing;
    plain: key -> what it must be where it stands; problems: what was found before. Raises RunError
    naming everything that does not fit at once.
    """
    found = [
        f"{key} is missing"
        for dial, key in [*keys.items(), ("", "vocab_size")]
        if key not in values and dial not in defaults
    ]
    if "vocab_size" in values and not _fits(values["vocab_size"], int, 1):
        found.append(f"vocab_size is {brief(repr(values['vocab_size']))}")
    found += [
        f"{key} is {brief(repr(values[key]))}, not {wanted!r}"
        for key, wanted in plain.items()
        if key in values and values[key] not in (wanted, None)
    ]
    dials = {dial: values.get(key, defaults.get(dial)) for dial, key in keys.items()}
    for dial, value in dials.items():
        wanted: Any = (
            str
            if dial == "activation"
            else (int, float)
            if isinstance(defaults.get(dial), float)
            else int
        )
        least = (
            TINY
            if dial in ("norm_epsilon", "rotary_base")
            else 0
            if wanted is not int or dial == "segments"
            else 1
        )
        below = 1 if dial.endswith("dropout") else math.inf
        if keys[dial] in values and not _fits(value, wanted, least, below):
            found.append(f"{keys[dial]} is {brief(repr(value))}")
    sizes = width, heads, key_heads = (
        dials["width"],
        dials["heads"],
        dials.get("key_heads", dials["heads"]),
    )
    if all(_fits(one, int, 1) for one in sizes) and (width % heads or heads % key_heads):
        found.append(
            f"{keys['width']} {width}, {heads} heads and {key_heads} of keys: each must be a "
            "multiple of the next"
        )
    if isinstance(dials["activation"], str) and dials["activation"] not in ACTIVATIONS:
        found.append(
            f"{keys['activation']} is {brief(repr(dials['activation']))}, not one of "
            f"{', '.join(ACTIVATIONS)}"
        )
    found += problems
    if found:
        raise RunError(
            f"{where} describes a model that triptych does not have: {'; '.join(found)}."
        )
    return {**dials, "activation": ACTIVATIONS[dials["activation"]]}


def _fits(value: Any, kind: Any, least: float = 0, below: float = math.inf) -> TypeGuard[Any]:
    """Whether a value of a config.json is of a kind (a text, a whole number, a number) and in its
    range.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, str) or least <= value < min(
        below, LARGEST if isinstance(value, int) else below
    )


def written_dials(stack: StackConfig, keys: Mapping[str, str]) -> dict[str, Any]:
    """Key -> value of the dials that have a key there."""
    names = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    return {
        key: names[stack.activation] if dial == "activation" else getattr(stack, dial)
        for dial, key in keys.items()
    }


def differences(values: Any, wanted: Mapping[str, Any], side: str = "") -> list[str]:
    """The dials that are not as `wanted`, a part of a sentence each."""
    if isinstance(values, StackConfig):  # which no format that is written here has a key for
        wanted = {**wanted, **dict.fromkeys(SET_ONLY)}
    return [
        f"{side}{dial} is {getattr(values, dial)!r} instead of {value!r}"
        for dial, value in wanted.items()
        if getattr(values, dial) != value
    ]
