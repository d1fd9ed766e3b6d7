"""Checkpoints are copied to an address of fsspec, and fetched from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from test_trainer import assert_same_run
from toy_training import make_job

from triptych.errors import RunError, UsageError
from triptych.runs.address import Address
from triptych.training.trainer import train


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_goes_on_from_an_address(kind: str, tmp_path: Path) -> None:
    address = "memory://kept/mine" if kind == "memory" else str(tmp_path / "kept" / "mine")
    MemoryFileSystem.store.clear()
    given = {"checkpoint_every_steps": 2, "keep_checkpoints": 2, "validates": False}
    list(train(make_job(tmp_path / "whole", steps=12, **given)))
    job = make_job(tmp_path / "lost", steps=12, checkpoint_address=address, **given)
    course = train(job)
    for progress in course:
        if progress.step == 7:
            break
    course.close()
    assert Address(address).steps() == [7, 6]
    shutil.rmtree(tmp_path / "lost" / "checkpoints")
    job = make_job(tmp_path / "lost", steps=12, checkpoint_address=address, resume=True, **given)
    messages = [progress.message for progress in train(job) if progress.message]
    assert "Resumed from step 7." in messages
    assert_same_run(tmp_path / "whole", tmp_path / "lost")
    assert Address(address).steps() == [12, 10]


def test_what_an_address_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"training\.checkpoint_address 'nothere://x'"):
        Address("nothere://x")
    held = make_job(tmp_path / "one", steps=2, checkpoint_address=str(tmp_path / "kept"))
    list(train(held))
    other = make_job(tmp_path / "two", steps=2, checkpoint_address=str(tmp_path / "kept"))
    with pytest.raises(UsageError, match="already holds checkpoints"):
        list(train(other))
    weights = tmp_path / "kept" / "step-2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"step-2 is incomplete and skipped: .*model.safetensors"):
        Address(str(tmp_path / "kept")).fetch(2, tmp_path / "two")
