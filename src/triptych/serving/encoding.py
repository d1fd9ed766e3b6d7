"""Cut texts into tokens away from the event loop, and refuse those that are too long to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ..tasks.task import Task
from .limits import (
    CHARACTERS_PER_TOKEN,
    LEAST_CHARACTERS,
    MOST_CHARACTERS,
    MOST_WINDOWS,
    OFF_LOOP,
)
from .problems import ApiError

if TYPE_CHECKING:
    from ..inference.predictor import Predictor

Found = TypeVar("Found")
# Two threads: a long text holds up no short one, and a hundred of them do not starve the loop.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="encode")


def most_characters(predictor: Predictor) -> int:
    """Return the most characters of an input of a run, by the most tokens that it reads."""
    task = predictor.task
    tokens = _context(task, predictor) * (MOST_WINDOWS if task.spec.windows else 1)
    return min(MOST_CHARACTERS, max(LEAST_CHARACTERS, CHARACTERS_PER_TOKEN * tokens))


def _context(task: Task, predictor: Predictor) -> int:
    """Return how many tokens are read at once."""
    if task.spec.architecture == "decoder":
        own = predictor.model.config.context("target") or predictor.longest_source()
    else:
        own = predictor.longest_source()
    given = [task.options.get(name) for name in ("context", "window")]
    return min([own, *(one for one in given if isinstance(one, int) and one > 0)])


def refuse_longer(size: int, most: int, param: str | None = None) -> None:
    """Raise ApiError, 413, for a text of more characters than are read."""
    if size > most:
        raise ApiError(
            "The text has {size:,} characters; the most is {most:,}.", size=size, most=most
        ).at(413, param)


async def off_loop(size: int, function: Callable[[], Found]) -> Found:
    """Return what a function makes of a text of `size` characters, without holding up the loop."""
    if size < OFF_LOOP:
        return function()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, function)
