"""Give an imported model the task, the options and the labels that its head was trained for.

A folder that `export` wrote says them itself, under one key of config.json; for others they follow
from the class and from `id2label`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ..data.formats import bio
from ..errors import RunError, brief
from ..interchange.family import UNSET, PublishedClass
from ..interchange.name_map import NameMap
from ..model.config import ModelConfig
from ..tasks import classification, embedding, masked_words, question_answering, tagging
from ..tasks.specs import SPECS, build_task
from .classes import ENDS, Form

if TYPE_CHECKING:
    from torch import Tensor

OWN = "triptych"  # the key of config.json
FARTHEST = 1e12  # bounds of a regression whose texts are not known
MOST_WITHHELD = 10_000  # numbers of a tensor that is written into config.json
TASKS = {  # head -> task
    "pooling": embedding.SPEC.name,
    "masked-tokens": masked_words.SPEC.name,
    "classifier": classification.SPEC.name,
    "tagger": tagging.SPEC.name,
    "span": question_answering.SPEC.name,
}


@dataclass(kw_only=True)
class Use:
    """Hold what an imported model is for.

    held: tensors of ours that the other library has no place for, as numbers.
    """

    task: str
    options: dict[str, object]
    labels: dict[str, object]
    held: dict[str, Any] = field(default_factory=dict)


def own_values(
    form: Form, labels: Mapping[str, object], names: NameMap, tensors: Mapping[str, Tensor]
) -> dict[str, object]:
    """Return what an export says of its task, from which an import makes the same run."""
    held = {
        name: tensors[name].tolist()
        for name in names.withheld(tensors)
        if tensors[name].numel() <= MOST_WITHHELD and bool(tensors[name].isfinite().all())
    }
    return {
        "task": form.task,
        "options": dict(form.options),
        "labels": dict(labels),
        **({"held": held} if held else {}),
    }


def own_use(values: Mapping[str, object], where: str) -> Use | None:
    """Return what an exported folder says of its task, or None for another folder."""
    given = values.get(OWN)
    if given is None:
        return None
    parts = given if isinstance(given, dict) else {}
    task, options, labels, held = (
        parts.get("task"),
        parts.get("options"),
        parts.get("labels"),
        parts.get("held", {}),
    )
    if not isinstance(task, str) or task not in SPECS:
        raise RunError(
            f"{where}: {OWN}.task is {brief(repr(task))}, not a task. Remove the key {OWN} to "
            "import the folder by its class."
        )
    if not all(isinstance(one, dict) for one in (options, labels, held)):
        raise RunError(
            f"{where}: {OWN} needs the tables options and labels. Remove the key {OWN} to import "
            "the folder by its class."
        )
    chosen = build_task(task, cast("dict[str, object]", options))
    return Use(
        task=task,
        options=dict(chosen.options),
        labels=dict(cast("dict[str, object]", labels)),
        held=dict(held),
    )


def use_of(
    published: PublishedClass, values: Mapping[str, object], config: ModelConfig, where: str
) -> Use:
    """Return the task, options and labels of a class of an encoder."""
    task = TASKS[published.head]
    unset = UNSET.get(published.head, {})
    options = {
        key: value
        for key, value in published.computed(config).items()
        if key not in unset or value != unset[key]
    }
    labels: dict[str, object] = {}
    if published.head == "classifier":
        learn, labels = _classes(values, where)
        options["learn"] = learn
    elif published.head == "tagger":
        labels = _tags(values, where)
    elif published.head == "span":
        labels = {"languages": {"source": []}, "no_answer": False}
    elif published.head == "masked-tokens":
        labels = {"mask": True}
    return Use(task=task, options=_fitting(task, options, config), labels=labels)


def _fitting(task: str, options: dict[str, object], config: ModelConfig) -> dict[str, object]:
    """Return options whose window the model's positions hold."""
    room, usual = config.context("source"), build_task(task, {}).options
    window = usual.get("window")
    if room is None or not isinstance(window, int) or window <= room - ENDS:
        return options
    found: dict[str, object] = {**options, "window": room - ENDS}
    if task == question_answering.SPEC.name:
        found |= {"longest_question": room // 4, "stride": room // 4}
    elif task in (classification.SPEC.name, tagging.SPEC.name):
        found["stride"] = (room - ENDS) // 2
    return found


def _names(values: Mapping[str, object], where: str) -> list[str]:
    """Return the labels in the order of the outputs, from id2label."""
    given = values.get("id2label")
    if given is None:
        count = values.get("num_labels", 2)
        given = {str(one): f"LABEL_{one}" for one in range(count if type(count) is int else 2)}
    if not isinstance(given, dict):
        raise RunError(f"{where}: id2label is {brief(repr(given))}, not a table. Copy it again.")
    table = cast("dict[str, object]", given)
    names = [table.get(str(place)) for place in range(len(table))]
    if not names or not all(isinstance(one, str) for one in names):
        raise RunError(
            f"{where}: id2label is {brief(repr(given))}; it must name a label for each number from "
            "0 on. Copy it again."
        )
    found = [str(one) for one in names]
    if len(set(found)) < len(found):
        twice = next(one for one in found if found.count(one) > 1)
        raise RunError(f"{where}: id2label has the label {twice!r} twice. Rename one of them.")
    return found


def _classes(values: Mapping[str, object], where: str) -> tuple[str, dict[str, object]]:
    """Return what is learnt, and the labels, of a SequenceClassification class."""
    kind = values.get("problem_type")
    names = _names(values, where)
    if kind == "regression" or (kind is None and len(names) == 1):
        if len(names) > 1:
            raise RunError(
                f"{where} is a regression with {len(names)} numbers; triptych predicts one."
            )
        scale = {"mean": 0.0, "deviation": 1.0, "low": -FARTHEST, "high": FARTHEST}
        return "value", {"value": scale}
    return "labels" if kind == "multi_label_classification" else "label", {"labels": names}


def _tags(values: Mapping[str, object], where: str) -> dict[str, object]:
    """Return the labels of a TokenClassification class: spans if they are written as BIO is."""
    names = _names(values, where)
    scheme = bio.scheme_of(names)
    begun = {name[2:] for name in names if name.startswith("B-")}
    if any(name.startswith("I-") and name[2:] not in begun for name in names):
        scheme = "plain"  # I- alone, which no rule of spans allows after O
    return {
        "words": {"rules": "unicode"},
        "spaces": "text",
        "names": names,
        "scheme": scheme,
        "written": scheme,
        "unit": "word",
    }
