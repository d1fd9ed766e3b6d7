"""Run `triptych doctor`: check a run's model by computing the same numbers in two ways."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import UsageError, unknown
from ..messages import message
from .console import put, table, talk
from .language import translated
from .loading import load_run

if TYPE_CHECKING:
    from ..data.batches.encoded import Encoded
    from ..inference.predictor import Predictor
    from ..inspection.doctor import Check

SENTENCES = 8
LONGEST = 128  # tokens of a sentence, at most
HEADS = (
    message("check"),
    message("precision"),
    message("difference"),
    message("allowed"),
    message("result"),
)
NAMES = {
    "alone = in a batch": message("alone = in a batch"),
    "left = right padding": message("left = right padding"),
    "cache = no cache": message("cache = no cache"),
    "fused = plain": message("fused = plain"),
    "micro-batches = one batch": message("micro-batches = one batch"),
}
RESULTS = {
    "passed": message("passed"),
    "failed": message("FAILED"),
    "none": message("nothing to compare"),
}


def doctor(
    run: str,
    /,
    *,
    precision: str = "float32,bfloat16",
    examples: int = SENTENCES,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Check a run's own model: the same numbers, computed in two ways, must agree.

    Alone and in a batch, padded to the left and to the right, with a cache and without, by a fused
    kernel and by the formula, in one batch and in several micro-batches (their gradients). The exit
    code is 1 if a check fails.

    Parameters
    ----------
    run
        Folder of a trained run.
    precision
        Number formats to check, separated by commas: float32, bfloat16.

    Examples:
        Development sentences to check on; random tokens where the run's data is not here.
    json_
        Print one JSON object as the last line.
    """
    precisions = _precisions(precision)
    if examples < 2:
        raise UsageError("--examples is {count}; it must be 2 or more.", count=examples)
    from ..inspection.doctor import examine

    predictor = load_run(run)
    encoded = _encoded(predictor, examples)
    found = examine(predictor.model, predictor.head, predictor.task, encoded, precisions)
    failed = [one for one in found if one.result == "failed"]
    if json_:
        content = {
            "run": run,
            "passed": not failed,
            "sentences": len(encoded),
            "checks": [one.to_json() for one in found],
        }
        put(json.dumps(content, ensure_ascii=False))
        return 1 if failed else 0
    _put_table(found, len(failed))
    return 1 if failed else 0


def _put_table(found: Sequence[Check], failed: int) -> None:
    """Print the checks as a table, and a sentence on them."""
    rows = [
        [
            translated(NAMES[one.name]),
            one.precision,
            "" if one.difference is None else f"{one.difference:.1e}",
            "" if one.difference is None else f"{one.allowed:.0e}",
            translated(RESULTS[one.result]),
        ]
        for one in found
    ]
    put(table([[*map(translated, HEADS)], *rows], right=False))
    talk(
        message("All checks passed.")
        if not failed
        else message(
            "{count} checks failed: the answers of this model depend on how they are computed.",
            count=failed,
        )
    )


def _precisions(given: str) -> list[str]:
    known = ["float32", "bfloat16"]
    names = [one.strip() for one in given.split(",") if one.strip()]
    for name in names:
        if name not in known:
            raise unknown("precision", name, known)
    if not names:
        raise UsageError(
            message("--precision names no number format. Give float32, bfloat16 or both.")
        )
    return list(dict.fromkeys(names))


def _encoded(predictor: Predictor, count: int) -> Sequence[Encoded]:
    """Return development sentences with their targets, or random ones without the data."""
    from ..inference.evaluation import encode_all
    from ..setup.development import development_examples

    examples = development_examples(predictor, count)
    found = encode_all(predictor.task, examples, predictor.tokenizers, predictor.labels)
    short = [
        one
        for one in found
        if all(len(ids) <= LONGEST for ids in one.inputs.values()) and one.weight
    ]
    if len(short) >= 2:
        return short[:count]
    talk(message("The run's development data is not here, so random tokens are checked."))
    return _random(predictor, count)


def _random(predictor: Predictor, count: int) -> Sequence[Encoded]:
    """Return Examples of random tokens, encoded by the task.

    Raises UsageError for a task that cannot learn from text alone.
    """
    from ..data.example import Example
    from ..inference.evaluation import encode_all
    from ..inspection.samples import random_texts

    texts = random_texts(predictor.tokenizers.source, count)
    needs, labels = set(predictor.task.needs), predictor.labels
    languages = labels.get("languages", {}).get("targets", [None])
    names = labels.get("labels", [None])
    examples = [
        Example(
            **{
                key: value
                for key, value in {
                    "text": text,
                    "source": text,
                    "target": text,
                    "label": names[place % len(names)],
                }.items()
                if key in needs
            },
            target_language=languages[place % len(languages)] if languages else None,
        )
        for place, text in enumerate(texts)
    ]
    if not needs <= {"text", "source", "target", "label"}:
        raise UsageError(
            "A run for {task} is checked on its development data, which is not here. Give it the "
            "data that its recipe names.",
            task=predictor.task.name,
        )
    return encode_all(predictor.task, examples, predictor.tokenizers, labels)
