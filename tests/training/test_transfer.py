"""Freezing, rates by layer, copied layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_training import make_job

from triptych.errors import UsageError
from triptych.runs.run import Run
from triptych.training.optimizer import Optimizers, rate_factors
from triptych.training.settings import TrainingSettings
from triptych.training.trainer import train
from triptych.training.transfer import copied, freeze


def named() -> dict[str, nn.Parameter]:
    layers = [f"encoder.blocks.{layer}.feed_forward.inner.weight" for layer in range(12)]
    names = [
        "embedding.weight",
        "encoder_entrance.norm.weight",
        *layers,
        "encoder.final_norm.weight",
        "head.bias",
    ]
    return {name: nn.Parameter(torch.ones(3, 3)) for name in names}


def test_frozen_weights_stay_bit_identical(tmp_path: Path) -> None:
    job = make_job(
        tmp_path / "run",
        steps=4,
        validates=False,
        freeze=["embedding", "encoder.blocks.0.self_attention"],
        average=0.0,
    )
    before = {name: one.detach().clone() for name, one in job.model.named_parameters()}
    told = [progress.message for progress in train(job)]
    assert any(
        message.startswith("Frozen: embedding, encoder.blocks.0.self_attention, ")
        for message in told
    )
    frozen = {
        name
        for name in before
        if name.startswith(("embedding.", "encoder.blocks.0.self_attention."))
    }
    for name, parameter in job.model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name in frozen), name
    checkpoint = Run(tmp_path / "run").latest_checkpoint()
    assert checkpoint is not None
    with_state = {name.rsplit("/", 1)[0] for name in checkpoint.tensors("optimizer.safetensors")}
    assert with_state == set(before) - frozen


def test_a_run_with_frozen_parts_resumes_in_the_same_bits(tmp_path: Path) -> None:
    dials: dict[str, Any] = {
        "freeze": "encoder",
        "layer_decay": 0.5,
        "head_rate": 2.0,
        "checkpoint_every_steps": 3,
    }
    whole = make_job(tmp_path / "whole", steps=6, validates=False, **dials)
    list(train(whole))
    half = make_job(tmp_path / "half", steps=6, validates=False, **dials)
    for progress in train(half):
        if progress.event == "checkpoint" and progress.step == 3:
            break
    again = make_job(tmp_path / "half", steps=6, validates=False, resume=True, **dials)
    list(train(again))
    for name, parameter in whole.model.named_parameters():
        assert torch.equal(parameter, dict(again.model.named_parameters())[name])


def test_a_prefix_is_whole_parts_of_a_name() -> None:
    parameters = named()
    said = freeze(parameters, ["encoder.blocks.1"])
    assert said == "Frozen: encoder.blocks.1, 9 of 144 weights."
    assert [name for name, one in parameters.items() if not one.requires_grad] == [
        "encoder.blocks.1.feed_forward.inner.weight"
    ]


def test_what_cannot_be_frozen_is_said() -> None:
    with pytest.raises(
        UsageError,
        match=r"Unknown part of the model 'encoder\.block\.1'.* Did you mean 'encoder\.blocks",
    ):
        freeze(named(), ["encoder.block.1"])
    with pytest.raises(UsageError, match="nothing to train"):
        freeze(named(), ["embedding", "encoder", "encoder_entrance", "head"])


def test_rates_by_layer() -> None:
    factors = rate_factors(named(), 0.8, 3.0)
    assert factors["head.bias"] == 3.0 and factors["encoder.final_norm.weight"] == 1.0
    assert factors["encoder.blocks.11.feed_forward.inner.weight"] == 1.0
    assert factors["encoder.blocks.10.feed_forward.inner.weight"] == pytest.approx(0.8)
    assert factors["encoder.blocks.0.feed_forward.inner.weight"] == pytest.approx(0.8**11)
    assert (
        factors["embedding.weight"]
        == factors["encoder_entrance.norm.weight"]
        == pytest.approx(0.8**12)
    )
    assert set(rate_factors(named(), 1.0, 1.0).values()) == {1.0}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_have_the_sizes_of_their_rates(optimizer: Any) -> None:
    parameters = named()
    optimizers = Optimizers(
        parameters,
        TrainingSettings(
            steps=1, optimizer=optimizer, weight_decay=0.0, layer_decay=0.5, head_rate=4.0
        ),
    )
    for parameter in parameters.values():
        parameter.grad = torch.eye(3)
    optimizers.step(0.01)
    moved = {
        name: float((1 - parameter.detach()).abs().max()) for name, parameter in parameters.items()
    }
    block = "encoder.blocks.{}.feed_forward.inner.weight"
    assert moved[block.format(10)] / moved[block.format(11)] == pytest.approx(0.5, rel=1e-2)
    assert moved["head.bias"] / moved["encoder.final_norm.weight"] == pytest.approx(4.0, rel=1e-2)
    assert moved["encoder.final_norm.weight"] == pytest.approx(0.01, rel=1e-2)


def test_layer_decay_needs_layers() -> None:
    with pytest.raises(UsageError, match="layer_decay needs Transformer blocks"):
        rate_factors(["embedding.weight", "head.bias"], 0.9, 1.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"layer_decay": 1.5}, "layer_decay"),
        ({"head_rate": 0.0}, "head_rate"),
        ({"distill_weight": -1.0}, "distill_weight"),
        ({"teacher": "x", "distill_weight": 0.0, "cosine_weight": 0.0}, "are both 0"),
    ],
)
def test_settings_that_cannot_be(given: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrainingSettings(steps=1, **given).check()


def test_layers_are_copied_by_number() -> None:
    tensors = {name: torch.full((1,), float(place)) for place, name in enumerate(named())}
    found = copied(tensors, [0, 10, 5])
    assert len(found) == len(tensors) - 9
    for place, layer in enumerate([0, 10, 5]):
        name = "encoder.blocks.{}.feed_forward.inner.weight"
        assert torch.equal(found[name.format(place)], tensors[name.format(layer)])
