"""Weigh the texts of each class in the loss of classification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from ..data.example import Example
from ..errors import unknown


def weights_of(
    examples: Sequence[Example], given: Literal["balanced"] | Mapping[str, float]
) -> dict[str, float]:
    """Return the weight of each label in the loss, 1 for those that are not named.

    They are scaled to a mean of 1 over the training texts, so that the loss is the weighted sum
    over the sum of the weights, and the learning rate keeps its meaning.

    Args:
        examples: The training texts.
        given: Label -> weight; or "balanced", which gives every label the same total weight.

    Raises:
        UsageError: A label is not in the training data.
    """
    counts = Counter(example.label or "" for example in examples)
    if given == "balanced":
        raw = {name: 1 / count for name, count in counts.items()}
    else:
        for name in given:
            if name not in counts:
                raise unknown("label", name, counts, "in task.class_weights")
        raw = {name: float(given.get(name, 1.0)) for name in counts}
    mean = sum(raw[name] * count for name, count in counts.items()) / counts.total()
    return {name: raw[name] / mean for name in sorted(raw)}
