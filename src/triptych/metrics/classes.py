"""Score each class by itself: precision, recall and F1, and which classes are confused.

Percentages run from 0 to 100. They equal scikit-learn's `precision_recall_fscore_support` and
`confusion_matrix` (tests/metrics).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from .spans import SpanCounts, SpanScores


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Hold the scores of one class.

    support: how often it is in the references; found: how often it was answered.
    """

    precision: float
    recall: float
    f1: float
    support: int
    found: int = 0

    @classmethod
    def of(cls, counts: SpanCounts) -> ClassScores:
        return cls(counts.precision, counts.recall, counts.f1, counts.given, counts.found)

    @property
    def occurs(self) -> bool:
        """Tell whether references or answers have the class, so that it has scores."""
        return bool(self.support or self.found)

    def to_json(self) -> dict[str, float | int]:
        return {name: getattr(self, name) for name in ("precision", "recall", "f1", "support")}


@dataclass(frozen=True, slots=True)
class Confusion:
    """Count what each class was answered with.

    Args:
        labels: The classes, those of the references first.
        counts: counts[i][j]: how often labels[i] was answered with labels[j].
    """

    labels: list[str]
    counts: list[list[int]]

    def pairs(self) -> list[tuple[str, str, int]]:
        """Return (reference, wrong answer, count), the most frequent first."""
        found = [
            (self.labels[row], self.labels[column], count)
            for row, line in enumerate(self.counts)
            for column, count in enumerate(line)
            if count and row != column
        ]
        return sorted(found, key=lambda one: -one[2])

    def to_json(self) -> dict[str, object]:
        return {"labels": self.labels, "counts": self.counts}


@dataclass(frozen=True, slots=True)
class Mistake:
    """Hold a wrong answer: the place of its example, both labels, and how sure the model was."""

    place: int
    reference: str
    answer: str
    probability: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Hold what an evaluation found class by class.

    Args:
        unit: What is counted.
        classes: Class -> its scores, the most frequent first.
        confusion: None where an answer can have several classes, or a span of its own.
        mistakes: The wrong answers, the surest first.
    """

    unit: Literal["texts", "entities", "words"]
    classes: Mapping[str, ClassScores]
    confusion: Confusion | None = None
    mistakes: Sequence[Mistake] = field(default_factory=tuple)

    @property
    def f1_macro(self) -> float:
        """Return the mean F1 over the classes that occur, as scikit-learn does."""
        found = [one.f1 for one in self.classes.values() if one.occurs]
        return sum(found) / max(1, len(found))

    @property
    def unmeasured(self) -> list[str]:
        """Return the classes that no reference has."""
        return [name for name, one in self.classes.items() if not one.support]

    def with_known(self, names: Iterable[str]) -> Breakdown:
        """Return the breakdown with the other classes that the model can answer, with support 0."""
        absent = {name: ClassScores(0.0, 0.0, 0.0, 0) for name in names if name not in self.classes}
        return replace(self, classes={**self.classes, **absent})


def of_labels(predicted: Sequence[str], gold: Sequence[str]) -> dict[str, ClassScores]:
    """Score one label for each item, for every label of either side."""
    return of_label_sets([[one] for one in predicted], [[one] for one in gold])


def of_label_sets(
    predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]
) -> dict[str, ClassScores]:
    """Score sets of labels, for every label of either side."""
    assert len(predicted) == len(gold), f"{len(predicted)} answers but {len(gold)} references"
    found, given, right = Counter[str](), Counter[str](), Counter[str]()
    for one, other in zip(predicted, gold, strict=True):
        found.update(set(one))
        given.update(set(other))
        right.update(set(one) & set(other))
    return _by_support(
        {name: SpanCounts(right[name], found[name], given[name]) for name in {*found, *given}}
    )


def of_spans(scores: SpanScores) -> dict[str, ClassScores]:
    """Return the scores of each type of span."""
    return _by_support(scores.by_type)


def confusion(predicted: Sequence[str], gold: Sequence[str]) -> Confusion:
    """Count every pair of reference and answer; the most frequent references come first."""
    assert len(predicted) == len(gold), f"{len(predicted)} answers but {len(gold)} references"
    counts, support = Counter(zip(gold, predicted, strict=True)), Counter(gold)
    labels = sorted({*predicted, *gold}, key=lambda name: (-support[name], name))
    return Confusion(labels, [[counts[one, other] for other in labels] for one in labels])


def _by_support(counts: Mapping[str, SpanCounts]) -> dict[str, ClassScores]:
    order = sorted(counts, key=lambda name: (-counts[name].given, name))
    return {name: ClassScores.of(counts[name]) for name in order}
