"""Killed with SIGKILL and resumed: the same bits as never stopped. Two kills here;
benchmarks/kill_and_resume.py does more.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from test_trainer import assert_same_run
from waits import killed_after

SCRIPT = Path(__file__).with_name("toy_training.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2] / "src")}


def run_until(path: Path, last_step: int | None) -> bool:
    """Train in another process, killed once it tells `last_step`. Whether it came to its end."""
    command = [
        sys.executable,
        str(SCRIPT),
        str(path),
        "steps=40",
        f"resume={json.dumps(path.exists())}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    with process, killed_after(process):
        assert process.stdout is not None
        for line in process.stdout:
            event, step, *_ = line.split()
            if last_step is not None and event == "step" and int(step) >= last_step:
                process.kill()
                break
        process.wait(60)
    return process.returncode == 0


def test_killed_twice_ends_in_the_same_bits(tmp_path: Path) -> None:
    assert run_until(tmp_path / "whole", None)
    chance = random.Random(5)
    for last_step in (chance.randint(4, 15), chance.randint(20, 38)):
        assert not run_until(tmp_path / "killed", last_step)
    assert run_until(tmp_path / "killed", None)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
