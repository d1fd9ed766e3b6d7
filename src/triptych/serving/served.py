"""Hold the runs that are served, and ask their engines from the event loop.

This is what a dialect is given: it finds a run by name, makes an Example or a request of what its
client sent, and awaits the answer. A client that leaves takes its requests back (`clients.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from starlette.concurrency import run_in_threadpool

from ..data.batches.encoded import Encoded
from ..data.example import Example, texts_of
from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.scoring import TokenScores
from ..decoding.settings import DecodingSettings
from ..inference.answering import with_words
from ..inference.engine.engine import Engine
from ..inference.engine.tickets import Done, Event, Lost, Piece, Ticket
from ..inference.predictor import Predictor
from ..inference.search_index import as_embedder
from ..tasks.task import Prediction, TaskSpec
from . import clients
from .limits import LONGEST_NAME, OFF_LOOP
from .problems import ApiError


class Outbox:
    """Carry events from the engines' thread to the event loop, many at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._pending: deque[tuple[asyncio.Queue[Any], Any]] = deque()

    def post(self, queue: asyncio.Queue[Any], item: Any) -> None:
        """Put an item into a queue of the loop, from another thread."""
        self._pending.append((queue, item))
        if len(self._pending) == 1:
            try:
                self.loop.call_soon_threadsafe(self._flush)
            except RuntimeError:  # the loop is closed: nobody waits
                self._pending.clear()

    def _flush(self) -> None:
        # `post` may see a queue that is being emptied; then it schedules another, empty flush.
        while True:
            try:
                queue, item = self._pending.popleft()
            except IndexError:
                return
            queue.put_nowait(item)


