"""One head at each checkpoint of a run: its weights, and what is lost without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import toy_classifier
import toy_writer

from triptych import Interventions
from triptych.errors import UsageError
from triptych.inference.aiming import aimed
from triptych.inference.predictor import Predictor
from triptych.inspection.interventions import ablated
from triptych.inspection.sites import parsed
from triptych.inspection.views.followed import followed
from triptych.runs.checkpoint import weights_of
from triptych.runs.run import Run

HEAD = "decoder.2.self.3"


def with_checkpoints(predictor: Predictor, folder: Path) -> dict[int, dict[str, torch.Tensor]]:
    """Write two checkpoints of other weights, and return these."""
    predictor.run, found = Run(folder), {}
    for step in (10, 20):
        generator = torch.Generator().manual_seed(step)
        found[step] = {
            name: tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
            for name, tensor in weights_of(predictor.model, predictor.head).items()
        }
        predictor.run.write_checkpoint(step, {"model.safetensors": found[step]}, {"step": step})
    return found


def test_a_head_through_the_checkpoints(tmp_path: Path) -> None:
    run = toy_writer.predictor()
    weights = with_checkpoints(run, tmp_path)
    example, settings = run.example("the cat sat"), run.settings()
    asked = Interventions(checkpoints=[HEAD], token=2)
    found = run.trace(
        "the cat sat", target=" on", interventions=asked, development=[example]
    ).interventions
    assert found is not None
    (one,) = found.checkpoints
    assert [at.step for at in one.steps] == [10, 20, None] and str(one.site) == HEAD
    own = aimed(run, example, settings, target=" on", token=2)
    (site,) = parsed(run.model, [HEAD])
    for at in one.steps:
        if at.step is not None:
            run.model.load_state_dict(
                {k: v for k, v in weights[at.step].items() if not k.startswith("head.")}
            )
        else:
            run = toy_writer.predictor()
            own = aimed(run, example, settings, target=" on", token=2)
        score = float(own.probe.measured()[0])
        with ablated(run.model, [site]):
            change = float(own.probe.measured()[0]) - score
        assert (at.score, at.change) == pytest.approx((score, change), abs=1e-5)
        with torch.no_grad():
            attention = run.model.attention_weights(kind="decoder", **own.probe.inputs)[1, 0, 2]
        assert at.attention is not None
        np.testing.assert_allclose(at.attention, attention, atol=1e-6)
        assert at.loss is not None and at.loss > 0
    assert abs(one.steps[0].score - one.steps[2].score) > 1e-3, "the checkpoints differ"
    rows = [row for row in found.rows() if row[0].startswith("checkpoint")]
    assert len(rows) == 3 * 4 and {row[2] for row in rows} == {10, 20, "final"}
    assert "20: " in followed(found)[0].markup


def test_a_classifiers_label_stays(tmp_path: Path) -> None:
    run = toy_classifier.predictor()
    with_checkpoints(run, tmp_path)
    asked = Interventions(checkpoints=["encoder.1.feed_forward"])
    found = run.trace(toy_classifier.TEXTS[0], interventions=asked).interventions
    assert found is not None
    steps = found.checkpoints[0].steps
    assert all(at.attention is None for at in steps)
    assert steps[-1].score == pytest.approx(found.value)


def test_a_run_without_checkpoints(tmp_path: Path) -> None:
    run = toy_writer.predictor()
    run.run = Run(tmp_path)
    with pytest.raises(UsageError, match="keeps no checkpoints"):
        run.trace("the cat", interventions=Interventions(checkpoints=[HEAD]))
    with pytest.raises(UsageError, match="no part"):
        run.trace("the cat", interventions=Interventions(checkpoints=["decoder.9.self.1"]))
