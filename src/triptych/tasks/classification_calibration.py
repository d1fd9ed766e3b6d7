"""Calibrate a trained classifier on development texts, whose windows are merged as in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..data.batches.encoded import Batch
from ..messages import message
from ..metrics import classification as metrics
from .calibration import FEWEST, fit_offset, fit_temperature, fit_thresholds, sigmoid, softmax

if TYPE_CHECKING:
    from ..model.heads.classifier import Classifier
    from ..model.transformer import Transformer


def calibrate(
    model: Transformer,
    head: Classifier,
    batches: Sequence[Batch],
    kind: str = "label",
    out_of_scope: str | None = None,
    in_scope_kept: float = 1.0,
) -> str | None:
    """Set the head's temperature, for several labels its thresholds.

    Where a label means out of scope, the bias of its output is set first, so that the share
    `in_scope_kept` of the other texts gets one of the other labels.
    """
    import torch

    head.temperature.fill_(1.0)
    logits, targets = _merged(model, head, batches, kind)
    if len(targets) < FEWEST:
        return message(
            "{count} validation texts are too few to calibrate the probabilities; {fewest} are "
            "needed. No temperature is fitted, so the probabilities may be too high.",
            count=len(targets),
            fewest=FEWEST,
        )
    if kind == "labels":
        found = fit_temperature(logits, targets)
        head.temperature.fill_(found)
        head.thresholds.copy_(torch.as_tensor(fit_thresholds(sigmoid(logits / found), targets)))
        return message(
            "Temperature {found:.2f} and {count} thresholds fitted on {count2:,} validation texts.",
            found=found,
            count=len(head.names),
            count2=len(targets),
        )
    numbers, detected = targets[:, 0], None
    if out_of_scope is not None:
        detected = _set_offset(head, logits, numbers, out_of_scope, in_scope_kept)
    found = fit_temperature(logits, numbers)
    head.temperature.fill_(found)
    before, after = (_calibration_error(softmax(logits / one), numbers) for one in (1.0, found))
    fitted = message(
        "Temperature {found:.2f} fitted on {count:,} validation texts: "
        "expected calibration error {before:.1f} % before, {after:.1f} % after.",
        found=found,
        count=len(numbers),
        before=before,
        after=after,
    )
    return fitted if detected is None else f"{detected} {fitted}"


def _set_offset(
    head: Classifier, logits: np.ndarray, numbers: np.ndarray, name: str, kept: float
) -> str | None:
    """Add an offset to the bias of the label `name` and to its logits; say what it does."""
    import torch

    place = head.names.index(name)
    others = numbers != place
    if others.sum() < FEWEST:
        return None
    offset = fit_offset(logits[others], place, kept)
    logits[:, place] += offset
    assert head.project.bias is not None, "the outputs of a classifier have a bias"
    with torch.no_grad():
        head.project.bias[place] += offset
    rejected = logits.argmax(1) == place
    return message(
        "Out of scope ('{name}') are {rejected:.1f} % of the {count:,} validation texts that are "
        "in scope, and {right:,} of {count2:,} that are not.",
        name=name,
        rejected=100.0 * float(rejected[others].mean()),
        count=int(others.sum()),
        right=int(rejected[~others].sum()),
        count2=int((~others).sum()),
    )


def _merged(
    model: Transformer, head: Classifier, batches: Sequence[Batch], kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits (B, C) of each text that has a known label, and its targets (B, ...)."""
    from ..model.heads.tokens import output_of

    rows: dict[int, list[tuple[float, np.ndarray, np.ndarray]]] = {}
    for batch in batches:
        inputs = {name: tensor.to(head.temperature.device) for name, tensor in batch.inputs.items()}
        outputs = output_of(model, head, inputs).logits.cpu().numpy().astype(float)
        for one, logits in zip(batch.encoded, outputs, strict=True):
            rows.setdefault(one.index, []).append((one.metadata, logits, one.targets[kind]))
    kept = [row for row in rows.values() if kind == "labels" or row[0][2][0] >= 0]
    if not kept:
        return np.zeros((0, len(head.names))), np.zeros((0, 1))
    logits = [
        np.average([one for _, one, _ in row], axis=0, weights=[weight for weight, *_ in row])
        for row in kept
    ]
    return np.stack(logits), np.stack([row[0][2] for row in kept])


def _calibration_error(chances: np.ndarray, targets: np.ndarray) -> float:
    return metrics.calibration_error(
        chances.max(1).tolist(), (chances.argmax(1) == targets).tolist()
    )
