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

import numpy as np

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
from .documents import Documents
from .encoding import most_characters, off_loop, refuse_longer
from .files import Files, Kept
from .limits import LONGEST_NAME, PARTS_AT_ONCE
from .problems import ApiError
from .tallies import totals

# The place of a request, and a piece of its answer or all answers.
Written = tuple[int, Piece | list[DecodedText]]


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

    @cached_property
    def most_characters(self) -> int:
        """Return the most characters of an input."""
        return most_characters(self.predictor)

    # What is asked -------------------------------------------------------------------------------

    async def encode(
        self, example: Example, truncate: int | None = None
    ) -> tuple[Example, list[Encoded], int]:
        """Return an Example with its words, its windows, and how many of its tokens are not read.

        Raises DataError or UsageError as the task does, ApiError for too many characters.
        """
        predictor = self.predictor
        given = [value for value in example.inputs.values() if isinstance(value, str)]
        size = sum(map(len, (*given, *texts_of(example.messages))))
        refuse_longer(size, self.most_characters)
        if predictor.segmenter is not None:
            (example,) = await self.call(partial(with_words, predictor.segmenter, [example]))
        return example, *(await off_loop(size, partial(predictor.encode, example, truncate)))

    async def ids(self, encode: Callable[[str], Sequence[int]], text: str) -> Sequence[int]:
        """Return a text that a client sent as tokens. Raises ApiError for too many characters."""
        refuse_longer(len(text), self.most_characters, "prompt")
        async with clients.part():
            return await off_loop(len(text), partial(encode, text))

    async def request(self, example: Example, settings: DecodingSettings) -> DecodingRequest:
        """Return what is to be decoded for an Example."""
        async with clients.part():
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
        async with clients.part():
            example, encoded, unseen = await self.encode(example, truncate)
            if self.writes:
                requests = [predictor.request(one, settings) for one in encoded]
                several = (self._wait(partial(self.engine.write, one)) for one in requests)
                raw: Sequence[Any] = await asyncio.gather(*several)
            else:
                raw = await self._wait(partial(self.engine.read, encoded, settings))
        prediction = predictor.task.read(raw, example, predictor.tokenizers)
        prediction.truncated_input_tokens += unseen
        return prediction

    async def write(self, request: DecodingRequest) -> list[DecodedText]:
        """Return the n best answers to a request, best first."""
        async with clients.part():
            return await self._wait(partial(self.engine.write, request))

    async def written(
        self, requests: Sequence[DecodingRequest], merges: bool = False
    ) -> AsyncIterator[Written]:
        """Take several requests, and return an iterator over pieces of their answers.

        Each piece comes with the place of its request, whose last item is its whole result, as
        `write` returns it. The first request is taken at once, the others as there is room. Where
        it `merges`, pieces that came while the caller was busy are one.

        Raises Busy where there is no room for the first.
        """
        feed = Feed(self, requests)
        await feed.fill()
        return feed.merged() if merges else feed.items()

    async def score(self, ids: Sequence[int], top: int = 0) -> TokenScores:
        """Return the log-probabilities of the tokens of a text, begin first."""
        async with clients.part():
            return await self._wait(partial(self.engine.score, ids, top))

    async def embed(self, text: str) -> tuple[list[float], int]:
        """Return the vector of a text and how many tokens it has."""
        embedder = self.embedder
        example = Example(text=text, place="The input")
        if embedder.is_empty(example):
            return [0.0] * embedder.model.config.encoder.width, 0
        refuse_longer(len(text), self.most_characters, "input")
        async with clients.part():
            encoded, _ = await off_loop(len(text), partial(embedder.encode, example))
            raw = await self._wait(
                partial(self.engine.read, encoded, embedder.decoding, predictor=embedder)
            )
        details = embedder.task.read(raw, example, embedder.tokenizers).details
        return details["vector"], details["tokens"]

    async def call(self, function: Callable[[], Any], **options: Any) -> Any:
        """Return what a function returns that is called in the engine's thread, between steps."""
        return await self._wait(partial(self.engine.call, function), **options)

    # The bridge ----------------------------------------------------------------------------------

    def submit(
        self,
        submit: Callable[..., Ticket],
        queue: asyncio.Queue[Any],
        place: int,
        client: clients.Client,
        **options: Any,
    ) -> Ticket:
        """Submit a request of a client, whose events go into a queue with its place."""
        if self._outbox is None or self._outbox.loop is not asyncio.get_running_loop():
            self._outbox = Outbox()
        post = self._outbox.post
        ticket = submit(
            listener=lambda event: post(queue, (place, event)),
            is_part=client.is_admitted,
            **options,
        )
        client.register(ticket)
        return ticket

    async def _wait(self, submit: Callable[..., Ticket], **options: Any) -> Any:
        """Submit a request and return its result; a cancelled wait takes it back."""
        client = clients.client()
        if not options.get("urgent"):
            await client.admit(self.engine)
        queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        ticket = self.submit(submit, queue, 0, client, **options)
        client.waits.add(queue)
        try:
            _, event = await queue.get()
        finally:
            client.waits.discard(queue)
            ticket.cancel()
        if isinstance(event, Lost):
            raise event.error
        assert isinstance(event, Done), "no pieces were asked for"
        return event.result


class Feed:
    """Submit requests of one client as there is room, and yield the pieces of their answers."""

    def __init__(self, run: ServedRun, requests: Sequence[DecodingRequest]) -> None:
        self.run, self.client = run, clients.client()
        self.queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self.pending = deque(enumerate(requests))
        self.tickets: list[Ticket] = []
        self.open = 0

    async def fill(self) -> None:
        """Submit what there is room for, and at least one request if none is open."""
        engine = self.run.engine
        while self.pending and self.open < PARTS_AT_ONCE and (not self.open or engine.has_room):
            if not self.open:
                await self.client.admit(engine)
            place, one = self.pending[0]
            submit = partial(engine.write, one)
            ticket = self.run.submit(submit, self.queue, place, self.client, pieces=True)
            self.pending.popleft()
            self.tickets.append(ticket)
            self.open += 1

    async def items(self) -> AsyncIterator[Written]:
        """Yield the pieces, each with the place of its request."""
        self.client.waits.add(self.queue)
        try:
            while self.open:
                place, event = await self.queue.get()
                if isinstance(event, Lost):
                    raise event.error
                if isinstance(event, Done):
                    self.open -= 1
                await self.fill()
                yield place, event if isinstance(event, Piece) else event.result
        finally:
            self.client.waits.discard(self.queue)
            for ticket in self.tickets:
                ticket.cancel()

    async def merged(self) -> AsyncIterator[Written]:
        """Yield as `items` does; pieces of one answer that wait already are one piece."""
        held: dict[int, Piece] = {}
        async for place, item in self.items():
            if not isinstance(item, Piece):
                if place in held:
                    yield place, held.pop(place)
                yield place, item
                continue
            held[place] = held[place].then(item) if place in held else item
            if self.queue.empty():
                for own, piece in held.items():
                    yield own, piece
                held = {}


class Served:
    """Hold all runs that are served, by their names, and the documents that they answer from."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        files: Kept | None = None,
        sums: Callable[[], np.ndarray] | None = None,
        documents: Documents | None = None,
    ) -> None:
        """Hold engines by the names of their runs.

        Args:
            engines: They are working.
            files: Keeps translated files; None: in memory.
            sums: () -> the counts (R, N) of R engines, of all workers; None: of this process.
            documents: That questions are answered from.
        """
        self.documents = documents
        self.files: Kept = Files() if files is None else files
        self.sums = sums or partial(totals, list(engines.values()))
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
