"""Losses of routers: equal to transformers' formulas, the same however a step is cut; loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_training
from test_distributed import free_port, start
from toy_training import example, make_job

from triptych.data.batches.encoded import Encoded
from triptych.model.config import ModelConfig, StackConfig
from triptych.runs.run import Run, read_tensors
from triptych.training.distributed import World
from triptych.training.routers import ExpertLoad, Routers
from triptych.training.step import Gradient, Stepper
from triptych.training.trainer import train

SCRIPT = Path(__file__).with_name("toy_sparse.py")
BLOCKS = ["encoder.blocks.1", "decoder.blocks.1"]


@pytest.fixture(autouse=True)
def _sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    from toy_sparse import model_config

    monkeypatch.setattr(toy_training, "model_config", model_config)


def stepper(path: Path, **settings: Any) -> Stepper:
    job = make_job(path, **settings)
    for part in job.model.modules():
        for name in {"dropout", "jitter"} & vars(part).keys():
            setattr(part, name, 0.0)  # both draw anew in each micro-batch
    job.model.train()
    named = dict(job.model.named_parameters())
    return Stepper(job, World(), torch.device("cpu"), named)


def gradients(found: Stepper, pieces: list[list[Encoded]]) -> tuple[Gradient, dict[str, Any]]:
    gradient = found.gradient(1, list(enumerate(pieces)))
    return gradient, {name: one.grad for name, one in found.parameters.items()}


def test_a_step_is_the_same_however_it_is_cut(tmp_path: Path) -> None:
    found, members = stepper(tmp_path / "run", balance_weight=0.5), [example(n) for n in range(12)]
    whole, ours = gradients(found, [members])
    cut, theirs = gradients(found, [members[:3], members[3:4], members[4:]])
    assert whole.loads == cut.loads and set(whole.loads) == set(BLOCKS)
    assert cut.loss == pytest.approx(whole.loss, rel=1e-6)
    for name in ("balance", "router_z", "loss"):
        assert cut.sums[name][0] == pytest.approx(whole.sums[name][0], rel=1e-6)
    for name, gradient in ours.items():
        torch.testing.assert_close(theirs[name], gradient, rtol=1e-4, atol=1e-6)
    # the balance loss of parts alone, without the others' counts, is another
    alone, _ = gradients(found, [members[:3]])
    assert abs(alone.sums["balance"][0] - whole.sums["balance"][0]) > 1e-3


def test_the_weights_reach_the_routers(tmp_path: Path) -> None:
    members, seen = [example(n) for n in range(12)], {}
    for weights in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        given = {"balance_weight": weights[0], "router_z_weight": weights[1]}
        found, ours = gradients(stepper(tmp_path / str(weights), **given), [members])
        seen[weights] = found.loss, ours["decoder.blocks.1.feed_forward.router.weight"].clone()
        assert found.sums["balance"][1] == 2  # blocks
    none, balance, z = seen.values()
    assert balance[0] - none[0] == pytest.approx(found.sums["balance"][0], rel=1e-5)
    assert z[0] - none[0] == pytest.approx(found.sums["router_z"][0], rel=1e-5)
    assert (balance[1] - none[1]).abs().max() > 1e-4 and (z[1] - none[1]).abs().max() > 1e-4


def losses(probabilities: torch.Tensor, logits: torch.Tensor, chosen: int) -> dict[str, float]:
    """Return our losses of one router over all rows of its logits (N, E)."""
    from triptych.model.experts import Routed
    from triptych.model.transformer import Transformer

    stack = StackConfig(layers=1, width=8, heads=2, experts=logits.shape[1], norm_placement="pre",
                        experts_per_token=chosen)  # fmt: skip
    model = Transformer(ModelConfig(decoder=stack, vocabulary_size=5))
    routers = Routers(model, ["decoder.blocks.0"], {"balance": 1.0, "router_z": 1.0})
    tokens = torch.bincount(probabilities.topk(chosen).indices.view(-1), minlength=logits.shape[1])
    squares = logits.logsumexp(-1).square().sum()
    routers.begin()
    assert model.routed is not None
    model.routed.append(Routed(probabilities.sum(0), squares, tokens, torch.tensor(0)))
    routers.count()
    routers.share(World())
    return {name: float(value) for name, (value, _, _) in routers.losses().items()}


def test_the_formulas_of_transformers() -> None:
    mixtral = pytest.importorskip("transformers.models.mixtral.modeling_mixtral")
    switch = pytest.importorskip("transformers.models.switch_transformers"
                                 ".modeling_switch_transformers")  # fmt: skip
    torch.manual_seed(3)
    logits = 2 * torch.randn(1, 40, 4)
    probabilities = logits.softmax(-1)
    ours = losses(probabilities[0], logits[0], 1)
    theirs = switch.load_balancing_loss_func(probabilities, probabilities.argmax(-1))
    assert ours["balance"] == pytest.approx(float(theirs), abs=1e-5)
    assert ours["router_z"] == pytest.approx(float(switch.router_z_loss_func(logits)), abs=1e-5)
    theirs = float(mixtral.load_balancing_loss_func((logits[0],), 4, 2))
    assert losses(probabilities[0], logits[0], 2)["balance"] == pytest.approx(theirs, abs=1e-5)


def test_even_experts_have_a_balance_of_one() -> None:
    logits = 1e-3 * torch.eye(4).repeat(5, 1)
    assert losses(logits.softmax(-1), logits, 1)["balance"] == pytest.approx(1.0)


def test_a_run_logs_its_loads_and_resumes_to_the_bit(tmp_path: Path) -> None:
    told = list(train(make_job(tmp_path / "whole", steps=12)))
    for progress in train(make_job(tmp_path / "parts", steps=12)):
        if progress.event == "step" and progress.step == 9:
            break
    list(train(make_job(tmp_path / "parts", resume=True, steps=12)))
    whole, parts = (
        [line for line in Run(tmp_path / name).read_metrics() if line["split"] == "train"]
        for name in ("whole", "parts")
    )
    keys = ("experts", "experts_dropped", "dropped", "balance", "router_z", "loss")
    assert [[line[key] for key in keys] for line in whole] == [
        [line[key] for key in keys] for line in parts
    ]
    assert set(whole[-1]["experts"]) == set(whole[-1]["experts_dropped"]) == set(BLOCKS)
    for shares in whole[-1]["experts"].values():
        assert len(shares) == 4 and sum(shares) == pytest.approx(1, abs=1e-5)
    assert 0 < whole[-1]["dropped"] < 1 <= whole[-1]["balance"] + 0.1
    (ours, theirs) = ((tmp_path / name / "model.safetensors").read_bytes()
                      for name in ("whole", "parts"))  # fmt: skip
    assert ours == theirs
    steps = [progress for progress in told if progress.event == "step"]
    assert all(one.experts and 0 <= one.experts[0] <= 0.25 <= one.experts[1] for one in steps)
    dense = json.dumps(read_dense(tmp_path))
    assert "gradient_norm" in dense and "balance" not in dense and "expert" not in dense


def read_dense(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of a dense model, which have no key of experts."""
    dense = make_job(path / "dense", steps=4)
    dense.model = toy_training.build(ModelConfig(
        encoder=StackConfig(layers=1, width=32, heads=2, inner_width=64),
        decoder=StackConfig(layers=1, width=32, heads=2, inner_width=64),
        vocabulary_size=20,
    ))  # fmt: skip
    assert all(progress.experts is None for progress in train(dense))
    return Run(path / "dense").read_metrics()


def test_two_processes_are_one(tmp_path: Path) -> None:
    """One has two micro-batches and counts in a pass of its own, the other has one."""
    given = {"steps": 6, "accumulate": 3, "epsilon": 1e-4, "average": 0.0, "balance_weight": 0.2}
    port = free_port()
    processes = [start(tmp_path / "two", rank, port, SCRIPT, **given) for rank in (0, 1)]
    told = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(told)
    list(train(make_job(tmp_path / "one", **given)))  # type: ignore[arg-type]
    one, two = (read_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=2e-6, msg=name)
    ours, theirs = (
        next(line for line in Run(tmp_path / name).read_metrics() if line["split"] == "train")
        for name in ("one", "two")
    )
    assert ours["experts"] == theirs["experts"]
    assert ours["balance"] == pytest.approx(theirs["balance"], rel=1e-5)


def test_loads_are_shares() -> None:
    load = ExpertLoad.of({"a": [1, 3, 2], "b": [2, 2, 0]})
    assert load.shares == {"a": [0.25, 0.75], "b": [0.5, 0.5]}
    assert load.range == (0.25, 0.75, 0.25)
