"""Train with several processes (torchrun) as with one: they share micro-batches and add gradients.

Gradients are added once a step, after the last backward, in one all-reduce of a flat buffer.
torch's DDP would overlap that with the backward, but its hooks forbid repeating a step that ran out
of memory, and a loss that reads the embedding outside `forward`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from ..errors import TrainingError, UsageError, brief
from ..messages import Message, message, sentences
from ..model.typed import split, to_floats, to_ints
from .guards import STOPPING
from .launch import WHICH

Value = TypeVar("Value")
LOST = message("Another process of this training has ended, so this one ends too.")
# what gloo, NCCL and torch's store say when a process is gone
_LOST = (
    "connection closed",
    "connection reset",
    "broken pipe",
    "connection refused",
    "timed out",
    "nccl",
    "read error",
    "socket",
)


@dataclass(frozen=True)
class World:
    """Hold this process's rank and the number of processes; with one, no method communicates."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Tell whether this process writes files and validates."""
        return self.rank == 0

    def refuse_fewer(self, accumulate: int) -> None:
        """Raise UsageError if a step has fewer micro-batches than there are processes."""
        if accumulate < self.size:
            raise UsageError(
                "{size} processes share the micro-batches of a step, and there are only "
                "{accumulate}. Start no more than {accumulate}, or train into a new folder with "
                "batches.accumulate {size} or more.",
                size=self.size,
                accumulate=accumulate,
            )

    def sum_counts(self, counts: dict[str, int]) -> dict[str, int]:
        """Add counts over the processes, all of which have the same keys."""
        if self.size == 1:
            return counts
        names = sorted(counts)
        total = torch.tensor([counts[name] for name in names], dtype=torch.int64)
        _all_reduce(total)
        return dict(zip(names, to_ints(total), strict=True))

    def largest(self, number: int) -> int:
        """Return the largest `number` of all processes."""
        if self.size == 1:
            return number
        most = torch.tensor([number], dtype=torch.int64)
        cast(Any, distributed).all_reduce(most, distributed.ReduceOp.MAX)
        return int(most)

    def total(self, tensor: Tensor) -> Tensor:
        """Add a tensor over the processes in place, and return it."""
        if self.size > 1:
            _all_reduce(tensor)
        return tensor

    def gather(self, value: Value, group: Any = None) -> list[Value]:
        """Return the JSON values of all processes, in the order of their ranks, in each."""
        if self.size == 1:
            return [value]
        text = json.dumps(value).encode()
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        engine = cast(Any, distributed)  # it has no types
        engine.all_gather(lengths, torch.tensor([len(text)]), group)
        longest = max(map(int, lengths))
        own = torch.zeros(longest, dtype=torch.uint8)
        own[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        texts = [torch.empty_like(own) for _ in lengths]
        engine.all_gather(texts, own, group)
        return [
            json.loads(bytes(to_ints(one[: int(length)])))
            for one, length in zip(texts, lengths, strict=True)
        ]

    def sum_gradients(self, parameters: Iterable[nn.Parameter], sums: Tensor) -> Tensor:
        """Add gradients in place and return the total of `sums` (n,) float64.

        A parameter without a gradient in every process keeps none.
        """
        if self.size == 1:
            return sums
        members = list(parameters)
        if not members:
            return self.total(sums)
        reached = torch.tensor([float(parameter.grad is not None) for parameter in members])
        flat = [torch.zeros(parameter.numel(), device=parameter.device) if parameter.grad is None
                else parameter.grad.reshape(-1) for parameter in members]  # fmt: skip
        together = torch.cat([*flat, reached.to(flat[0].device)])
        _all_reduce(together)
        _all_reduce(sums)
        *parts, reached = split(
            together, [parameter.numel() for parameter in members] + [len(members)]
        )
        for parameter, part, hits in zip(members, parts, to_floats(reached), strict=True):
            parameter.grad = part.view_as(parameter).clone() if hits else None
        return sums

    def agree(
        self, seconds: float, asked: int | None, failed: bool = False
    ) -> tuple[float, int | None, bool]:
        """Return the first process's clock, a signal and a failure of any process.

        If both signals arrived, SIGINT is returned.
        """
        if self.size == 1:
            return seconds, asked, failed
        own = [
            seconds if self.is_main else 0.0,
            float(failed),
            *(float(asked == one) for one in STOPPING),
        ]
        sums = torch.tensor(own, dtype=torch.float64)
        _all_reduce(sums)
        clock, failures, *counts = to_floats(sums)
        signals = [one for one, count in zip(STOPPING, counts, strict=True) if count]
        return clock, signals[0] if signals else None, bool(failures)

    def broadcast(self, value: Value) -> Value:
        """Return the first process's JSON value in every process."""
        if self.size == 1:
            return value
        text = json.dumps(value).encode() if self.is_main else b""
        length = torch.tensor([len(text)], dtype=torch.int64)
        distributed.broadcast(length, 0)
        payload = (
            torch.frombuffer(bytearray(text), dtype=torch.uint8)
            if self.is_main
            else torch.empty(int(length), dtype=torch.uint8)
        )
        distributed.broadcast(payload, 0)
        return json.loads(bytes(to_ints(payload)))

    def share_weights(self, tensors: Iterable[Tensor]) -> None:
        """Copy the first process's weights to all others."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor.detach(), 0)


def _all_reduce(tensor: Tensor) -> None:
    cast(Any, distributed).all_reduce(tensor)  # it has no types


def _store_of_restart() -> Store | None:
    """Return torchrun's store with keys of this restart alone; None: torch finds its own.

    Without a rendezvous back end, torchrun keeps its store over restarts, and processes would wait
    for the addresses of those that have died.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    is_static = os.environ.get("TORCHELASTIC_RUN_ID") == "none"
    if attempt == "0" or not (is_static or os.environ.get("GROUP_WORLD_SIZE") == "1"):
        return None
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return PrefixStore(f"attempt-{attempt}", TCPStore(address, port))


def local_rank() -> int:
    """Return the number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextlib.contextmanager
def _connecting() -> Generator[None]:
    """Turn a failure to meet the other processes into a sentence."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            "The processes of this training cannot reach each other at {address} ({error}). Start "
            "them with torchrun, all with the same --rdzv-endpoint and an open port.",
            address=f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}",
            error=brief(error),
        ) from error


