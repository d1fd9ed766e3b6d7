"""Score labels, sets of labels or numbers by the metrics of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ..data.example import Example
from ..errors import DataError
from ..metrics import classes
from ..metrics import classification as metrics
from .task import Prediction, Scores


def labels_of(example: Example, kind: str) -> list[str]:
    return [example.label or ""] if kind == "label" else list(example.labels or ())


def score(
    predictions: Sequence[Prediction],
    examples: Sequence[Example],
    losses: Mapping[str, float],
    kind: str = "label",
    positive: str | None = None,
    out_of_scope: str | None = None,
) -> Scores:
    """Return the metrics of the kind, then the loss. A text without an answer counts as wrong.

    label: accuracy, f1, mcc, calibration_error (f1 first where `positive` is named), and
    accuracy_in_scope and recall_out_of_scope where a label means out of scope; labels: f1 (micro),
    f1_macro, exact_match; value: pearson, spearman.
    """
    for example in examples:
        if getattr(example, kind) is None:
            raise DataError(f"{example.place or 'An example'} has no {kind} to score against.")
    if kind == "value":
        values, signatures = _of_numbers(predictions, examples)
    elif kind == "labels":
        values, signatures = _of_label_sets(predictions, examples)
    else:
        values, signatures = _of_labels(predictions, examples, positive)
        if out_of_scope is not None:
            values |= metrics.scope(
                [one.text for one in predictions],
                [one.label or "" for one in examples],
                out_of_scope,
            )
    signatures |= {name: metrics.SIGNATURES[name] for name in values if name not in signatures}
    unseen = _unseen_labels(predictions, examples, kind)
    if unseen:
        signatures["unseen labels"] = unseen
    if "loss" in losses:
        values["loss"] = losses["nll"] if "nll" in losses else losses["loss"]
    elif losses:
        signatures["loss"] = f"not known: no text has a {kind} of the training data"
    return Scores(values, signatures)


def _of_numbers(
    predictions: Sequence[Prediction], examples: Sequence[Example]
) -> tuple[dict[str, float], dict[str, str]]:
    ours = [one.details.get("value", 0.0) for one in predictions]
    theirs = [example.value or 0.0 for example in examples]
    values = {
        "pearson": metrics.pearson(ours, theirs),
        "spearman": metrics.spearman(ours, theirs),
    }
    if len(set(theirs)) > 1:
        return values, {}
    note = "; not known, because the references do not vary: 0 says nothing"
    return values, {name: f"{metrics.SIGNATURES[name]}{note}" for name in values}


def _of_label_sets(
    predictions: Sequence[Prediction], examples: Sequence[Example]
) -> tuple[dict[str, float], dict[str, str]]:
    found = metrics.label_sets(
        [one.details.get("labels", []) for one in predictions],
        [labels_of(one, "labels") for one in examples],
    )
    values = {
        "f1": found["f1_micro"],
        "f1_macro": found["f1_macro"],
        "exact_match": found["exact_match"],
    }
    return values, {"f1": metrics.SIGNATURES["f1_micro"]}


def _of_labels(
    predictions: Sequence[Prediction], examples: Sequence[Example], positive: str | None
) -> tuple[dict[str, float], dict[str, str]]:
    ours, theirs = [one.text for one in predictions], [one.label or "" for one in examples]
    right = [one == other for one, other in zip(ours, theirs, strict=True)]
    values = {
        "accuracy": metrics.accuracy(ours, theirs),
        "f1": metrics.f1(ours, theirs, positive),
        "mcc": metrics.mcc(ours, theirs),
        "calibration_error": metrics.calibration_error(
            [one.score or 0.0 for one in predictions], right
        ),
    }
    if positive is None:
        return values, {"f1": "mean over labels (macro)"}
    return {"f1": values.pop("f1"), **values}, {"f1": f"of '{positive}'"}


def break_down(
    predictions: Sequence[Prediction], examples: Sequence[Example], kind: str = "label"
) -> classes.Breakdown:
    """Return the scores of each label, the wrong answers and, of one label, the confusions."""
    gold = [labels_of(one, kind) for one in examples]
    ours = [_answered(one, kind) for one in predictions]
    pairs = enumerate(zip(ours, gold, strict=True))
    wrong = [place for place, (one, other) in pairs if set(one) != set(other)]
    mistakes = [
        classes.Mistake(
            place, ", ".join(gold[place]), ", ".join(ours[place]), predictions[place].score or 0.0
        )
        for place in sorted(wrong, key=lambda place: -(predictions[place].score or 0.0))
    ]
    found = classes.of_label_sets(ours, gold)
    if kind == "labels":
        return classes.Breakdown("texts", found, mistakes=mistakes)
    both = classes.confusion([one for (one,) in ours], [one for (one,) in gold])
    return classes.Breakdown("texts", found, both, mistakes)


def _answered(prediction: Prediction, kind: str) -> list[str]:
    if kind == "label":
        return [prediction.text]
    found: list[str] = prediction.details.get("labels", [])
    return found


def _unseen_labels(
    predictions: Sequence[Prediction], examples: Sequence[Example], kind: str
) -> str | None:
    """Return labels missing from training, to which no answer can be right."""
    known = next(
        (one.details["probabilities"] for one in predictions if "probabilities" in one.details),
        None,
    )
    if known is None:
        return None
    others = Counter(
        name for example in examples for name in labels_of(example, kind) if name not in known
    )
    return (
        "counted as wrong: "
        + ", ".join(f"'{name}' ({count:,})" for name, count in sorted(others.items()))
        if others
        else None
    )
