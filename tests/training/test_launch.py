"""What torchrun restarts goes on by itself, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.runs.run import Run
from triptych.training.launch import is_restarted, remember_launch


def test_only_the_launch_that_began_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run")
    remember_launch(run)  # without torchrun nothing is written
    assert not (run.path / "launch.json").exists()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    remember_launch(run)
    assert not is_restarted(run.path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert is_restarted(run.path)
    assert not is_restarted(tmp_path / "other")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "two")
    assert not is_restarted(run.path)
