"""The one training loop."""

from __future__ import annotations

from collections.abc import Iterator

from .job import Job, Progress

__all__ = ["Job", "Progress", "train"]


def train(job: Job) -> Iterator[Progress]:
    """Train until the end that the settings name, yielding progress."""
    raise NotImplementedError
    yield
