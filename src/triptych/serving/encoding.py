"""Cut texts into tokens away from the event loop, and refuse those that are too long to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

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

UNBOUNDED = 131_072  # tokens that a decoder without a limit of its own reads
Found = TypeVar("Found")
# Two threads: a long text holds up no short one, and a hundred of them do not starve the loop.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="encode")


def most_characters(predictor: Predictor) -> int:
    """Return the most characters of an input of a run, by the most tokens that it reads."""
    task, config = predictor.task, predictor.model.config
    is_decoder = task.spec.architecture == "decoder"
    own = config.context("target") or UNBOUNDED if is_decoder else predictor.longest_source()
    given = [task.options.get(name) for name in ("context", "window")]
    tokens = min([own, *(one for one in given if isinstance(one, int) and one > 0)])
    if task.spec.windows and not is_decoder:
        tokens *= MOST_WINDOWS
    return min(MOST_CHARACTERS, max(LEAST_CHARACTERS, CHARACTERS_PER_TOKEN * tokens))


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