class ServedRun:
    """Hold one run that is served.

    Args:
        name: By which clients ask for it.
        engine: Answers with it.
    """

    def __init__(self, name: str, engine: Engine) -> None:
        self.name, self.engine = name, engine
        self.predictor: Predictor = engine.predictor
        self.created = int(time.time())
        self._outbox: Outbox | None = None

    @property
    def spec(self) -> TaskSpec:
        """Return the specification of the run's task."""
        return self.predictor.task.spec

    @property
    def writes(self) -> bool:
        """Tell whether answers are written token by token."""
        return self.engine.writer is not None

    @cached_property
    def embedder(self) -> Predictor:
        """Return what embeds texts with this run. Raises UsageError where nothing can."""
        return as_embedder(self.predictor)

    # What is asked -------------------------------------------------------------------------------

    async def encode(
        self, example: Example, truncate: int | None = None
    ) -> tuple[Example, list[Encoded], int]:
        """Return an Example with its words, its windows, and how many of its tokens are not read.

        Raises DataError or UsageError as the task does.
        """
        predictor = self.predictor
        if predictor.segmenter is not None:
            (example,) = await self.call(partial(with_words, predictor.segmenter, [example]))
        given = getattr(example, predictor.task.input)
        size = sum(map(len, texts_of(given))) + len(example.passage or "")
        if size < OFF_LOOP:
            return example, *predictor.encode(example, truncate)
        return example, *(await run_in_threadpool(predictor.encode, example, truncate))

    async def request(self, example: Example, settings: DecodingSettings) -> DecodingRequest:
        """Return what is to be decoded for an Example."""
        _, (one, *_), unseen = await self.encode(example)
        found = self.predictor.request(one, settings)
        return replace(found, unread=found.unread + unseen)

    # What is answered ----------------------------------------------------------------------------

    async def answer(
        self, example: Example, settings: DecodingSettings | None = None,
        truncate: int | None = None,
    ) -> Prediction:  # fmt: skip
        """Return what `Predictor.predict` answers."""
        predictor, settings = self.predictor, settings or self.predictor.decoding
        if predictor.is_empty(example):
            return Prediction(text="")
        example, encoded, unseen = await self.encode(example, truncate)
        if self.writes:
            requests = [predictor.request(one, settings) for one in encoded]
            raw: Sequence[Any] = await asyncio.gather(*(self.write(one) for one in requests))
        else:
            raw = await self._wait(partial(self.engine.read, encoded, settings))
        prediction = predictor.task.read(raw, example, predictor.tokenizers)
        prediction.truncated_input_tokens += unseen
        return prediction

    async def write(self, request: DecodingRequest) -> list[DecodedText]:
        """Return the n best answers to a request, best first."""
        return await self._wait(partial(self.engine.write, request))

    async def written(
        self, requests: Sequence[DecodingRequest]
    ) -> AsyncIterator[tuple[int, str | list[DecodedText]]]:
        """Yield pieces of the answers to several requests, each with the place of its request.

        The last item of a request is its whole result, as `write` returns it.
        """
        queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        tickets = [
            self._submit(partial(self.engine.write, one), queue, place, pieces=True)
            for place, one in enumerate(requests)
        ]
        try:
            left = len(tickets)
            while left:
                place, event = await queue.get()
                if isinstance(event, Lost):
                    raise event.error
                left -= isinstance(event, Done)
                yield place, event.text if isinstance(event, Piece) else event.result
        finally:
            for ticket in tickets:
                ticket.cancel()

    async def score(self, ids: Sequence[int], top: int = 0) -> TokenScores:
        """Return the log-probabilities of the tokens of a text, begin first."""
        return await self._wait(partial(self.engine.score, ids, top))

    async def embed(self, text: str) -> tuple[list[float], int]:
        """Return the vector of a text and how many tokens it has."""
        embedder = self.embedder
        example = Example(text=text, place="The input")
        if embedder.is_empty(example):
            return [0.0] * embedder.model.config.encoder.width, 0
        encoded, _ = embedder.encode(example)
        raw = await self._wait(
            partial(self.engine.read, encoded, embedder.decoding, predictor=embedder)
        )
        details = embedder.task.read(raw, example, embedder.tokenizers).details
        return details["vector"], details["tokens"]

    async def call(self, function: Callable[[], Any], **options: Any) -> Any:
        """Return what a function returns that is called in the engine's thread, between steps."""
        return await self._wait(partial(self.engine.call, function), **options)

    # The bridge ----------------------------------------------------------------------------------

    def _submit(
        self, submit: Callable[..., Ticket], queue: asyncio.Queue[Any], place: int, **options: Any
    ) -> Ticket:
        if self._outbox is None or self._outbox.loop is not asyncio.get_running_loop():
            self._outbox = Outbox()
        post = self._outbox.post
        ticket = submit(listener=lambda event: post(queue, (place, event)), **options)
        clients.register(ticket)
        return ticket

    async def _wait(self, submit: Callable[..., Ticket], **options: Any) -> Any:
        """Submit a request and return its result; a cancelled wait takes it back."""
        queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        ticket = self._submit(submit, queue, 0, **options)
        try:
            _, event = await queue.get()
        finally:
            ticket.cancel()
        if isinstance(event, Lost):
            raise event.error
        assert isinstance(event, Done), "no pieces were asked for"
        return event.result


class Served:
    """Hold all runs that are served, by their names."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.runs = {name: ServedRun(name, engine) for name, engine in engines.items()}

    def get(self, name: str) -> ServedRun:
        """Return the run of this name. Raises ApiError, 404."""
        found = self.runs.get(name)
        if found is None:
            raise ApiError(
                "The model '{name}' is not served here. There is: {names}.",
                name=name[:LONGEST_NAME],
                names=", ".join(self.runs),
            ).at(404, "model")
        return found

    def that(self, suits: Callable[[ServedRun], bool]) -> list[ServedRun]:
        """Return the runs that a dialect can speak to."""
        return [one for one in self.runs.values() if suits(one)]

    def __iter__(self) -> Any:
        return iter(self.runs.values())
