"""Train small jobs one after the other, as one of several processes; their order is recorded.

python toy_world.py FOLDER JOBS.json, under torchrun's environment

JOBS.json is a list of what `make_job` is given, each with the "name" of its run in FOLDER. What
each micro-batch held is written to FOLDER/NAME.order-RANK, a line of JSON each: its number in the
run and its examples.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from toy_training import make_job

from triptych.errors import TriptychError
from triptych.training.job import Job
from triptych.training.trainer import train


def recorded(job: Job, path: Path) -> Job:
    """The job, which appends to a file what each of its micro-batches holds."""
    next_batches = job.batches.next_batches

    def record(count: int) -> Any:
        found = next_batches(count)
        with path.open("a") as file:
            for number, encoded in found:
                file.write(json.dumps([number, [one.index for one in encoded]]) + "\n")
        return found

    job.batches.next_batches = record  # type: ignore[method-assign]
    return job


def train_all(folder: Path, jobs: list[dict[str, Any]]) -> None:
    for given in jobs:
        values = dict(given)
        name = values.pop("name")
        job = make_job(folder / name, **values)
        recorded(job, folder / f"{name}.order-{job.batches.rank}")
        try:
            for progress in train(job):
                print(name, progress.event, progress.step, progress.message, flush=True)
        except TriptychError as problem:
            print(name, "refused", 0, problem, flush=True)


def main() -> None:
    torch.set_num_threads(1)
    train_all(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))


if __name__ == "__main__":
    main()
