"""Check the shapes of a run folder's JSON files before their values are used.

Imports no torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..checking import check_instance
from ..errors import RunError, UsageError, brief
from ..model.config import AnyConfig, ModelConfig, RecurrentConfig, StackConfig

Dials = TypeVar("Dials", StackConfig, ModelConfig, RecurrentConfig)
WAY_OUT = "Copy it again, or train the run again."

# config.json --------------------------------------------------------------------------------------

OF_CONFIG: dict[str, type] = {
    "task": str,
    "options": dict,
    "languages": dict,
    "tokenizers": dict,
    "decoding": dict,
    "parameters": int,
    "name": str,
    "code": dict,
}


def config_values(values: dict[str, Any]) -> dict[str, Any]:
    """Check the types of config.json's values beside its model.

    Raises ValueError for a wrong one.
    """
    for name, value in values.items():
        if not isinstance(value, OF_CONFIG.get(name, object)):
            raise ValueError(f"{name} is {brief(repr(value))}")
    lists = values.get("languages", {}).values()
    if not all(
        isinstance(several, list) and all(isinstance(one, str) for one in several)
        for several in lists
    ):
        raise ValueError(f"languages is {brief(repr(values['languages']))}")
    if not all(isinstance(file, str) for file in values.get("tokenizers", {}).values()):
        raise ValueError(f"tokenizers is {brief(repr(values['tokenizers']))}")
    return values


def model_config(values: dict[str, object]) -> AnyConfig:
    """Read the model's configuration out of config.json.

    Raises ValueError, TypeError or KeyError for values that are not a model.
    """
    kind = values.pop("kind")
    if kind == "recurrent":
        return _dials(values, RecurrentConfig, "model")
    if kind != "transformer":
        raise ValueError(f"model kind {brief(repr(kind))} is neither 'transformer' nor 'recurrent'")
    stacks: dict[str, StackConfig | None] = {}
    for side in ("encoder", "decoder"):
        dials = values.pop(side)
        stacks[side] = None if dials is None else _dials(dials, StackConfig, f"model.{side}")
    if not any(stacks.values()):
        raise ValueError("the model has neither an encoder nor a decoder")
    config = dataclasses.replace(_dials(values, ModelConfig, "model"), **stacks)
    for sentence in config.contradictions("model"):
        raise ValueError(sentence)
    return config


def _dials(values: object, kind: type[Dials], table: str) -> Dials:
    """Build a configuration. Raise ValueError for a value that no model can have."""
    if not isinstance(values, dict):
        raise ValueError(f"{brief(repr(values))} is not a JSON object")
    found = kind(**values)  # the dataclass refuses an unknown key
    try:
        check_instance(found, table)
    except UsageError as error:
        raise ValueError(str(error).removesuffix(".")) from None
    return found


# labels.json and import.json ----------------------------------------------------------------------

OF_LABELS: dict[str, type] = {
    "labels": list[str],
    "names": list[str],
    "upos": list[str],
    "relations": list[str],
    "tags": list[str],
    "roles": list[str],
    "scheme": str,
    "written": str,
    "unit": str,
    "spaces": str,
    "words": dict[str, str],
    "template": dict[str, str],
    "languages": dict[str, list[str]],
    "value": dict[str, float],
    "class_weights": dict[str, float],
    "mask": bool,
    "pooler": bool,
    "no_answer": bool,
}
OF_IMPORT: dict[str, type] = {
    "files": dict[str, dict],
    "ignored": dict[str, str],
    "tied": dict[str, str],
    "casts": dict[str, str],
    "config": dict,
    "source": str,
    "tokenizer_config": dict,
    "generation_config": dict,
    "hub": dict[str, str],
    "adapter": dict,
    "model_type": str,
    "mapped": int,
    "notes": list[str],
    "kept": list[str],
}


def checked_labels(values: object, path: Path) -> dict[str, Any]:
    """Return the labels of a run. Raise RunError where labels.json has another shape."""
    return _checked(values, OF_LABELS, path)


def lacking_labels(values: Mapping[str, Any], needed: Sequence[str], task: str, path: Path) -> None:
    """Raise RunError where labels.json lacks a dotted key that a run for `task` needs.

    One of several keys, "a.b|a.c", is enough.
    """
    if "value" in values:  # the scale of a learnt number
        needed = (*needed, *(f"value.{name}" for name in ("mean", "deviation", "low", "high")))
    for several in needed:
        name = several.split("|")[0]
        if not any(_has(values, one) for one in several.split("|")):
            raise RunError(
                f"{path} has no '{name}', which a run for {task} needs: the file is damaged, or "
                f"belongs to another run. {WAY_OUT}"
            )


def _has(values: Mapping[str, Any], name: str) -> bool:
    first, _, inner = name.partition(".")
    return first in values and (not inner or inner in values[first])


def checked_import(values: object, path: Path) -> dict[str, Any]:
    """Return the record of an import. Raise RunError where import.json has another shape."""
    found = _checked(values, OF_IMPORT, path)
    for name in ("files", "ignored", "tied", "mapped", "source", "model_type"):
        if name not in found:
            raise RunError(f"{path} has no '{name}': the file is damaged. {WAY_OUT}")
    if not all(isinstance(mark.get("sha256"), str) for mark in found["files"].values()):
        raise RunError(f"{path}: 'files' holds no SHA-256 for each file. {WAY_OUT}")
    return found


def _checked(values: object, shapes: Mapping[str, type], path: Path) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise RunError(
            f"{path} holds {_kind(values)} instead of a JSON object: the file is damaged. {WAY_OUT}"
        )
    for name, shape in shapes.items():
        if name in values and not _fits(values[name], shape):
            given = brief(repr(values[name]), 60)
            raise RunError(
                f"{path}: '{name}' is {given}, which is not {_wanted(shape)}: the file is "
                f"damaged. {WAY_OUT}"
            )
    return values


def _fits(value: object, shape: type) -> bool:
    kind, inside = typing.get_origin(shape) or shape, typing.get_args(shape)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if not isinstance(value, kind):
        return False
    if isinstance(value, list) and inside:
        return all(_fits(one, inside[0]) for one in value)
    if isinstance(value, dict) and inside:
        return all(_fits(one, inside[1]) for one in value.values())
    return True


def _wanted(shape: type) -> str:
    names = {
        str: "a text",
        bool: "true or false",
        int: "a whole number",
        list: "a list",
        dict: "an object",
        float: "a number",
    }
    inside = typing.get_args(shape)
    of = (
        f" of {names.get(typing.get_origin(inside[-1]) or inside[-1], 'values').split(' ', 1)[-1]}s"
        if inside
        else ""
    )
    return names[typing.get_origin(shape) or shape] + of


def _kind(value: object) -> str:
    names = {
        list: "a list",
        str: "a text",
        int: "a number",
        float: "a number",
        bool: "true or false",
    }
    return names.get(type(value), "null")


# metrics.jsonl ------------------------------------------------------------------------------------

NUMBERS = ("seconds", "epoch", "loss")  # keys of a line whose value must be a number


def metrics_lines(
    content: bytes, path: Path, tell: Callable[[str], None] | None = None
) -> list[dict[str, Any]]:
    """Return the complete lines of metrics.jsonl.

    `tell` is called with a sentence about damaged lines. A last line without an end was cut off
    when the process was killed, and is skipped without a message.
    """
    found, damaged = [], []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        if not line.strip():
            continue
        values: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(line)
        fits = isinstance(values, dict) and type(values.get("step", 0)) is int
        if fits and all(_fits(values.get(name, 0.0), float) for name in NUMBERS):
            found.append(values)
        else:
            damaged.append(number)
    if damaged and tell is not None:
        shown = ", ".join(map(str, damaged[:5])) + (
            f" and {len(damaged) - 5:,} more" if len(damaged) > 5 else ""
        )
        tell(f"{path}: damaged and skipped: line {shown}.")
    return found
