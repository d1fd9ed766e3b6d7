"""Schedules, optimizers, averages, settings, model card: each by itself."""

from __future__ import annotations

import json
import math
from typing import Literal

import pytest
import torch
from torch import nn

from triptych.errors import RunError, UsageError
from triptych.runs.model_card import CardFacts, hardware, model_card
from triptych.training.averages import Averages
from triptych.training.optimizer import Optimizers, clip, gradient_norm, is_hidden_matrix
from triptych.training.precision import choose_device, choose_precision
from triptych.training.schedule import fraction_done, rate
from triptych.training.settings import Schedule, TrainingSettings, ValidationSettings, better
from triptych.training.step import seed_of


def at(schedule: Schedule, step: int, **given: float) -> float:
    settings = TrainingSettings(
        steps=1000,
        learning_rate=2.0,
        schedule=schedule,
        warmup_steps=100,
        final_rate=0.1,
        **given,  # type: ignore[arg-type]
    )
    return rate(settings, step, fraction_done(settings, step, 0.0))


@pytest.mark.parametrize(
    "schedule", ["inverse_square_root", "linear", "cosine", "trapezoid", "constant"]
)
def test_every_schedule_warms_up(schedule: Schedule) -> None:
    assert at(schedule, 1) <= 0.02
    assert at(schedule, 50) <= 1.0
    assert all(at(schedule, step) <= 2.0 for step in range(1, 1001))


def test_schedules_after_the_warmup() -> None:
    assert math.isclose(at("inverse_square_root", 400), 1.0)  # 2 * sqrt(100 / 400)
    assert math.isclose(at("linear", 1000), 0.2) and math.isclose(at("linear", 500), 2 * 0.55)
    assert math.isclose(at("cosine", 1000), 0.2) and math.isclose(at("cosine", 500), 2 * 0.55)
    assert (
        at("trapezoid", 400) == 2.0
        and math.isclose(at("trapezoid", 700), 2 * 0.55)
        and math.isclose(at("trapezoid", 1000), 0.2)
    )
    assert at("constant", 1000) == 2.0


def test_the_limit_that_comes_first_counts() -> None:
    settings = TrainingSettings(steps=100, minutes=10)
    assert fraction_done(settings, 50, 60.0) == 0.5
    assert fraction_done(settings, 50, 540.0) == 0.9
    assert fraction_done(settings, 50, 6000.0) == 1.0


def test_passes_over_the_data_are_a_limit_too() -> None:
    settings = TrainingSettings(epochs=4, minutes=10)
    assert fraction_done(settings, 50, 60.0, 1.0) == 0.25
    assert fraction_done(settings, 50, 300.0, 1.0) == 0.5
    assert fraction_done(settings, 50, 60.0, 4.0) == 1.0


