"""Two processes train as one with the same micro-batches."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_training import make_job
from waits import killed_after

from triptych.errors import UsageError
from triptych.runs.run import read_tensors
from triptych.training import trainer
from triptych.training.distributed import World
from triptych.training.trainer import train

SCRIPT = Path(__file__).with_name("toy_training.py")
GIVEN = {"steps": 12, "accumulate": 3, "epsilon": 1e-4, "average": 0.0}


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


def test_two_processes_are_one(tmp_path: Path) -> None:
    port = free_port()
    processes = [start(tmp_path / "two", rank, port, **GIVEN) for rank in (0, 1)]
    with killed_after(*processes):
        told = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(told)
    list(train(make_job(tmp_path / "one", **GIVEN)))  # type: ignore[arg-type]
    one, two = (read_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(
            two[name], tensor, rtol=0, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_too_few_micro_batches_for_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "world", lambda: World(0, 4))
    with pytest.raises(UsageError, match=r"batches\.accumulate 4 or more"):
        list(train(make_job(tmp_path / "run", accumulate=2)))
