"""Count what an engine does, as plain values. Imports no torch."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


@dataclass(slots=True)
class Histogram:
    """Count values by the least of its bounds that they do not exceed."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Counters:
    """Hold the counts of one engine since it began.

    Its own thread changes them, but for those of requests that come in, which a lock guards.

    Args:
        submitted: Requests that were accepted.
        done: Requests that got a result.
        refused: Requests for which the queue had no room.
        late: Requests whose deadline passed.
        cancelled: Requests that were taken back.
        failed: Requests that an error ended.
        tokens_read: Tokens of prompts, sources and inputs that the model read.
        tokens_reused: Prompt tokens whose states were found in the cache of prefixes.
        tokens_written: Tokens of answers.
        steps: Decoding steps.
        first: Seconds from a request to the first token or the result.
        whole: Seconds from a request to its result.
        step: Seconds of a decoding step.
        rows: Rows of a decoding step.
    """

    submitted: int = 0
    done: int = 0
    refused: int = 0
    late: int = 0
    cancelled: int = 0
    failed: int = 0
    tokens_read: int = 0
    tokens_reused: int = 0
    tokens_written: int = 0
    steps: int = 0
    first: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    whole: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    step: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    rows: Histogram = field(default_factory=lambda: Histogram(ROWS))

    @property
    def open(self) -> int:
        """Return how many requests were accepted and are not over."""
        return self.submitted - self.done - self.late - self.cancelled - self.failed
