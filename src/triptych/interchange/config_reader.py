"""Convert another library's config.json to settings and back. Imports no torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict

from ..errors import RunError, brief
from ..messages import message
from ..model.config import Activation, ModelConfig, Positions, StackConfig
from ..model.dials import unset

Kind = type[str] | type[int] | tuple[type[int], type[float]]
TINY = sys.float_info.min  # the least value above 0
LARGEST = 1 << 63  # larger than any size of a tensor
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


class FamilySettings(TypedDict):
    """Hold the settings that make a stack a member of a family."""

    positions: Positions
    norm_placement: Literal["post", "pre"]
    norm: Literal["layer", "rms"]
    gated: bool
    embedding_norm: bool
    segments: int
    inner_dropout: float


class FamilySettingsWithBias(FamilySettings):
    """Hold such settings of a family in which all or no linear layers have a bias."""

    bias: bool


def read_settings(
    values: Mapping[str, object],
    where: str,
    keys: Mapping[str, str],
    defaults: Mapping[str, object],
    plain: Mapping[str, object],
    problems: Sequence[str] = (),
    heads_divide: bool = True,
) -> dict[str, Any]:
    """Return the value of each setting in a config.json. Raises RunError naming all problems.

    keys: setting -> key. defaults: setting -> value of a missing key. plain: key -> only value.
    heads_divide: the width is a multiple of the heads, which have no width of their own.
    """
    found = [
        f"{key} is missing"
        for setting, key in [*keys.items(), ("", "vocab_size")]
        if key not in values and setting not in defaults
    ]
    if "vocab_size" in values and not _fits(values["vocab_size"], int, 1):
        found.append(f"vocab_size is {brief(repr(values['vocab_size']))}")
    found += [
        f"{key} is {brief(repr(values[key]))}, not {wanted!r}"
        for key, wanted in plain.items()
        if key in values and values[key] not in (wanted, None)
    ]
    # `_misfits` checks their types, one by one.
    settings: dict[str, Any] = {
        setting: values.get(key, defaults.get(setting)) for setting, key in keys.items()
    }
    found += _misfits(settings, values, keys, defaults)
    sizes = width, heads, key_heads = (
        settings["width"],
        settings["heads"],
        settings.get("key_heads", settings["heads"]),
    )
    if all(_fits(one, int, 1) for one in sizes) and (
        (heads_divide and width % heads) or heads % key_heads
    ):
        found.append(
            f"{keys['width']} {width}, {heads} heads and {key_heads} key heads: each must be a "
            "multiple of the next"
        )
    if isinstance(settings["activation"], str) and settings["activation"] not in ACTIVATIONS:
        found.append(
            f"{keys['activation']} is {brief(repr(settings['activation']))}, not one of "
            f"{', '.join(ACTIVATIONS)}"
        )
    found += problems
    if found:
        raise RunError(
            f"{where} describes a model that triptych does not have: {'; '.join(found)}."
        )
    return {**settings, "activation": ACTIVATIONS[settings["activation"]]}


def _misfits(
    settings: Mapping[str, object],
    values: Mapping[str, object],
    keys: Mapping[str, str],
    defaults: Mapping[str, object],
) -> Iterator[str]:
    """Yield the keys whose value has another type than its setting, or is out of range."""
    for setting, value in settings.items():
        wanted: Kind = (
            str
            if setting == "activation"
            else (int, float)
            if isinstance(defaults.get(setting), float)
            else int
        )
        least = (
            TINY
            if setting in ("norm_epsilon", "rotary_base")
            else 0
            if wanted is not int or setting == "segments"
            else 1
        )
        below = 1 if setting.endswith("dropout") else math.inf
        if keys[setting] in values and not _fits(value, wanted, least, below):
            yield f"{keys[setting]} is {brief(repr(value))}"


def vocabulary_size(values: Mapping[str, object]) -> int:
    """Return the vocabulary size of a config.json that `read_settings` accepted."""
    size = values["vocab_size"]
    assert isinstance(size, int), "read_settings refuses another type"
    return size


def _fits(value: object, kind: Kind, least: float = 0, below: float = math.inf) -> bool:
    """Tell whether a value of a config.json has a type (text, integer, number) and is in range."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, str) or least <= value < min(
        below, LARGEST if isinstance(value, int) else below
    )


def written_settings(stack: StackConfig, keys: Mapping[str, str]) -> dict[str, object]:
    """Return the settings as key -> value, for those that have a key."""
    names = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    return {
        key: names[stack.activation] if setting == "activation" else getattr(stack, setting)
        for setting, key in keys.items()
    }


def differences(
    values: StackConfig | ModelConfig,
    wanted: Mapping[str, object],
    side: str = "",
    alone: bool = False,
) -> list[str]:
    """List the settings that differ from `wanted`, each as part of a sentence.

    Dials that few families have must be unset, unless they are in `wanted`, or it is given `alone`.
    """
    if not alone:
        wanted = {**unset(values), **wanted}
    return [
        message(
            "{key} is {value} instead of {wanted}",
            key=side + setting,
            value=repr(getattr(values, setting)),
            wanted=repr(value),
        )
        for setting, value in wanted.items()
        if getattr(values, setting) != value
    ]
