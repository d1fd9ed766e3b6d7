"""Merge a recipe with the command line, and anchor relative file names.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..data.hub.repository import is_reference
from ..data.segmentation.words import RULES
from ..errors import UsageError, brief

# These keys may be given beside model.start.
STARTING = ("start", "start_layers", "lora_rank", "lora_alpha", "lora_targets")
# These too, because no weight depends on them.
DROPOUTS = ("dropout", "attention_dropout", "inner_dropout")
LIMITS = ("steps", "epochs", "minutes")  # that end a run
BESIDE_START = (*STARTING, *DROPOUTS)

Table = Mapping[str, object]
Tables = dict[str, dict[str, object]]  # table of a recipe -> key -> value


def anchored(values: Mapping[str, Table], folder: Path) -> Tables:
    """Return the tables with file names relative to `folder`, that of the recipe file."""

    def anchor(name: str, key: str) -> str:
        if not name:
            raise UsageError("{key} is an empty file name. Name a file, or leave it out.", key=key)
        if "\0" in name:
            raise UsageError(
                "{key} is {brief}; a file name cannot have a NUL character.",
                key=key,
                brief=brief(repr(name)),
            )
        return name if is_reference(name) else str(folder.resolve() / name)

    data = dict(values.get("data", {}))
    for key in ("train", "validation", "test"):
        given, dotted = data.get(key), f"data.{key}"
        if isinstance(given, str):
            data[key] = anchor(given, dotted)
        elif isinstance(given, list):
            data[key] = [anchor(name, dotted) for name in given]
    model = dict(values.get("model", {}))
    if isinstance(start := model.get("start"), str):
        model["start"] = anchor(start, "model.start")
    training = dict(values.get("training", {}))
    if isinstance(teacher := training.get("teacher"), str):
        training["teacher"] = anchor(teacher, "training.teacher")
    task = dict(values.get("task", {}))
    # task.words may name a run that finds words, task.reference one that answers are compared with.
    if isinstance(words := task.get("words"), str) and words not in RULES:
        task["words"] = anchor(words, "task.words")
    if isinstance(reference := task.get("reference"), str):
        task["reference"] = anchor(reference, "task.reference")
    tables = {"task": task, "data": data, "model": model, "training": training}
    others = {name: dict(table) for name, table in values.items()}
    return {**others, **{name: table for name, table in tables.items() if table}}


def _refuse_beside_start(level: Tables) -> None:
    """Raise UsageError for settings of tokenizer and model beside model.start."""
    model = level.get("model", {})
    others = [f"model.{key}" for key in model if key not in BESIDE_START] + (
        ["tokenizer"] if "tokenizer" in level else []
    )
    if "start" in model and others:
        raise UsageError(
            "model.start takes tokenizer and model from {start}, so {names} cannot be given as "
            "well. Remove one or the other.",
            start=model["start"],
            names=", ".join(others),
        )


def merged(values: Tables, given: Tables) -> Tables:
    """Return `given` over `values`.

    A model.start in `given` removes what the recipe sets for tokenizer and model.
    """
    for level in (values, given):
        _refuse_beside_start(level)
    if "start" in given.get("model", {}):
        # Dropouts beside a preset were chosen for training from random weights.
        low = values.get("model", {})
        kept = {
            key: value
            for key, value in low.items()
            if key in (BESIDE_START if "start" in low else STARTING)
        }
        values = {
            **{key: value for key, value in values.items() if key not in ("model", "tokenizer")},
            "model": kept,
        }
    elif "start" in values.get("model", {}) and (
        "tokenizer" in given or set(given.get("model", {})) - set(BESIDE_START)
    ):
        raise UsageError(
            "The recipe starts from model.start = {start}: tokenizer and model "
            "come from there and cannot be given as well.",
            start=values["model"]["start"],
        )
    values = _other_source(_other_limit(values, given), given)
    if "preset" in given.get("model", {}) and given["model"]["preset"] != values.get(
        "model", {}
    ).get("preset"):
        values = {**values, "model": {}}  # settings of one preset do not fit another
    stated = given.get("model", {})
    model = {
        key: {dial: one for dial, one in value.items() if dial not in stated}
        if isinstance(value, dict)
        else value
        for key, value in values.get("model", {}).items()
    }
    # A setting of both stacks given last overrides those of each stack.
    low = {**values, "model": model} if model else values
    found = {
        name: _over(low.get(name, {}), given.get(name, {}))
        for name in dict.fromkeys((*low, *given))
    }
    lora = [key for key in ("lora_alpha", "lora_targets") if key in found.get("model", {})]
    if lora and found["model"].get("lora_rank") is None:
        raise UsageError(
            "model.{lora} has no effect without adapters: set model.lora_rank too, say to 8.",
            lora=lora[0],
        )
    return found


def _other_source(values: Tables, given: Tables) -> Tables:
    """Let own files given last replace the recipe's set and its options.

    A set given last replaces the recipe's files.
    """
    for level in (values, given):
        data = level.get("data", {})
        if data.get("set") is not None and data.get("train") is not None:
            raise UsageError(
                "data.set = {data!r} and data.train both name training data. Remove one of them.",
                data=data["set"],
            )
    data, stated = values.get("data", {}), given.get("data", {})
    # Columns given last replace all of the recipe's.
    if stated.get("columns") is not None or stated.get("fields") is not None:
        data = {key: value for key, value in data.items() if key not in ("columns", "fields")}
        values = {**values, "data": data}
    if stated.get("train") is not None and data.get("set") is not None:
        of_the_set = ("set", "script", "fold", "leaks")
        return {
            **values,
            "data": {key: value for key, value in data.items() if key not in of_the_set},
        }
    if stated.get("set") is not None and data.get("train") is not None:
        files = ("train", "validation", "test", "fields", "columns")
        return {**values, "data": {key: value for key, value in data.items() if key not in files}}
    return values


def _other_limit(values: Tables, given: Tables) -> Tables:
    """Let a limit given last (steps, epochs or minutes) replace a limit of another kind.

    One in steps or epochs also removes the recipe's validation by the clock, one in minutes its
    validation by steps.
    """
    limits = {key for key in LIMITS if given.get("training", {}).get(key) is not None}
    if not limits or limits == set(LIMITS):
        return values
    training = {
        key: value
        for key, value in values.get("training", {}).items()
        if key not in set(LIMITS) - limits
    }
    validation = dict(values.get("validation", {}))
    if len(limits) == 1:
        validation.pop("every_steps" if "minutes" in limits else "every_minutes", None)
    return {**values, "training": training, "validation": validation}


def _over(low: Table, high: Table) -> dict[str, object]:
    """Return `high` over `low`, tables within them too."""
    result = dict(low)
    for key, value in high.items():
        before = low.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = _over(before, value)
        else:
            result[key] = value
    return result


def without_none(values: Mapping[str, object]) -> dict[str, object]:
    return {
        key: without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
