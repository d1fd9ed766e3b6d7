"""How gradients are best added over processes, and what a second process brings.

    python benchmarks/parallel_steps.py [--rounds 5] [--steps 10] [--model toy ten] [--speed]

Without `--speed`: two gloo processes of one thread each take the same steps in three ways, in turn
in every round: `flat` (one all-reduce of a flat buffer after the backward, as training does), `ddp`
(torch's DistributedDataParallel, buckets of 25 MB, overlapping with the backward) and `hooks` (an
all-reduce of each gradient as soon as it is there). Prints the milliseconds of a step, the median
over rounds of the medians of a round, and `sums`: what adding alone takes.

With `--speed`: tokens a second of one process with one thread, one with two threads, and two with
one each, on the same micro-batches, and the efficiency of two processes of one thread against one.
The machine must be quiet for either. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from triptych.model.config import ModelConfig, StackConfig
from triptych.model.ops.cross_entropy import projected_cross_entropy
from triptych.model.transformer import Transformer
from triptych.training.distributed import World

ROOT = Path(__file__).resolve().parents[1]
# name -> layers, width, heads, vocabulary, sequences of a micro-batch, tokens of each
MODELS = {"toy": (1, 32, 2, 64, 8, 12), "ten": (6, 320, 5, 8000, 16, 32)}


def make(name: str) -> tuple[Transformer, Callable[[int], Tensor]]:
    """A decoder, and the loss of its micro-batch of a number."""
    layers, width, heads, vocabulary, sequences, length = MODELS[name]
    torch.manual_seed(1)
    stack = StackConfig(
        layers=layers, width=width, heads=heads, inner_width=4 * width, norm_placement="pre"
    )
    model = Transformer(ModelConfig(encoder=None, decoder=stack, vocabulary_size=vocabulary))

    def loss(number: int) -> Tensor:
        drawn = torch.Generator().manual_seed(number)
        ids = torch.randint(0, vocabulary, (sequences * length,), generator=drawn)
        lengths = torch.full((sequences,), length)
        states = model(target=ids, target_lengths=lengths)
        weight, bias = model.output_projection()
        total, _ = projected_cross_entropy(states, weight, bias, ids.roll(-1), 0.0)
        return total / ids.numel()

    return model, loss


class Whole(nn.Module):
    """A model and its loss in one forward, as DistributedDataParallel wants it."""

    def __init__(self, model: Transformer, loss: Callable[[int], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, number: int) -> Tensor:
        return self.loss(number)


def ways(name: str, processes: World) -> dict[str, Callable[[int], None]]:
    """Each way to compute and add the gradients of a step: number of the micro-batch -> None."""
    found: dict[str, Callable[[int], None]] = {}

    model, loss = make(name)
    parameters = list(model.parameters())

    def flat(number: int) -> None:
        loss(number).backward()
        processes.sum_gradients(parameters, torch.zeros(1, dtype=torch.float64))

    found["flat"] = _fresh(parameters, flat)
    found["sums"] = lambda number: _sums(parameters, processes)
    other, other_loss = make(name)
    wrapped = nn.parallel.DistributedDataParallel(Whole(other, other_loss))
    found["ddp"] = _fresh(list(other.parameters()), lambda number: wrapped(number).backward())
    third, third_loss = make(name)
    pending: list[Any] = []

    def add(parameter: Tensor) -> None:
        assert parameter.grad is not None
        pending.append(distributed.all_reduce(parameter.grad, async_op=True))

    for parameter in third.parameters():
        parameter.register_post_accumulate_grad_hook(add)

    def hooks(number: int) -> None:
        third_loss(number).backward()
        for work in pending:
            work.wait()
        pending.clear()

    found["hooks"] = _fresh(list(third.parameters()), hooks)
    return found


def _fresh(parameters: list[nn.Parameter], step: Callable[[int], None]) -> Callable[[int], None]:
    def run(number: int) -> None:
        for parameter in parameters:
            parameter.grad = None
        step(number)

    return run


def _sums(parameters: list[nn.Parameter], processes: World) -> None:
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    processes.sum_gradients(parameters, torch.zeros(1, dtype=torch.float64))


def milliseconds(step: Callable[[int], None], first: int, steps: int) -> float:
    """The median of some steps."""
    found: list[float] = []
    for number in range(first, first + steps):
        began = time.perf_counter()
        step(number)
        found.append(1000 * (time.perf_counter() - began))
    return statistics.median(found)


def work(given: argparse.Namespace) -> None:
    """The part of one of two processes; the first prints."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    processes = World(distributed.get_rank(), distributed.get_world_size())
    told: dict[str, dict[str, float]] = {}
    for name in given.model:
        steps, rounds = ways(name, processes), {}
        for number in range(given.rounds + 1):
            for way, step in steps.items():
                distributed.barrier()
                found = milliseconds(step, number * 1000 + processes.rank, given.steps)
                if number:  # the first round warms up
                    rounds.setdefault(way, []).append(found)
        told[name] = {way: round(statistics.median(all_), 2) for way, all_ in rounds.items()}
    if processes.is_main:
        print(json.dumps(told))
    distributed.barrier()
    distributed.destroy_process_group()


def speed(given: argparse.Namespace) -> None:
    """Tokens a second of this process (or of two), for `--speed`."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(given.threads)
    processes = World()
    if size > 1:
        distributed.init_process_group("gloo")
        processes = World(distributed.get_rank(), size)
    told: dict[str, float] = {}
    for name in given.model:
        model, loss = make(name)
        parameters = list(model.parameters())
        optimizer = torch.optim.AdamW(parameters, fused=True)
        tokens = MODELS[name][4] * MODELS[name][5]
        found: list[float] = []
        for number in range(given.rounds + 1):
            began = time.perf_counter()
            for step in range(given.steps):
                for parameter in parameters:
                    parameter.grad = None
                for part in range(processes.rank, 2, size):  # two micro-batches a step
                    loss(number * 1000 + 2 * step + part).backward()
                processes.sum_gradients(parameters, torch.zeros(1, dtype=torch.float64))
                optimizer.step()
            found.append(2 * tokens * given.steps / (time.perf_counter() - began))
        told[name] = round(statistics.median(found[1:]), 1)
    if processes.is_main:
        print(json.dumps(told))
    if size > 1:
        distributed.destroy_process_group()


def started(size: int, threads: int, more: list[str]) -> dict[str, Any]:
    """Start this script in `size` processes, and return what the first prints."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, *more, "--threads", str(threads)],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "src"),
                "OMP_NUM_THREADS": str(threads),
                "RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "PARALLEL_STEPS": "1",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    told = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(1)
    return json.loads(told[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if "PARALLEL_STEPS" in os.environ:
        return speed(given) if given.speed else work(given)
    more = [word for word in sys.argv[1:] if word != ""]
    if not given.speed:
        print(json.dumps(started(2, 1, more)))
        return None
    runs = {
        "one_process_one_thread": started(1, 1, more),
        "one_process_two_threads": started(1, 2, more),
        "two_processes_one_thread_each": started(2, 1, more),
    }
    one, two = runs["one_process_one_thread"], runs["two_processes_one_thread_each"]
    efficiency = {name: round(two[name] / (2 * one[name]), 3) for name in given.model}
    print(json.dumps({"tokens_per_second": runs, "efficiency": efficiency}))
    return None


if __name__ == "__main__":
    main()
