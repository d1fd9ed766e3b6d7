"""Compute metrics of classification and regression from plain lists.

Accuracy, F1, Matthews' correlation, correlation of numbers, calibration error. All values are
percentages, -100 to 100 for correlations. They equal scikit-learn's and scipy's (tests/metrics).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BINS = 15  # of the expected calibration error
SIGNATURES = {
    "accuracy": "share of texts with the right label",
    "mcc": "Matthews' correlation over all labels (Gorodkin 2004)",
    "exact_match": "share of texts with exactly the right set of labels",
    "f1_micro": "2 TP / (2 TP + FP + FN) over all labels of all texts",
    "f1_macro": "mean over labels",
    "pearson": "Pearson's correlation x 100",
    "spearman": "Spearman's rank correlation x 100, ties at their mean rank",
    "calibration_error": (
        f"expected calibration error, {BINS} bins of equal width (Guo et al. 2017)"
    ),
    "accuracy_in_scope": "share of in-scope texts with the right label (Larson et al. 2019)",
    "recall_out_of_scope": "share of out-of-scope texts that are detected (Larson et al. 2019)",
}


def accuracy(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """Compute the share of equal labels."""
    _check(predicted, gold)
    return (
        100.0
        * sum(one == other for one, other in zip(predicted, gold, strict=True))
        / max(1, len(gold))
    )


def f1(predicted: Sequence[str], gold: Sequence[str], positive: str | None = None) -> float:
    """Compute F1 of the label `positive`, else the mean over all labels that either side has."""
    _check(predicted, gold)
    names = [positive] if positive is not None else sorted({*predicted, *gold})
    scores = [
        _f1([one == name for one in predicted], [one == name for one in gold]) for name in names
    ]
    return 100.0 * sum(scores) / max(1, len(scores))


def mcc(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """Compute R_K, Matthews' correlation of any number of labels; 0 if a side has only one."""
    _check(predicted, gold)
    places = {name: place for place, name in enumerate(sorted({*predicted, *gold}))}
    ours, theirs = (
        np.array([places[name] for name in side], dtype=np.int64) for side in (predicted, gold)
    )
    count = len(gold)
    right = float((ours == theirs).sum())
    p, t = (np.bincount(side, minlength=len(places)).astype(float) for side in (ours, theirs))
    norm = math.sqrt((count**2 - p @ p) * (count**2 - t @ t))
    return 100.0 * (right * count - float(p @ t)) / norm if norm else 0.0


def scope(predicted: Sequence[str], gold: Sequence[str], out_of_scope: str) -> dict[str, float]:
    """Compute accuracy_in_scope and recall_out_of_scope; one without texts is left out."""
    _check(predicted, gold)
    right: dict[str, list[bool]] = {"accuracy_in_scope": [], "recall_out_of_scope": []}
    for one, other in zip(predicted, gold, strict=True):
        name = "recall_out_of_scope" if other == out_of_scope else "accuracy_in_scope"
        right[name].append(one == other)
    return {name: 100.0 * sum(one) / len(one) for name, one in right.items() if one}


def label_sets(
    predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Compute f1_micro, f1_macro (labels of either side) and exact_match of sets of labels."""
    _check(predicted, gold)
    ours, theirs = [set(one) for one in predicted], [set(one) for one in gold]
    names = sorted(set().union(*ours, *theirs))
    columns = [([name in one for one in ours], [name in one for one in theirs]) for name in names]
    flat = [[cell for column in columns for cell in column[side]] for side in (0, 1)]
    return {
        "f1_micro": 100.0 * _f1(*flat),
        "f1_macro": 100.0 * sum(_f1(*column) for column in columns) / max(1, len(names)),
        "exact_match": 100.0
        * sum(one == other for one, other in zip(ours, theirs, strict=True))
        / max(1, len(gold)),
    }


def pearson(predicted: Sequence[float], gold: Sequence[float]) -> float:
    """Compute Pearson's correlation; 0 if one side does not vary."""
    _check(predicted, gold)
    if len(gold) < 2:
        return 0.0
    ours, theirs = (np.asarray(side, dtype=float) - np.mean(side) for side in (predicted, gold))
    norm = math.sqrt(float(ours @ ours) * float(theirs @ theirs))
    return 100.0 * float(ours @ theirs) / norm if norm else 0.0


def spearman(predicted: Sequence[float], gold: Sequence[float]) -> float:
    """Compute Pearson's correlation of the ranks."""
    return pearson(_ranks(predicted), _ranks(gold))


def calibration_error(
    confidences: Sequence[float], right: Sequence[bool], bins: int = BINS
) -> float:
    """Compute the mean distance of confidence (0 to 1) and accuracy over equally wide bins.

    The bins are weighted by their texts.
    """
    _check(confidences, right)
    if not len(right):
        return 0.0
    confidence, hit = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.abs(np.bincount(place, confidence, bins) - np.bincount(place, hit, bins))
    return 100.0 * float(gaps.sum()) / len(hit)


def _f1(predicted: Sequence[bool], gold: Sequence[bool]) -> float:
    both = sum(one and other for one, other in zip(predicted, gold, strict=True))
    total = sum(predicted) + sum(gold)
    return 2 * both / total if total else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    found = np.asarray(values, dtype=float)
    _, places, counts = np.unique(found, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places].tolist()


def _check(predicted: Sequence[object], gold: Sequence[object]) -> None:
    assert len(predicted) == len(gold), f"{len(predicted)} answers but {len(gold)} references"