def test_warmup_as_a_share_of_the_run() -> None:
    settings = TrainingSettings(
        epochs=2, learning_rate=2.0, schedule="linear", warmup_share=0.1, final_rate=0.0
    )
    # a tenth of the warm-up is done with this step
    assert math.isclose(rate(settings, 1, 0.0, 0.01), 2.0 * 0.1)
    assert math.isclose(rate(settings, 10, 0.09, 0.1), 2.0 * 0.91)
    assert math.isclose(rate(settings, 50, 0.5, 0.51), 1.0)
    assert (
        rate(
            TrainingSettings(epochs=2, learning_rate=2.0, schedule="constant", warmup_share=0.0),
            1,
            0.0,
            0.01,
        )
        == 2.0
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "training.steps"),
        ({"epochs": 0.0}, "training.epochs is 0"),
        ({"epochs": math.inf}, "training.epochs is inf"),
        ({"steps": 1, "schedule": "linear", "warmup_share": 1.0}, "training.warmup_share is 1.0"),
        ({"steps": 1, "warmup_share": 0.1}, "inverse_square_root"),
        ({"steps": 0}, "training.steps is 0"),
        ({"minutes": -1.0}, "training.minutes"),
        ({"steps": 1, "average": 1.0}, "training.average"),
        ({"steps": 1, "warmup_steps": -1}, "training.warmup_steps"),
        ({"steps": 1, "learning_rate": float("nan")}, "training.learning_rate"),
        ({"minutes": math.inf}, "training.minutes is inf"),
        ({"steps": 1, "learning_rate": math.inf}, "training.learning_rate is inf"),
        ({"steps": 1, "epsilon": -1.0}, "training.epsilon"),
        ({"steps": 1, "seed": -1}, "training.seed is -1"),
        ({"steps": 1, "seed": 1 << 63}, "training.seed"),
    ],
)
def test_settings_that_cannot_train(given: dict, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingSettings(**given).check()
    assert named in str(caught.value)


@pytest.mark.parametrize("name", ["every_steps", "every_minutes", "patience", "examples"])
@pytest.mark.parametrize("value", [0, -3])
def test_validation_settings_that_cannot_be(name: str, value: int) -> None:
    least = "a number above 0" if name == "every_minutes" else "a whole number of at least 1"
    with pytest.raises(UsageError, match=rf"validation\.{name} is {value}; it must be {least}"):
        ValidationSettings(**{name: value}).check()  # type: ignore[arg-type]


def test_better() -> None:
    assert better("bleu", 2.0, 1.0) and not better("bleu", 1.0, 1.0) and better("bleu", 0.0, None)
    assert (
        better("loss", 1.0, 2.0)
        and not better("loss", 3.0, 2.0)
        and not better("bleu", float("nan"), None)
    )
    # of equal scores the lower loss wins, never a worse score
    for metric in ("bleu", "perplexity"):
        assert better(metric, 0.0, 0.0, 6.57, 6.97) and not better(metric, 0.0, 0.0, 6.97, 6.57)
        assert not better(metric, 0.0, 0.0, 6.57, 6.57) and not better(metric, 0.0, 0.0, 6.57, None)
    assert not better("bleu", 1.0, 2.0, 0.0, 9.0) and better("bleu", 2.0, 1.0, 9.0, 0.0)
    nan = float("nan")
    assert not better("bleu", nan, 1.0, 0.0, 9.0) and better("bleu", 0.0, nan)
    assert not better("bleu", 0.0, 0.0, nan, 9.0) and better("bleu", 0.0, 0.0, 9.0, nan)


def parameters() -> dict[str, nn.Parameter]:
    torch.manual_seed(0)
    shapes = {
        "embedding.weight": (9, 4),
        "encoder.blocks.0.query.weight": (4, 4),
        "encoder.blocks.0.norm.weight": (4,),
        "head.weight": (3, 4),
    }
    named = {name: nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}
    for parameter in named.values():
        parameter.grad = torch.randn_like(parameter)
    return named


def test_muon_takes_hidden_matrices_only() -> None:
    named = parameters()
    assert [name for name, parameter in named.items() if is_hidden_matrix(name, parameter)] == [
        "encoder.blocks.0.query.weight"
    ]
    optimizers = Optimizers(named, TrainingSettings(steps=1, optimizer="muon", weight_decay=0.0))
    before = {name: parameter.detach().clone() for name, parameter in named.items()}
    optimizers.step(0.1)
    state = optimizers.tensors()
    assert (
        "encoder.blocks.0.query.weight/momentum_buffer" in state
        and "embedding.weight/exp_avg" in state
    )
    moved = (
        named["encoder.blocks.0.query.weight"].detach() - before["encoder.blocks.0.query.weight"]
    )
    size = float(moved.square().mean().sqrt())  # orthogonal: about 0.2 of the rate, as AdamW's
    assert 0.01 < size < 0.03


def test_muon_moves_adapters_without_anything_beside_them() -> None:
    parameters = {
        f"blocks.0.query.adapter_{part}": nn.Parameter(torch.ones(3, 4)) for part in ("down", "up")
    }
    optimizers = Optimizers(parameters, TrainingSettings(steps=1, optimizer="muon"))
    for parameter in parameters.values():
        parameter.grad = torch.randn(3, 4)
    optimizers.step(0.1)
    assert all(not torch.equal(parameter, torch.ones(3, 4)) for parameter in parameters.values())


def test_muon_without_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="has none"):
        Optimizers(
            {"embedding.weight": parameters()["embedding.weight"]},
            TrainingSettings(steps=1, optimizer="muon"),
        )


