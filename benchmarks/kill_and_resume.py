"""Does a run that is killed at random moments and resumed end in the same bits as one that was
never stopped?

    python benchmarks/kill_and_resume.py [--kills 20] [--seed 1] [--recipe phrasebook] [--steps 120]
    [--KEY VALUE ...]

Trains the recipe once from start to end, then again while SIGKILL strikes at random moments
(start-up, steps, validation and the writing of checkpoints alike), resumed each time until it ends;
that is repeated until there were enough kills. Prints one JSON object; exit code 1 where
model.safetensors or metrics.jsonl (clock fields excepted) of any run that came to its end differ.
`--recipe toy` takes the tests' small job in place of the command line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOY = ROOT / "tests" / "training" / "toy_training.py"
CLOCKS = ("seconds", "tokens_per_second")


def command(recipe: str, out: Path, steps: int, resume: bool, more: list[str]) -> list[str]:
    if recipe == "toy":
        return [
            sys.executable,
            str(TOY),
            str(out),
            f"steps={steps}",
            f"resume={json.dumps(resume)}",
        ]
    dials = [
        "--training.steps",
        str(steps),
        "--training.minutes",
        "none",
        "--training.checkpoint_every_steps",
        "7",
        "--validation.every_minutes",
        "none",
        "--validation.every_steps",
        "25",
        *more,
    ]
    return [
        sys.executable,
        "-m",
        "triptych",
        "train",
        recipe,
        "--out",
        str(out),
        *dials,
        *(["--resume"] if resume else []),
    ]


def train(words: list[str], kill_after: float | None) -> bool:
    """Whether it came to its end before it was killed. Raises where it failed by itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            told, _ = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            told, _ = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        end = told.decode(errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(words)} failed with exit code {process.returncode}:\n{end}")
    return process.returncode == 0


def outcome(run: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """The weights' bytes, and the metrics without clock fields."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().split("\n") if line]
    plain = [{key: value for key, value in line.items() if key not in CLOCKS} for line in lines]
    return (run / "model.safetensors").read_bytes(), plain


def last_step(run: Path) -> int:
    return max(
        (
            int(path.name[5:])
            for path in run.glob("checkpoints/step-*")
            if (path / "COMPLETE").exists()
        ),
        default=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recipe", default="phrasebook")
    parser.add_argument("--steps", type=int, default=120)
    given, more = parser.parse_known_args()
    chance, resumed_from, same = random.Random(given.seed), [], []
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        began = time.monotonic()
        train(command(given.recipe, whole, given.steps, False, more), None)
        lasted = time.monotonic() - began
        while len(resumed_from) < given.kills or killed.exists():
            limit = chance.uniform(0.1, 1.0) * lasted if len(resumed_from) < given.kills else None
            if train(command(given.recipe, killed, given.steps, killed.exists(), more), limit):
                same.append(outcome(whole) == outcome(killed))
                shutil.rmtree(killed)
            else:
                resumed_from.append(last_step(killed))
                print(
                    f"kill {len(resumed_from)}: the newest checkpoint is of step "
                    f"{resumed_from[-1]}",
                    file=sys.stderr,
                )
    identical = bool(same) and all(same)
    told = {
        "recipe": given.recipe,
        "steps": given.steps,
        "kills": len(resumed_from),
        "resumed_from": resumed_from,
        "runs_ended": len(same),
        "seconds_uninterrupted": round(lasted, 1),
        "identical": identical,
    }
    print(json.dumps(told))
    raise SystemExit(0 if identical else 1)


if __name__ == "__main__":
    main()
