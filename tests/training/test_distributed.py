"""How tests start several processes, and what a world refuses (test_worlds.py trains)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from toy_training import make_job

from triptych.errors import UsageError
from triptych.training import trainer
from triptych.training.distributed import World
from triptych.training.trainer import train

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
