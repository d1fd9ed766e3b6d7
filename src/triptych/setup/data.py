"""Run the second stage: load the examples of a recipe and compute their fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..data.batches.streaming import Corpus
from ..data.example import Example
from ..data.load import evenly_spaced, load_splits
from ..training import streamed
from ..training.resuming import Fingerprints, fingerprints_of, refuse_other_data
from .resolve import Resolved


@dataclass(frozen=True, kw_only=True)
class LoadedData:
    """Hold what a recipe's table `data` names.

    Args:
        resolved: The result of the stage before.
        examples: The training examples; of a streamed set a sample.
        validation: As many validation examples as are used.
        fingerprints: Show whether the data has changed.
        corpus: A streamed set, read while training.
    """

    resolved: Resolved
    examples: Sequence[Example]
    validation: Sequence[Example]
    fingerprints: Fingerprints
    corpus: Corpus | None


def load_data(resolved: Resolved) -> LoadedData:
    """Read the examples.

    Raises DataError or UsageError, also where the data of a resumed run has changed.
    """
    recipe, task, report = resolved.recipe, resolved.task, resolved.report
    corpus = Corpus(recipe.data, report) if recipe.data.stream else None
    examples: Sequence[Example]
    validation: Sequence[Example]
    if corpus is None:
        parts = load_splits(recipe.data, ("train", "validation"), report, task.needs)
        examples = evenly_spaced(parts["train"], recipe.data.examples)
        validation = parts["validation"]
    else:
        examples, validation = streamed.begin(
            recipe.data, corpus, None if resolved.dry else resolved.origin, task, report
        )
    marks = fingerprints_of(recipe.data, {"train": examples, "validation": validation})
    refuse_other_data(resolved.before, marks, resolved.data_changed, report)
    return LoadedData(
        resolved=resolved,
        examples=examples,
        validation=evenly_spaced(validation, recipe.validation.examples),
        fingerprints=marks,
        corpus=corpus,
    )
