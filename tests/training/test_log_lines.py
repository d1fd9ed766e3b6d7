"""How often metrics.jsonl gets a line: even a short run has enough for a curve."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_training import make_job

from triptych.runs.run import Run
from triptych.training.due import LEAST_LINES, LOG_STEPS, line_is_due
from triptych.training.settings import TrainingSettings
from triptych.training.trainer import train


def lines_of(steps: int, settings: TrainingSettings) -> list[int]:
    return [step for step in range(1, steps + 1) if line_is_due(step, settings)]


@pytest.mark.parametrize("steps", [50, 51, 73, 99, 100, 149, 500, 2499, 2500, 12_345])
def test_any_run_has_at_least_fifty_lines(steps: int) -> None:
    """Wherever it ends: by steps, by minutes, early or by Ctrl-C."""
    assert len(lines_of(steps, TrainingSettings(steps=1))) >= LEAST_LINES == 50


def test_a_shorter_run_has_a_line_for_each_step() -> None:
    assert lines_of(40, TrainingSettings(steps=40)) == list(range(1, 41))


def test_a_long_run_has_no_more_lines_than_before_for_long() -> None:
    steps = lines_of(10_000, TrainingSettings(steps=1))
    assert [step for step in steps if step > 2500] == list(range(2550, 10_001, LOG_STEPS))
    assert len([step for step in steps if step <= 2500]) <= 300


def test_a_number_given_is_kept_to_the_letter() -> None:
    assert lines_of(60, TrainingSettings(steps=60, log_every_steps=25)) == [25, 50]


def test_lines_change_no_weight(tmp_path: Path) -> None:
    for name, every in (("often", None), ("seldom", 1000)):
        list(train(make_job(tmp_path / name, steps=12, log_every_steps=every)))
    often, seldom = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("often", "seldom")
    )
    assert often == seldom
    lines = [line for line in Run(tmp_path / "often").read_metrics() if line["split"] == "train"]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert all(line["loss"] > 0 and line["tokens_per_second"] > 0 for line in lines)


def test_a_resumed_run_has_the_lines_of_an_uninterrupted_one(tmp_path: Path) -> None:
    dials = {"steps": 12, "log_every_steps": None, "checkpoint_every_steps": 5}
    list(train(make_job(tmp_path / "whole", **dials)))
    for progress in train(make_job(tmp_path / "parts", **dials)):
        if progress.event == "step" and progress.step == 8:
            break
    list(train(make_job(tmp_path / "parts", resume=True, **dials)))
    whole, parts = (
        [
            (line["step"], line["split"], line["loss"])
            for line in Run(tmp_path / name).read_metrics()
        ]
        for name in ("whole", "parts")
    )
    assert whole == parts
