"""A student's loss beside its teacher's answers, over a toy head."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.errors import UsageError
from triptych.tasks.distillation import COSINE, Weights, distilled, divergence
from triptych.tasks.masked_words import build
from triptych.training.step import count_of


class Output(NamedTuple):
    logits: Tensor


class Head(nn.Module):
    """A class for each of two texts, from the first row of each."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 3)

    def forward(self, model: Any, states: Tensor, inputs: dict[str, Tensor]) -> Output:
        return Output(self.dense(states[inputs["first"]]))


def loss(output: Output, batch: Any) -> dict[str, tuple[Any, int, float]]:
    return {
        "loss": (
            functional.cross_entropy(output.logits, batch.targets["tokens"], reduction="sum"),
            2,
            1.0,
        )
    }


def parts(temperature: float = 2.0, soft: float = 2.5, cosine: float = 0.5) -> tuple:
    torch.manual_seed(0)
    teacher_states, teacher_logits = torch.randn(7, 4), torch.randn(2, 3)
    task = replace(build({}), head=lambda config, labels: Head(), loss=loss)
    taught = distilled(
        task, lambda inputs: (teacher_states, teacher_logits), Weights(temperature, soft, cosine)
    )
    batch = SimpleNamespace(
        targets={"tokens": torch.tensor([1, 2])}, counts={"tokens": 2, "states": 7, "examples": 2}
    )
    return (
        task,
        taught,
        batch,
        torch.randn(7, 4, requires_grad=True),
        {"first": torch.tensor([0, 3])},
        teacher_states,
        teacher_logits,
    )


def test_the_teachers_part_is_the_papers() -> None:
    _, taught, batch, states, inputs, teacher_states, teacher_logits = parts()
    head = taught.head(None, {})
    found = taught.loss(head(None, states, inputs), batch)
    logits = head.dense(states[inputs["first"]])
    soft = 4 * functional.kl_div(
        (logits / 2).log_softmax(-1), (teacher_logits / 2).softmax(-1), reduction="sum"
    )
    cosine = functional.cosine_embedding_loss(
        states, teacher_states, torch.ones(7), reduction="sum"
    )
    torch.testing.assert_close(found["soft"][0], soft)
    torch.testing.assert_close(found[COSINE][0], cosine)
    assert [(one[1], one[2]) for one in found.values()] == [(2, 1.0), (2, 2.5), (7, 0.5)]
    assert [count_of(name, batch.counts) for name in found] == [2, 2, 7]


def test_labels_are_taught_each_by_itself_and_a_number_by_its_square() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 4), torch.randn(3, 4)
    expected = 0.0
    for mine, theirs in zip(
        (student / 2).flatten().sigmoid().tolist(),
        (teacher / 2).flatten().sigmoid().tolist(),
        strict=True,
    ):
        expected += theirs * math.log(theirs / mine) + (1 - theirs) * math.log(
            (1 - theirs) / (1 - mine)
        )
    assert float(divergence(student, teacher, 2.0, "labels")) == pytest.approx(
        4 * expected / 4, rel=1e-4
    )
    assert float(divergence(teacher, teacher, 2.0, "labels")) == pytest.approx(0, abs=1e-6)
    assert float(divergence(student[:, :1], teacher[:, :1], 2.0, "value")) == pytest.approx(
        float((student - teacher)[:, 0].square().sum()), rel=1e-6
    )


def test_names_of_weights_stay_the_tasks_own() -> None:
    _, taught, *_ = parts()
    assert set(taught.head(None, {}).state_dict()) == {"dense.weight", "dense.bias"}


def test_validating_is_as_without_a_teacher() -> None:
    task, taught, batch, states, inputs, *_ = parts()
    head = taught.head(None, {}).eval()
    output = head(None, states, inputs)
    assert isinstance(output, Output) and torch.equal(
        taught.loss(output, batch)["loss"][0], task.loss(output, batch)["loss"][0]
    )
    assert set(taught.loss(output, batch)) == {"loss"}


def test_a_student_like_its_teacher_has_nothing_to_learn_of_it() -> None:
    _, taught, batch, _, inputs, teacher_states, teacher_logits = parts()
    head = taught.head(None, {})
    seen = head(None, teacher_states, inputs)._replace(output=Output(teacher_logits.clone()))
    found = taught.loss(seen, batch)
    assert float(found["soft"][0]) == pytest.approx(0, abs=1e-5) and float(
        found[COSINE][0]
    ) == pytest.approx(0, abs=1e-5)


def test_the_parts_can_be_left_out() -> None:
    for weights, names in (
        ((2.0, 1.0, 0.0), {"loss", "soft"}),
        ((2.0, 0.0, 1.0), {"loss", COSINE}),
    ):
        _, taught, batch, states, inputs, *_ = parts(*weights)
        assert set(taught.loss(taught.head(None, {})(None, states, inputs), batch)) == names


def test_a_head_without_logits_is_said() -> None:
    _, taught, batch, states, inputs, *_ = parts()
    seen = taught.head(None, {})(None, states, inputs)
    with pytest.raises((UsageError, AttributeError), match="logits"):
        taught.loss(seen._replace(output=SimpleNamespace()), batch)
