"""Test a label for texts out of scope: its threshold, its answers and its two scores."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.example import Example
from triptych.errors import UsageError
from triptych.metrics.classification import scope
from triptych.model.heads.classifier import Classifier, ClassOutput
from triptych.tasks import classification_calibration
from triptych.tasks.calibration import fit_offset
from triptych.tasks.specs import SPECS
from triptych.tasks.task import Prediction, Task


def task(**options: Any) -> Task:
    return SPECS["classification"].build(options)


def rejected(logits: np.ndarray, place: int, offset: float) -> int:
    moved = logits.copy()
    moved[:, place] += offset
    return int((moved.argmax(1) == place).sum())


@pytest.mark.parametrize(("kept", "wanted"), [(1.0, 0), (0.99, 2), (0.9, 20), (0.5, 100), (0, 200)])
def test_the_offset_rejects_the_given_share_of_the_texts(kept: float, wanted: int) -> None:
    logits = np.random.default_rng(1).normal(size=(200, 5))
    assert abs(rejected(logits, 3, fit_offset(logits, 3, kept)) - wanted) <= (kept == 0)


def test_calibration_moves_the_bias_and_then_fits_the_temperature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(1)
    head = Classifier(4, ["a", "b", "oos"])
    bias: Any = head.project.bias
    before, draw = bias.detach().clone(), np.random.default_rng(2)
    numbers = np.repeat([0, 1, 2], 100)
    logits = 3.0 * np.eye(3)[numbers] + draw.normal(size=(300, 3)) - [0, 0, 4.0]
    encoded = [
        SimpleNamespace(index=number, metadata=1, targets={"label": np.array([one])})
        for number, one in enumerate(numbers)
    ]
    monkeypatch.setattr(
        "triptych.model.heads.tokens.output_of",
        lambda model, head, inputs: ClassOutput(torch.as_tensor(logits), head.temperature),
    )
    batches: Any = [SimpleNamespace(inputs={}, encoded=encoded)]
    model: Any = None
    said = classification_calibration.calibrate(model, head, batches, "label", "oos", 0.9)
    moved = (bias - before).tolist()
    assert moved[:2] == [0, 0] and moved[2] == pytest.approx(
        fit_offset(logits[:200], 2, 0.9), abs=1e-5
    )
    assert rejected(logits[:200], 2, moved[2]) == 20
    found = rejected(logits[200:], 2, moved[2])
    assert said is not None and found > rejected(logits[200:], 2, 0.0)
    assert f"('oos') are 10.0 % of the 200 validation texts that are in scope, and {found}" in said
    assert "Temperature" in said and float(head.temperature) != 1


def test_too_few_texts_in_scope_leave_the_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    head = Classifier(4, ["a", "oos"])
    logits = np.zeros((60, 2))
    assert (
        classification_calibration._set_offset(head, logits, np.ones(60, int), "oos", 0.9) is None
    )
    assert not logits.any()


def test_the_label_is_an_output_even_if_no_training_text_has_it() -> None:
    shown = [Example(text="good", label="pos"), Example(text="bad", label="neg")]
    assert task(out_of_scope="oos").prepare(shown) == {"labels": ["neg", "oos", "pos"]}
    assert task().prepare(shown) == {"labels": ["neg", "pos"]}
    assert "out_of_scope" not in task().options and "in_scope_kept" not in task().options
    assert task(out_of_scope="oos").options["out_of_scope"] == "oos"


def test_the_two_scores_are_shares_of_their_own_texts() -> None:
    gold = ["a", "a", "b", "oos", "oos"]
    assert scope(["a", "b", "b", "oos", "a"], gold, "oos") == {
        "accuracy_in_scope": pytest.approx(200 / 3),
        "recall_out_of_scope": 50,
    }
    assert scope(["a"], ["a"], "oos") == {"accuracy_in_scope": 100}
    given = [Prediction(one, score=0.5) for one in ("a", "oos")]
    shown = [Example(label="a"), Example(label="oos")]
    scores = task(out_of_scope="oos").score(given, shown, {})
    assert next(iter(scores.values)) == "accuracy" and scores.values["recall_out_of_scope"] == 100
    assert "Larson" in scores.signatures["accuracy_in_scope"]
    assert "accuracy_in_scope" not in task().score(given, shown, {}).values


def test_only_a_label_can_be_out_of_scope() -> None:
    with pytest.raises(UsageError, match=r"task\.out_of_scope is 'oos'; it must be a label"):
        task(out_of_scope="oos", learn="labels")
    with pytest.raises(UsageError, match="in_scope_kept"):
        task(out_of_scope="oos", in_scope_kept=1.5)
