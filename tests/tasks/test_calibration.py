"""Temperature and thresholds, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.tasks.calibration import fit_temperature, fit_thresholds, sigmoid, softmax


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_temperature_put_in_comes_out(temperature: float) -> None:
    draw = np.random.default_rng(1)
    logits = draw.normal(size=(4000, 5)) * 2
    labels = np.array([draw.choice(5, p=row) for row in softmax(logits)])
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.1)
    several = (draw.random(logits.shape) < sigmoid(logits)).astype(float)
    assert fit_temperature(logits * temperature, several) == pytest.approx(temperature, rel=0.1)


@pytest.mark.parametrize("texts", [30, 300])
def test_development_texts_that_are_all_right_do_not_make_every_score_one(texts: int) -> None:
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 3, texts)
    logits = np.eye(3)[labels] * 2 + draw.random((texts, 3))  # the right label's is the largest
    sure = softmax(logits / fit_temperature(logits, labels)).max(1)
    assert 0.5 / texts < 1 - sure.mean() < 2 / texts
    cells = sigmoid((logits - 1.5) / fit_temperature(logits - 1.5, np.eye(3)[labels]))
    assert 0.5 / texts < 1 - np.maximum(cells, 1 - cells).mean() < 2 / texts


def test_thresholds_give_the_best_f1() -> None:
    draw = np.random.default_rng(2)
    chances = np.round(draw.random((60, 3)), 1)
    targets = (draw.random((60, 3)) < chances * [0.3, 1.0, 0.0]).astype(float)
    found = fit_thresholds(chances, targets)
    assert found[2] == 0.5  # never stands
    for label in (0, 1):

        def f1(threshold: float, label: int = label) -> float:
            given = chances[:, label] >= threshold
            return (
                2
                * float((given * targets[:, label]).sum())
                / float(given.sum() + targets[:, label].sum())
            )

        assert f1(found[label]) == pytest.approx(max(f1(step / 100) for step in range(0, 101)))


def test_softmax_and_sigmoid_stand_large_numbers() -> None:
    assert softmax(np.array([[1e4, -1e4]])).tolist() == [[1.0, 0.0]]
    assert 0 <= sigmoid(np.array([-1e9]))[0] < sigmoid(np.array([1e9]))[0] <= 1
