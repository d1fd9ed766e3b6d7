"""Do the same work on many blocks of data in other processes, in the order of the blocks.

A process is started anew and reads blocks of raw bytes from a pipe: nothing is pickled, no program
of a user is imported again, and no thread is lost as after a fork. A block that a process could not
do, because it was killed or raised an error, is done in this one. Imports no torch.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Generic, TypeVar

Parts = Sequence[bytes]
Work = Callable[[list[bytes]], Parts]
Item = TypeVar("Item")
FEWEST_TEXTS = 100_000  # for which it pays to start processes
MOST = 8  # processes
WAITING = 8  # blocks for each process, so that none waits while this one does a block itself
FAILED = 0xFFFFFFFF  # in place of a number of parts
SINGLE = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
ROOT = str(Path(__file__).resolve().parents[2])
COMMAND = (
    "import sys; sys.argv[2] in sys.path or sys.path.insert(0, sys.argv[2]); "
    "from triptych.data.workers import main; main()"
)


def spare_processes(texts: int) -> int:
    """Return how many processes may help with so many texts: one for each further core.

    0 where there are too few texts or only one thread is wanted.
    """
    if texts < FEWEST_TEXTS or not sys.executable:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    beside = os.environ.get("LOCAL_WORLD_SIZE", "1")  # processes that train on this machine
    wanted = min(cores or 1, int(given)) if given.isdigit() else cores or 1
    return max(0, min(MOST, wanted // max(1, int(beside)) - 1))


@dataclass(slots=True)
class _Pending(Generic[Item]):
    """Hold a block whose result is awaited, and what came with it."""

    own: Item
    parts: Parts
    result: Future[Parts]


class Workers:
    """Hold the processes of one kind of work.

    Args:
        work: Where it is found, "module:function". The function gets `setup` and returns a function
            of the parts of a block.
        setup: What every process needs.
        count: Of processes. With 0 the work is done here.
        here: The function of the parts for this process, if it is made already.
    """

    def __init__(self, work: str, setup: bytes, count: int, here: Work | None = None) -> None:
        self._name, self._setup, self._count = work, setup, count
        self._idle: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()
        for _ in range(count):
            self._idle.put(None)
        self._work = here

    def map(self, blocks: Iterable[tuple[Item, Parts]]) -> Iterator[tuple[Item, Parts]]:
        """Yield what came with each block, and what the work made of it."""
        if not self._count:
            yield from ((own, self._here(parts)) for own, parts in blocks)
            return
        pending: deque[_Pending[Item]] = deque()
        pool = ThreadPoolExecutor(self._count)
        try:
            for block in chain(blocks, [None]):
                if block is not None:
                    pending.append(_Pending(*block, pool.submit(self._there, block[1])))
                while pending and (block is None or len(pending) > WAITING * self._count):
                    self._help(pending)
                    one = pending.popleft()
                    yield one.own, one.result.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._end()

    def _help(self, pending: Sequence[_Pending[Item]]) -> None:
        """Do waiting blocks here, the last first, until the first one is done."""
        for one in reversed(pending):
            if pending[0].result.done():
                return
            if one.result.cancel():
                one.result = Future()
                one.result.set_result(self._here(one.parts))

    def _here(self, parts: Parts) -> Parts:
        if self._work is None:
            self._work = _found(self._name, self._setup)
        return self._work([*parts])

    def _there(self, parts: Parts) -> Parts:
        """Return what a process makes of a block; without it, what this one does."""
        process, found = self._idle.get(), None
        try:
            if process is None:
                process = self._begin()
            assert process.stdin is not None and process.stdout is not None, "both are pipes"
            write_parts(process.stdin, parts)
            found = read_parts(process.stdout)
        except (OSError, EOFError):
            pass
        finally:
            self._idle.put(process)
        return self._here(parts) if found is None else found

    def _begin(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", COMMAND, self._name, ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **SINGLE},
        )
        assert process.stdin is not None, "it is a pipe"
        write_parts(process.stdin, [self._setup])
        return process

    def _end(self) -> None:
        for _ in range(self._count):
            process = self._idle.get()
            self._idle.put(None)
            if process is not None:
                process.kill()
                process.communicate()


def write_parts(stream: IO[bytes], parts: Parts) -> None:
    """Write the parts of a block: their number, then the size and the bytes of each."""
    stream.write(struct.pack("<I", len(parts)))
    for one in parts:
        stream.write(struct.pack("<Q", len(one)))
        stream.write(one)
    stream.flush()


def read_parts(stream: IO[bytes]) -> list[bytes] | None:
    """Read the parts of a block; None for a block that failed. Raises EOFError at the end."""
    count = struct.unpack("<I", _exactly(stream, 4))[0]
    if count == FAILED:
        return None
    return [_exactly(stream, struct.unpack("<Q", _exactly(stream, 8))[0]) for _ in range(count)]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _found(name: str, setup: bytes) -> Work:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)(setup)


def main() -> None:
    """Work on blocks from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    blocks, results = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    try:
        setup = read_parts(blocks)
        assert setup is not None, "a process begins with what it needs"
        work = _found(sys.argv[1], setup[0])
        while True:
            parts = read_parts(blocks)
            assert parts is not None, "only results fail"
            try:
                found = work(parts)
            except Exception:  # done again where it can be reported
                results.write(struct.pack("<I", FAILED))
                results.flush()
            else:
                write_parts(results, found)
    except (EOFError, BrokenPipeError):
        return
