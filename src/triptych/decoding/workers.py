"""Decode several batches at once, one thread each.

Small products gain nothing from a second thread. Workers are threads, not processes: torch releases
the interpreter lock while it computes, so threads share the model, start at once and pass on errors
(docs/decisions/007-decoding-threads.md).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

from ..errors import TriptychError, UsageError

# The longest wait of a worker for the interpreter; Python's default, 0.005, is a fifth of a step.
SWITCH_SECONDS = 0.0005

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Run functions in a pool of threads; use it as a context manager.

    While it is open, the calling thread keeps its own number of torch threads.

    Args:
        count: Threads of one core each; by default as many as torch would use.
    """

    def __init__(self, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise UsageError(f"{count} workers cannot decode; give 1 or more.")
        self._threads = torch.get_num_threads()
        self.count = count or self._threads
        self._pool: ThreadPoolExecutor | None = None
        self._interval = 0.0

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        costs: Sequence[float] | None = None,
    ) -> Iterator[Result]:
        """Yield function(item) of all items in order, each as soon as those before it are done.

        The first error cancels what has not begun, and is raised here.

        Args:
            function: Must not change the model.
            items: Its arguments.
            costs: The expected time of each item. The most expensive begin first, so that none of
                them runs alone at the end.
        """
        if self.count == 1 or len(items) < 2:  # a single item may use all threads
            yield from map(function, items)
            return
        order = (
            sorted(range(len(items)), key=lambda place: -costs[place])
            if costs is not None
            else range(len(items))
        )
        pool = self._open()
        futures: dict[int, Future[Result]] = {
            place: pool.submit(function, items[place]) for place in order
        }
        try:
            for place in range(len(items)):
                yield _result(futures[place])
        finally:
            for future in futures.values():
                future.cancel()

    def _open(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._interval = sys.getswitchinterval()
            sys.setswitchinterval(min(self._interval, SWITCH_SECONDS))
            self._pool = ThreadPoolExecutor(
                self.count, "decoding", initializer=torch.set_num_threads, initargs=(1,)
            )
        return self._pool

    def close(self) -> None:
        """Wait for what has begun and cancel the rest."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            sys.setswitchinterval(self._interval)
            # Later threads inherit this setting.
            torch.set_num_threads(self._threads)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _result(future: Future[Result]) -> Result:
    try:
        return future.result()
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
            raise
        raise TriptychError(
            "There is not enough memory to decode batches of this size side by side. Give a "
            "smaller decoding.batch_tokens."
        ) from error
