"""Train small jobs one after the other, as one of several processes; their order is recorded.

python toy_world.py FOLDER JOBS.json, under torchrun's environment

JOBS.json is a list of what `make_job` is given, each with the "name" of its run in FOLDER, and
perhaps a "trouble" (`broken`). What
each micro-batch held is written to FOLDER/NAME.order-RANK, a line of JSON each: its number in the
run and its examples.
"""

from __future__ import annotations

import errno
import itertools
import json
import signal
import sys
from pathlib import Path
from typing import Any, cast

import torch
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from toy_training import make_job, signalled

from triptych.errors import TriptychError
from triptych.training.distributed import world
from triptych.training.guards import exit_on_sigterm
from triptych.training.job import Job
from triptych.training.refusals import refuse_unlike_processes
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


def broken(job: Job, trouble: str) -> None:
    """Make something go wrong in the second process: in the fifth pass, or when it writes."""
    if trouble == "full disk":

        def write(*given: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        HuggingFaceStorageWriter.write_data = write  # type: ignore[assignment, method-assign]
        return
    if trouble == "nan":
        feed = cast(Any, job.model).decoder.blocks[0].feed_forward
        forward, calls = feed.forward, itertools.count(1)

        def poison(*given: Any, **named: Any) -> Any:
            return forward(*given, **named) * (float("nan") if next(calls) > 4 else 1.0)

        feed.forward = poison
        return
    number = {"dies": signal.SIGKILL, "sigterm": signal.SIGTERM}[trouble]
    job.model.forward = signalled(job.model.forward, 5, number)  # type: ignore[method-assign]


def train_all(folder: Path, jobs: list[dict[str, Any]]) -> None:
    rank = world().rank
    for given in jobs:
        values = dict(given)
        name, trouble = values.pop("name"), values.pop("trouble", None)
        write_data = HuggingFaceStorageWriter.write_data
        try:
            if trouble in ("recipe", "data"):
                recipe = {"training": {"steps": rank if trouble == "recipe" else 3}}
                refuse_unlike_processes(world(), recipe, {"train": f"{trouble}{rank}"})
            job = make_job(folder / name, **values)
            recorded(job, folder / f"{name}.order-{rank}")
            if trouble is not None and rank == 1:
                broken(job, trouble)
            for progress in train(job):
                print(name, progress.event, progress.step, progress.message, flush=True)
        except TriptychError as problem:
            print(name, "refused", 0, problem, flush=True)
        except SystemExit as stop:
            print(name, "exit", stop.code, flush=True)
        finally:
            HuggingFaceStorageWriter.write_data = write_data  # type: ignore[method-assign]


def main() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, exit_on_sigterm)
    train_all(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))


if __name__ == "__main__":
    main()
