"""Test gradient times input against a small change of each token's vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_classifier import LABELS, TEXTS, predictor

from triptych.data.batches.encoded import collate
from triptych.inspection.attribution import Attribution, attribute, together, vectors_of
from triptych.inspection.scores import label_score


def setting(preset: str = "bert-base"):
    toy = predictor(preset)
    encoded = toy.task.encode(toy.example(TEXTS[0]), toy.tokenizers, toy.labels, "use", None)[0]
    return toy, collate([encoded]).inputs


def log_probability(output: torch.Tensor) -> torch.Tensor:
    return label_score(output, LABELS, "Sports").value


@pytest.mark.parametrize("preset", ["bert-base", "encoder-small"])
@pytest.mark.parametrize("reads_words", [False, True])
def test_it_is_the_slope_of_the_score_as_a_tokens_vector_grows(
    preset: str, reads_words: bool
) -> None:
    toy, inputs = setting(preset)
    toy.head.reads_words = reads_words
    found = attribute(toy.model, toy.head, inputs, log_probability)
    model, head, step = toy.model.double(), toy.head.double(), 5e-3
    model.precision = torch.float64

    def score(factor: float, place: int) -> float:
        def grown(vectors: torch.Tensor) -> torch.Tensor:
            return torch.cat(
                (vectors[:place], vectors[place : place + 1] * factor, vectors[place + 1 :])
            )

        with torch.no_grad(), vectors_of(model, grown):
            return float(
                head(model, model(**inputs), inputs).log_softmax(-1)[0, LABELS.index("Sports")]
            )

    slopes = [
        (score(1 + step, place) - score(1 - step, place)) / (2 * step)
        for place in range(len(inputs["source"]))
    ]
    assert np.abs(slopes).max() > 1e-3, "a check that cannot fail"
    np.testing.assert_allclose(found.gradient_times_input, slopes, atol=5e-5, rtol=2e-3)
    assert found.value == pytest.approx(score(1.0, 0), abs=1e-5)


def test_nothing_stays_behind() -> None:
    toy, inputs = setting()
    toy.model.train()
    toy.model.precision = torch.bfloat16
    found = attribute(toy.model, toy.head, inputs, log_probability)
    assert toy.model.training and not toy.head.training and toy.model.precision == torch.bfloat16
    assert all(
        parameter.grad is None for parameter in [*toy.model.parameters(), *toy.head.parameters()]
    )
    assert found.gradient_times_input.dtype == np.float32
    # weights rounded, arithmetic is not
    again = attribute(toy.model.bfloat16(), toy.head.bfloat16(), inputs, log_probability)
    np.testing.assert_allclose(again.gradient_times_input, found.gradient_times_input, atol=0.02)
    assert next(toy.head.parameters()).dtype == torch.bfloat16


def test_cells_add_products_and_join_gradients() -> None:
    found = together(
        Attribution(np.array([1.0, -3.0, 2.0]), np.array([3.0, 4.0, 1.0]), -0.5, "value", "x"),
        [(0, 1), (2,)],
    )
    assert found.gradient_times_input.tolist() == [-2, 2] and found.gradient_norm.tolist() == [5, 1]
    assert (found.value, found.kind, found.of) == (-0.5, "value", "x")