def test_adamw_is_torch_reference() -> None:
    """Fused is plain: three steps of our groups against unfused AdamW with the same decay."""
    ours, plain = parameters(), parameters()
    optimizers = Optimizers(ours, TrainingSettings(steps=1, weight_decay=0.1))
    shrinking = [
        parameter
        for name, parameter in plain.items()
        if parameter.ndim == 2 and "embedding" not in name
    ]
    others = [
        parameter for name, parameter in plain.items() if parameter.ndim < 2 or "embedding" in name
    ]
    reference = torch.optim.AdamW(
        [{"params": shrinking, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=0.01,
        betas=(0.9, 0.98),
        eps=1e-9,
        foreach=False,
    )
    for _ in range(3):
        optimizers.step(0.01)
        reference.step()
    for name, parameter in ours.items():
        torch.testing.assert_close(parameter, plain[name], rtol=1e-5, atol=1e-6)


def test_optimizer_state_of_another_model() -> None:
    optimizers = Optimizers(parameters(), TrainingSettings(steps=1))
    with pytest.raises(RunError, match=r"'embedding\.weight/exp_avg' \(2, 2\)"):
        optimizers.load({"embedding.weight/exp_avg": torch.zeros(2, 2)}, "somewhere")


def test_clipping() -> None:
    named = parameters()
    reference = torch.nn.utils.get_total_norm(
        [parameter.grad for parameter in named.values() if parameter.grad is not None]
    )
    norm = float(gradient_norm(named.values()))
    assert math.isclose(norm, float(reference), rel_tol=1e-6)
    clip(named.values(), norm, 10 * norm)
    assert math.isclose(float(gradient_norm(named.values())), norm)
    clip(named.values(), norm, 0.5)
    assert math.isclose(float(gradient_norm(named.values())), 0.5, rel_tol=1e-5)
    clip(named.values(), 0.5, None)


def test_averages_follow_and_step_aside() -> None:
    weight = nn.Parameter(torch.zeros(3))
    averages = Averages({"w": weight}, 0.9)
    for step in range(1, 201):
        with torch.no_grad():
            weight.fill_(float(step))
        averages.update(step)
    own = weight.detach().clone()
    with averages.in_place():
        assert 170 < float(weight[0].detach()) < 200
    assert torch.equal(weight.detach(), own)
    off = Averages({"w": weight}, 0.0)
    off.update(10)
    assert not off.tensors


def test_seeds_differ_by_each_of_their_parts() -> None:
    seeds = {
        seed_of(*given)
        for given in [(1, 2, 3, 0), (2, 1, 3, 0), (1, 2, 4, 0), (1, 2, 3, 1), (12, 3, 0, 0)]
    }
    assert len(seeds) == 5 and all(0 <= seed < 2**63 for seed in seeds)


def test_precision_and_device() -> None:
    cpu = choose_device("cpu")
    assert (
        choose_precision("bfloat16", cpu) == torch.bfloat16
        and choose_precision("float32", cpu) == torch.float32
    )
    assert choose_precision("auto", cpu) in (torch.bfloat16, torch.float32)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match=r"training\.device"):
            choose_device("cuda")
    with pytest.raises(UsageError, match="Unknown device 'gpu'.*for device"):
        choose_device("gpu", "device")


def test_model_card() -> None:
    facts = CardFacts(
        name="my: model",
        task="translation",
        languages=["en", "zh-Hant"],
        parameters=1_234_567,
        data=["multi30k, CC BY 4.0"],
        examples={"train": 29000},
        steps=10,
        minutes=1.5,
        hardware=hardware(),
        metrics={"bleu": 38.4},
        signature="nrefs:1",
        split="test",
        recipe='[task]\nname = "translation"',
    )
    text = model_card(facts)
    header = text.split("---")[1]
    assert json.loads(header.split("language: ")[1].split("\n")[0]) == ["en", "zh"]
    for expected in (
        "# my: model",
        "1,234,567 parameters",
        "from en to zh-Hant",
        "| bleu | 38.40 |",
        "nrefs:1",
        "29,000",
        "```toml",
        "core",
    ):
        assert expected in text


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_damaged_state_of_an_optimizer_is_refused(kind: Literal["adamw", "muon"]) -> None:
    """Names without a parameter or a key, keys that are missing, another optimizer's keys."""
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    settings = TrainingSettings(steps=1, optimizer=kind)
    optimizers = Optimizers({"blocks.0.weight": weight, "blocks.0.bias": bias}, settings)
    for parameter in (weight, bias):
        parameter.grad = torch.ones_like(parameter)
    optimizers.step(0.1)
    held = optimizers.tensors()
    optimizers.load(held, "optimizer.safetensors")
    for name in held:
        without = {one: held[one] for one in held if one != name}
        renamed = {**without, name.replace("/", "_"): held[name]}
        lacks = kind == "adamw" or "bias" in name
        with pytest.raises(RunError, match="does not fit the model"):
            optimizers.load(renamed, "optimizer.safetensors")
        if lacks:
            with pytest.raises(RunError, match=f"lacks '{name}'"):
                optimizers.load(without, "optimizer.safetensors")
