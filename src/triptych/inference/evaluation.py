"""Compute losses of examples, and scores of answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ..data.batches.encoded import Encoded, collate
from ..data.batches.order import length_batches
from ..data.example import Example
from ..data.features.clips import clip_seconds
from ..data.tokenizers.sides import Tokenizers
from ..messages import message
from ..model.heads.tokens import output_of
from ..tasks.calibration import FEWEST
from ..tasks.task import Labels, Prediction, Scores, Task

if TYPE_CHECKING:
    from .loaded import Done, LoadedModel

Sums = dict[str, tuple[float, int]]  # each loss as its sum and the number of its terms


@dataclass(frozen=True)
class Evaluation:
    """Hold answers and their scores.

    Args:
        predictions: The answers.
        scores: Their scores against the targets.
        seconds: Time of answering, without losses and scores; None where the task gives no answers.
        threads: Number of threads that could compute.
    """

    predictions: list[Prediction]
    scores: Scores
    seconds: float | None
    threads: int


def encode_all(
    task: Task, examples: Sequence[Example], tokenizers: Tokenizers, labels: Labels
) -> list[Encoded]:
    """Return all examples encoded with their targets, without sampling, with their numbers."""
    encoded = []
    for index, example in enumerate(examples):
        for one in task.encode(example, tokenizers, labels, "train", None):
            one.index = index
            encoded.append(one)
    return encoded


@torch.no_grad()
def loss_sums(loaded: LoadedModel, examples: Sequence[Example], done: Done | None = None) -> Sums:
    """Return every loss of the task over `examples` as a sum, without dropout.

    `done` receives after each batch how many examples it held.
    """
    encoded = encode_all(loaded.task, examples, loaded.tokenizers, loaded.labels)
    pieces = Counter(one.index for one in encoded)
    sums: Sums = {}
    for places in length_batches(encoded, 4096):
        batch = collate([encoded[place] for place in places]).to(loaded.device)
        output = output_of(loaded.model, loaded.head, batch.inputs)
        for name, (value, count, _) in loaded.task.loss(output, batch).items():
            total, whole = sums.get(name, (0.0, 0))
            sums[name] = total + float(value), whole + count
        if done is not None:
            done(sum(1 / pieces[encoded[place].index] for place in places))
    return sums


def with_real_time(scores: Scores, examples: Sequence[Example], seconds: float) -> Scores:
    """Return scores with real_time_factor: seconds of answering for each second of sound."""
    total = sum(clip_seconds(one) for one in examples)
    if not total:
        return scores
    return replace(scores, values={**scores.values, "real_time_factor": seconds / total})


def means(*sums: Sums) -> dict[str, float]:
    """Return the mean of every loss over all of `sums`.

    A loss without any term is left out: nothing is known of it, and 0 would be the best there is.
    "count" is the number of terms of the first loss.
    """
    names = list(dict.fromkeys(name for one in sums for name in one))
    parts = {name: [one[name] for one in sums if name in one] for name in names}
    counts = {name: sum(count for _, count in each) for name, each in parts.items()}
    found = {
        name: sum(total for total, _ in each) / counts[name]
        for name, each in parts.items()
        if counts[name]
    }
    return {**found, "count": float(next(iter(counts.values()), 0))}


def uncalibrated(loaded: LoadedModel) -> str | None:
    """Return a sentence if no temperature was fitted to a head that can have one."""
    temperature = getattr(loaded.head, "temperature", None)
    if loaded.task.calibrate is None or not isinstance(temperature, torch.Tensor):
        return None
    if float(temperature) != 1.0:
        return None
    return message(
        "No temperature is fitted to this run (task.calibrate needs at least {fewest} validation "
        "texts), so its probabilities may be too high.",
        fewest=FEWEST,
    )