def is_lost(error: BaseException) -> bool:
    """Tell whether an operation failed because another process has ended or is out of reach."""
    if isinstance(error, distributed.DistError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _LOST)


def lost() -> Message:
    """Return a sentence on the loss of another process, and where its cause is to be found."""
    return sentences([LOST, *([WHICH] if "TORCHELASTIC_RUN_ID" in os.environ else [])])


@contextlib.contextmanager
def with_others() -> Generator[None]:
    """Turn the loss of another process into a sentence."""
    try:
        yield
    except RuntimeError as error:
        if not is_lost(error):
            raise
        raise TrainingError(lost()) from error


def world() -> World:
    """Read torchrun's environment, and join the group of processes at the first call."""
    given = os.environ.get("WORLD_SIZE", "1")
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(
            "The variable WORLD_SIZE is '{given}', and must be the number of processes. torchrun "
            "sets it; without torchrun, unset it.",
            given=given,
        )
    size = int(given)
    if size == 1:
        return World()
    if not distributed.is_initialized():
        # Tensors of GPUs go by NCCL; counts, signals and checkpoints stay on gloo.
        nccl = torch.cuda.is_available() and distributed.is_nccl_available()
        if nccl and local_rank() < torch.cuda.device_count():
            torch.cuda.set_device(local_rank())
        with _connecting():
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if nccl else "gloo",
                store=(store := _store_of_restart()),
                rank=-1 if store is None else int(os.environ["RANK"]),
                world_size=-1 if store is None else size,
            )
    return World(distributed.get_rank(), distributed.get_world_size())
