"""A small job that learns to turn a sequence round, for tests; as a script it trains one, so that
it can be killed.

python toy_training.py RUN [steps=40] [resume=true] [optimizer='"muon"'] ...
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from triptych.data.batches.encoded import Encoded, collate
from triptych.data.batches.order import MicroBatches
from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.heads.tokens import NextToken
from triptych.model.lora import adapt
from triptych.model.ops.cross_entropy import projected_cross_entropy
from triptych.runs.run import Run
from triptych.training.distributed import world
from triptych.training.job import Job
from triptych.training.settings import TrainingSettings, ValidationSettings
from triptych.training.trainer import train

EXAMPLES = 120


def example(index: int) -> Encoded:
    """A sequence and its reverse; 0 begins, 1 ends."""
    draw = np.random.default_rng(index)
    source = draw.integers(2, 20, draw.integers(2, 9))
    target = source[::-1]
    return Encoded(
        {"source": np.append(source, 1), "target": np.append(0, target)},
        {"tokens": np.append(target, 1)},
        index,
    )


def loss(output: Any, batch: Any) -> dict[str, tuple[torch.Tensor, int, float]]:
    smoothed, plain = projected_cross_entropy(
        output.states, output.weight, output.bias, batch.targets["tokens"], 0.1
    )
    return {
        "loss": (smoothed, batch.counts["tokens"], 1.0),
        "nll": (plain.detach(), batch.counts["tokens"], 0.0),
    }


def model_config(**dials: Any) -> ModelConfig:
    shape = {"layers": 1, "width": 32, "heads": 2, "inner_width": 64, "norm_placement": "pre"}
    stack = StackConfig(**{**shape, "dropout": 0.1, **dials})
    return ModelConfig(encoder=stack, decoder=stack, vocabulary_size=20)


def validate(model: Any) -> dict[str, float]:
    batch = collate([example(EXAMPLES + index) for index in range(20)])
    output = NextToken()(model, model(**batch.inputs), batch.inputs)
    return {"loss": float(loss(output, batch)["nll"][0]) / batch.counts["tokens"]}


def make_job(
    path: Path,
    *,
    resume: bool = False,
    accumulate: int = 2,
    batch_tokens: int = 64,
    validates: bool = True,
    validation: dict[str, Any] | None = None,
    dials: dict[str, Any] | None = None,
    lora_rank: int | None = None,
    **settings: Any,
) -> Job:
    torch.manual_seed(7)
    values = {
        "steps": 40,
        "learning_rate": 3e-3,
        "warmup_steps": 5,
        "log_every_steps": 4,
        "precision": "float32",
        "average": 0.9,
        "checkpoint_every_steps": 6,
        **settings,
    }
    processes = world()
    model = build(model_config(**(dials or {})))
    if lora_rank is not None:
        adapt(model, lora_rank, 2.0, ["query", "inner"])
    return Job(
        model=model,
        head=NextToken(),
        task=SimpleNamespace(name="reverse", loss=loss, passes=1),  # type: ignore[arg-type]
        batches=MicroBatches(
            lambda epoch, index: [example(index)],
            EXAMPLES,
            batch_tokens=batch_tokens,
            seed=3,
            buffer=50,
            rank=processes.rank,
            world=processes.size,
        ),
        run=Run.create(path, resume=resume or processes.rank > 0),
        settings=TrainingSettings(**values),
        accumulate=accumulate,
        validation=ValidationSettings(**(validation or {})),
        validate=validate if validates else None,
        resume=resume,
        places=lambda index: f"toy.txt:{index + 1}",
        command="triptych train toy --resume",
    )


def signalled(
    function: Callable[..., Any], call: int, number: int = signal.SIGINT
) -> Callable[..., Any]:
    """The function, which in its `call`th call sends this process a signal before it returns."""
    calls = itertools.count(1)

    def wrapped(*given: Any, **named: Any) -> Any:
        result = function(*given, **named)
        if next(calls) == call:
            os.kill(os.getpid(), number)
        return result

    return wrapped


def main() -> None:
    path, *given = sys.argv[1:]
    values: dict[str, Any] = {
        name: json.loads(value) for name, value in (pair.split("=") for pair in given)
    }
    torch.set_num_threads(1)
    rank, call = values.pop("interrupted", (None, 0))
    job = make_job(Path(path), **values)
    if rank == job.batches.rank:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        job.model.forward = signalled(job.model.forward, call)  # type: ignore[method-assign]
    for progress in train(job):
        print(progress.event, progress.step, progress.message, flush=True)


if __name__ == "__main__":
    main()
