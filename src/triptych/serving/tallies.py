"""Add the counts of all worker processes, in memory that they share."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np

from ..inference.engine.counters import Histogram
from ..inference.engine.engine import Engine

COUNTED = (
    "submitted", "done", "refused", "late", "cancelled", "failed", "tokens_read", "tokens_reused",
    "tokens_written", "steps",
)  # fmt: skip
TIMED = ("first", "whole", "step", "rows")  # each a Histogram
STATES = ("waiting", "live")  # of an engine, at this moment


def values(engine: Engine) -> list[float]:
    """Return all counts of an engine, in the order of the names above."""
    counters = engine.counters
    found: list[float] = [getattr(counters, name) for name in COUNTED]
    for name in TIMED:
        held: Histogram = getattr(counters, name)
        found += [*held.counts, held.total]
    return [*found, *(getattr(engine, name) for name in STATES)]


def totals(engines: Sequence[Engine]) -> np.ndarray:
    """Return the counts (R, N) of R engines of this process."""
    return np.array([values(one) for one in engines], dtype=np.float64)


class Tallies:
    """Hold the counts of workers: each writes those of its own engines, any reads the sums.

    It is made before the workers are forked. What a worker that ended had counted stays, so that
    no count ever falls.
    """

    def __init__(self, workers: int, engines: Sequence[Engine]) -> None:
        shape = (workers + 1, *totals(engines).shape)  # the last row: of workers that have ended
        memory = mmap.mmap(-1, 8 * int(np.prod(shape)))  # shared with what is forked
        self.table = np.frombuffer(memory, dtype=np.float64).reshape(shape)

    def publish(self, worker: int, engines: Sequence[Engine]) -> None:
        """Write the counts of a worker."""
        self.table[worker] = totals(engines)

    def retire(self, worker: int) -> None:
        """Keep the counts of a worker that has ended, whose place another one takes."""
        kept = self.table[worker].copy()
        kept[:, -len(STATES) :] = 0
        self.table[-1] += kept
        self.table[worker] = 0

    def sums(self) -> np.ndarray:
        """Return the counts (R, N) of all workers together."""
        return self.table.sum(0)
