"""Does a training of one, two or three processes, of which one is killed at random moments and
that goes on in another number of processes, end as one that was never stopped?

    python benchmarks/kill_worlds.py [--kills 20] [--seed 1] [--steps 40]

Trains the tests' small job once in one process. Then again: SIGKILL strikes a random process of a
random number of processes, whole or sharded (ddp, fsdp), at a random moment; the others must end by
themselves; the next ones resume in another number. Prints one JSON object; exit code 1 where the
weights differ by more than rounding, where a micro-batch held other examples than in the whole run,
was left out, or came after another one than the checkpoint's, or where a process hung.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from kill_and_resume import ROOT, last_step

SCRIPT = ROOT / "tests" / "training" / "toy_world.py"
ACCUMULATE = 3
SECONDS = 240  # that the other processes are given to end


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": ":".join(map(str, (ROOT / "src", ROOT / "tests" / "model"))),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def train(
    folder: Path, size: int, job: dict[str, Any], chance: random.Random | None
) -> tuple[bool, str]:
    """Train in `size` processes, and kill one of them at a moment that `chance` chooses.

    Returns whether the training came to its end, and what the processes printed.
    """
    listed = folder / "job.json"
    listed.write_text(json.dumps([job]))
    port = free_port()
    command = [sys.executable, str(SCRIPT), str(folder), str(listed)]
    logs = [(folder / f"log-{rank}").open("w+") for rank in range(size)]
    processes = [
        subprocess.Popen(
            command, env=environment(rank, size, port), stdout=logs[rank], stderr=subprocess.STDOUT
        )
        for rank in range(size)
    ]
    try:
        if chance is not None:
            wait_until_begun(folder / "log-0", processes[0])
            time.sleep(chance.uniform(0, 4))
            victim = chance.choice(processes)
            if all(process.poll() is None for process in processes):
                victim.kill()
        codes = [process.wait(SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    told = ""
    for log in logs:
        log.seek(0)
        told += log.read()
        log.close()
    return codes == [0] * size and " refused " not in told, told


def wait_until_begun(log: Path, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and " step " not in log.read_text():
        time.sleep(0.05)


def courses(folder: Path, name: str) -> Iterator[tuple[int, list[int]]]:
    """The number and the examples of every micro-batch that any process began."""
    for path in folder.glob(f"{name}.order-*"):
        for line in path.read_text().splitlines():
            try:
                number, examples = json.loads(line)
            except ValueError:  # the last line of a killed process
                continue
            yield number, examples


def order_of(folder: Path, name: str) -> dict[int, list[int]]:
    """What each micro-batch held; None where two processes, or two tries, differ."""
    found: dict[int, Any] = {}
    for number, examples in courses(folder, name):
        if found.setdefault(number, examples) != examples:
            found[number] = None
    return found


def difference(one: Path, two: Path) -> float:
    wanted, found = (load_file(path / "model.safetensors") for path in (one, two))
    assert wanted.keys() == found.keys(), "other weights"
    return max(float(abs(wanted[name] - found[name]).max()) for name in wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    plan = {
        "steps": given.steps,
        "accumulate": ACCUMULATE,
        "epsilon": 1e-4,
        "checkpoint_every_steps": 2,
        "validates": False,
    }
    kills: list[dict[str, Any]] = []
    differences: list[float] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ended, told = train(folder, 1, {"name": "whole", **plan}, None)
        assert ended, told
        wanted = order_of(folder, "whole")
        course, size = 0, 1
        while len(kills) < given.kills or (folder / f"killed{course}").exists():
            run = folder / f"killed{course}"
            size = chance.choice([one for one in (1, 2, 3) if one != size])
            parallel = chance.choice(["ddp", "fsdp"])
            job = {"name": run.name, **plan, "parallel": parallel, "resume": run.exists()}
            before = last_step(run)
            strikes = chance if len(kills) < given.kills else None
            try:
                ended, told = train(folder, size, job, strikes)
            except subprocess.TimeoutExpired:
                problems.append(f"{size} processes, {parallel}: one hung after step {before}")
                break
            if "Traceback" in told:
                problems.append(told[-600:])
            if not ended:
                kills.append({"processes": size, "parallel": parallel, "step": last_step(run)})
                print(json.dumps(kills[-1]), file=sys.stderr)
                if strikes is None:
                    problems.append(told[-600:])
                    break
                continue
            differences.append(difference(folder / "whole", run))
            if order_of(folder, run.name) != wanted:
                problems.append(f"{run.name}: other examples in some micro-batch")
            course += 1
    told = {
        "kills": len(kills),
        "runs_ended": len(differences),
        "of": kills,
        "largest_difference": max(differences, default=None),
        "problems": problems,
    }
    print(json.dumps(told))
    raise SystemExit(0 if differences and max(differences) < 1e-4 and not problems else 1)


if __name__ == "__main__":
    main()
