"""Answer from an index of documents, for the dialects that have questions: `serve --index`.

Searching and weighing answers are those of `triptych answer --index`; what the run reads or writes
for them joins the steps of all other requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from ..data.example import Example
from ..decoding.settings import DecodingSettings
from ..inference.engine.tickets import Busy, Late
from ..inference.retrieval.answers import ABSENT, CitedAnswer, kind_of
from ..tasks.spans import EAST
from ..tasks.task import Prediction

if TYPE_CHECKING:
    from ..inference.retrieval.index import Index
    from .served import ServedRun

AT_ONCE = 8  # questions that are searched and read for


class Documents:
    """Answer questions of clients from an index.

    Args:
        index: Where passages are found.
        least: The score below which an answer is not given; None: as it was measured.
    """

    def __init__(self, index: Index, least: float | None = None) -> None:
        self.index, self.least = index, least
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="documents")
        self._open = 0  # questions that are being answered or wait

    async def answer(
        self, run: ServedRun, question: str, settings: DecodingSettings | None = None
    ) -> CitedAnswer:
        """Return the answer to a question, with its citations.

        Raises Busy where too many wait, Late after the deadline.
        """
        limits, loop = run.engine.limits, asyncio.get_running_loop()
        if self._open >= limits.queue:
            raise Busy("The queue is full. Try again in a moment.")
        reader = Reader(run, loop)
        ask = partial(self.index.answer, reader, question, settings=settings, least=self.least)
        # The context says whose requests these are, so that they end when the client leaves.
        pending = loop.run_in_executor(self._pool, copy_context().run, ask)
        self._open += 1
        try:
            return await asyncio.wait_for(pending, limits.deadline)
        except TimeoutError:
            raise Late("The request took longer than {seconds} seconds.",
                       seconds=limits.deadline) from None  # fmt: skip
        finally:
            self._open -= 1


class Reader:
    """Be a run to the search: its answers come from the engine, which steps in its own thread."""

    def __init__(self, run: ServedRun, loop: asyncio.AbstractEventLoop) -> None:
        self._run, self._loop = run, loop
        self.task, self.tokenizers = run.predictor.task, run.predictor.tokenizers

    def answer(
        self, examples: Sequence[Example], settings: DecodingSettings | None = None
    ) -> list[Prediction]:
        """Return the answers, from another thread than the event loop's."""
        several = [
            asyncio.run_coroutine_threadsafe(self._run.answer(one, settings), self._loop)
            for one in examples
        ]
        return [one.result() for one in several]


def suits(run: ServedRun) -> bool:
    """Tell whether a run can answer from passages."""
    return kind_of(run.spec, run.predictor.task.needs) is not None


def words(question: str, found: CitedAnswer) -> str:
    """Return the answer in words; where there is none, a sentence that says so."""
    return found.answer or ABSENT["zh" if EAST.search(question) else "en"]


def sources(found: CitedAnswer) -> dict[str, Any]:
    """Return what a client is told beside an answer: whether there is one, and where it stands."""
    told = found.to_json()
    return {"found": bool(told.pop("answer")), **told}
