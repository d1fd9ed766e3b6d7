"""How tests start several processes, and what a world refuses (test_worlds.py trains)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_training import make_job

from triptych.cli import one_training
from triptych.errors import TrainingError, UsageError
from triptych.recipe.schema import Recipe
from triptych.training import trainer
from triptych.training.distributed import World, world
from triptych.training.guards import Interrupt
from triptych.training.job import Progress
from triptych.training.trainer import Loop, _guarded, train

SCRIPT = Path(__file__).with_name("toy_training.py")


def start(
    path: Path,
    rank: int,
    port: int,
    script: Path = SCRIPT,
    size: int = 2,
    *more: str,
    **given: object,
) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(SCRIPT.parents[2] / "src"),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    command = [
        sys.executable,
        str(script),
        str(path),
        *more,
        *(f"{name}={value}" for name, value in given.items()),
    ]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_too_few_micro_batches_for_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "world", lambda: World(0, 4))
    with pytest.raises(UsageError, match=r"batches\.accumulate 4 or more"):
        list(train(make_job(tmp_path / "run", accumulate=2)))


@pytest.mark.parametrize("given", ["two", "0", ""])
def test_a_world_that_is_no_number_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", given)
    with pytest.raises(UsageError, match=f"WORLD_SIZE is '{given}'"):
        world()


def test_the_end_of_another_process_is_told_although_torchrun_sends_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    loop = Loop(make_job(tmp_path / "run"), Interrupt())

    def run() -> Iterator[Progress]:
        loop.interrupt.asked = signal.SIGTERM
        raise RuntimeError("Connection closed by peer")
        yield

    loop.run, loop.world = run, World(1, 2)  # type: ignore[method-assign]
    said = r"Another process .* report of torchrun names .* There is no checkpoint yet"
    with pytest.raises(TrainingError, match=said):
        list(_guarded(loop))


def test_an_end_before_the_training_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are ended by torchrun where one has died."""

    def prepare(*given: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("triptych.setup.job.prepare", prepare)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    how = one_training.How(resume=False, data_changed=False, dry_run=False)
    with pytest.raises(SystemExit) as stop:
        one_training.train_one(Recipe.load("phrasebook"), tmp_path, how)
    assert stop.value.code == 143
    assert "Process 1 was ended before the training began" in capsys.readouterr().err
