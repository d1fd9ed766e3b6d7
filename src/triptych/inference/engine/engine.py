"""Answer the requests of many clients with one loaded run.

Any thread submits a request and gets a ticket; one thread owns the model and calls `turn` again and
again (`scheduler.py`). A turn computes one step of everything that is asked: a decoding step of all
answers, a batch of inputs for an encoder, a batch of texts to score, one function.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...data.batches.encoded import Encoded, collate
from ...decoding.requests import DecodingRequest
from ...decoding.scoring import token_scores
from ...decoding.settings import DecodingSettings
from ...decoding.writing import decode
from ...errors import DataError, TriptychError, UsageError
from ..predictor import Predictor
from ..prepack import lay_out
from .counters import Counters
from .jobs import Calling, Reading, Scoring, sample
from .limits import EngineLimits
from .tickets import Busy, Cancelled, Late, Listener, Lost, Stopped, Ticket
from .writer import Writer, failure, finish


class Engine:
    """Queue requests, and answer them step by step.

    Args:
        predictor: The run; nothing else may compute with it while the engine works.
        limits: How much is taken on.
    """

    def __init__(self, predictor: Predictor, limits: EngineLimits | None = None) -> None:
        self.predictor, self.limits = predictor, limits or EngineLimits()
        self.counters = Counters()
        self.writer: Writer | None = None
        if predictor.task.request is not None:
            self.writer = Writer(
                predictor.model, predictor.tokenizers.target, self.limits, self.counters
            )
        self.wake: Callable[[], object] = lambda: None  # told of every new request
        self.death: BaseException | None = None  # why the engine answers nothing any more
        self.is_closing = False  # new requests are refused, parts of earlier ones are not
        self.has_ended = False
        self._lock = threading.Lock()
        self._incoming: list[tuple[Ticket, Any]] = []
        self._waiting = 0  # requests that were submitted and are not over
        self._reading: deque[Reading] = deque()
        self._scoring: deque[Scoring] = deque()
        self._calling: deque[Calling] = deque()
        self._blamed: Exception | None = None  # what the last batch of inputs raised

    # Any thread ----------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their first step."""
        held = 0 if self.writer is None else len(self.writer.waiting)
        parts = self._incoming, self._reading, self._scoring, self._calling
        return held + sum(map(len, parts))

    @property
    def live(self) -> int:
        """Return how many answers are being written."""
        return 0 if self.writer is None else self.writer.live

    @property
    def has_room(self) -> bool:
        """Tell whether the queue takes one more request."""
        return self.waiting < self.limits.queue

    @property
    def context(self) -> int | None:
        """Return how many tokens the decoder of a decoder-only model reads; None: unlimited."""
        return self.predictor.model.config.context("target")

    def write(self, request: DecodingRequest, **options: Any) -> Ticket:
        """Answer a request to write; the result is a list of DecodedText, best first.

        Args:
            request: What is to be decoded.
            options: Those of `submit`.
        """
        if self.writer is None:
            name = self.predictor.task.name
            raise UsageError("A run for {name} writes nothing.", name=name)
        request.settings.check()
        return self.submit(request, **options)

    def read(
        self,
        encoded: Sequence[Encoded],
        settings: DecodingSettings,
        predictor: Predictor | None = None,
        **options: Any,
    ) -> Ticket:
        """Compute the raw results of the windows of an input, in order.

        Args:
            encoded: The windows.
            settings: What the task may read of them.
            predictor: The same model with another task and head, like the embedder of an encoder.
            options: Those of `submit`.
        """
        predictor = predictor or self.predictor
        assert predictor.task.answer is not None, "a task that writes has requests"
        return self.submit(Reading(Ticket(), encoded, settings, predictor), **options)

    def score(self, ids: Sequence[int], top: int = 0, **options: Any) -> Ticket:
        """Score the tokens of a text, begin first; the result is a TokenScores.

        Raises UsageError for a model that is not decoder-only, DataError for a text that is longer
        than its context.
        """
        if self.predictor.task.spec.architecture != "decoder":
            name = self.predictor.task.name
            raise UsageError("A run for {name} does not score texts.", name=name)
        most = self.context
        if most is not None and len(ids) > most + 1:
            raise DataError(
                "The text has {count:,} tokens; this model reads {most:,} at once.",
                count=len(ids),
                most=most,
            )
        return self.submit(Scoring(Ticket(), ids, top), **options)

    def call(self, function: Callable[[], Any], **options: Any) -> Ticket:
        """Call a function in the engine's thread, between two steps."""
        return self.submit(Calling(Ticket(), function), **options)

    def submit(
        self,
        job: DecodingRequest | Reading | Scoring | Calling,
        *,
        listener: Listener | None = None,
        pieces: bool = False,
        deadline: float | None = None,
        urgent: bool = False,
        is_part: bool = False,
    ) -> Ticket:
        """Queue a request.

        Args:
            job: What is asked.
            listener: Receives its events in the engine's thread.
            pieces: Send the answer while it is written.
            deadline: Seconds after which it is given up; None: those of the limits.
            urgent: It is taken even if the queue is full, as a check of the engine's health is.
            is_part: It belongs to a request that was taken earlier, which may still end while the
                engine is closing.

        Raises:
            Busy: The queue is full.
            Stopped: The engine has ended.
        """
        now = time.monotonic()
        seconds = self.limits.deadline if deadline is None else deadline
        ticket = Ticket(listener, now + seconds, pieces, now)
        with self._lock:
            if self.death is not None:
                raise Stopped("The model has failed; the server must be started again.")
            if self.has_ended or (self.is_closing and not is_part):
                raise Stopped("The server is shutting down.")
            if not (urgent or self.has_room):
                self.counters.refused += 1
                raise Busy("The queue is full. Try again in a moment.")
            self.counters.submitted += 1
            if not isinstance(job, DecodingRequest):
                job.ticket = ticket
            self._incoming.append((ticket, job))
        self.wake()
        return ticket

    # The thread of the engine --------------------------------------------------------------------

    def turn(self) -> bool:
        """Compute one step of everything that is asked.

        Returns whether there was anything to do. A step that fails ends the requests of its batch;
        if the model then fails with a known input too, the engine is dead.
        """
        self._take()
        self._drop_refused(time.monotonic())
        worked = False
        for part in (self._call, self._score, self._read, self._write):
            try:
                worked = part() or worked
            except Exception:
                worked = True
                try:
                    self.check()
                except Exception as error:
                    self.die(error)
                    break
        return worked

    def check(self) -> None:
        """Compute one real step with a short input, and raise what it raises.

        The weights are laid out before, so that no request waits for that, and processes that are
        forked from this one share them.
        """
        predictor, target = self.predictor, self.predictor.tokenizers.target
        lay_out(predictor.model)
        settings = DecodingSettings(max_length=1, scores=False)
        if self.writer is None:
            predictor.raw(predictor.encode(sample(predictor.task))[0][:1], settings)
            return
        if predictor.task.spec.architecture == "decoder":
            request = DecodingRequest(settings=settings, prompt=[target.begin_id], context=2)
        else:
            source = np.array(predictor.tokenizers.source.source_of([]) or [0], dtype=np.int64)
            encoder = predictor.model.config.stacks.get("encoder")
            if encoder is not None and encoder.features is not None:  # it reads sound
                source = np.zeros((4, encoder.features), dtype=np.float32)
            request = DecodingRequest(settings=settings, source=source)
        decode(predictor.model, [request], target)

    def die(self, error: BaseException) -> None:
        """End every request; from now on none is taken."""
        with self._lock:
            self.death = error
        self.end(Stopped("The model has failed; the server must be started again."))

    def end(self, why: Exception) -> None:
        """End every request that waits or is being answered; from now on none is taken."""
        with self._lock:
            self.has_ended = True
        self._take()
        tickets = [one.ticket for one in (*self._reading, *self._scoring, *self._calling)]
        if self.writer is not None:
            tickets += [one.ticket for one in self.writer.drop_all()]
        for pending in (self._reading, self._scoring, self._calling):
            pending.clear()
        for ticket in tickets:
            self.counters.failed += 1
            ticket.send(Lost(why))

    def _take(self) -> None:
        """Sort new requests by what they ask."""
        with self._lock:
            taken, self._incoming = self._incoming, []
        for ticket, job in taken:
            if isinstance(job, DecodingRequest):
                assert self.writer is not None, "refused when it was submitted"
                try:
                    self.writer.add(job, ticket)
                except Exception as error:
                    self._lose(ticket, error)
            elif isinstance(job, Reading):
                self._reading.append(job)
            elif isinstance(job, Scoring):
                self._scoring.append(job)
            else:
                self._calling.append(job)

    def _drop_refused(self, now: float) -> None:
        """End requests that were taken back or are too late."""
        queues: list[Any] = [self._reading, self._scoring, self._calling]
        for pending in queues:
            for one in [one for one in pending if one.ticket.refusal(now)]:
                pending.remove(one)
                self._refuse(one.ticket, one.ticket.refusal(now))
        if self.writer is not None:
            for live, why in self.writer.drop_refused(now):
                self._refuse(live.ticket, why)

    def _refuse(self, ticket: Ticket, why: Exception | None) -> None:
        self.counters.cancelled += isinstance(why, Cancelled)
        self.counters.late += isinstance(why, Late)
        ticket.send(Lost(why or Cancelled("The request was taken back.")))

    def _lose(self, ticket: Ticket, error: Exception) -> None:
        self.counters.failed += 1
        ticket.send(Lost(failure(error)))

    def _write(self) -> bool:
        return self.writer is not None and self.writer.turn()

    def _call(self) -> bool:
        """Call one function; its own error does not count as the engine's."""
        if not self._calling:
            return False
        one = self._calling.popleft()
        try:
            result = one.function()
        except Exception as error:
            self._lose(one.ticket, error)
            if not isinstance(error, TriptychError):
                raise
            return True
        finish(one.ticket, result, self.counters)
        return True

    def _score(self) -> bool:
        """Score the texts that wait, up to a batch."""
        if not self._scoring:
            return False
        taken, tokens = [self._scoring.popleft()], 0
        tokens = len(taken[0].ids)
        while (
            self._scoring
            and self._scoring[0].top == taken[0].top
            and tokens + len(self._scoring[0].ids) <= self.limits.batch_tokens
        ):
            taken.append(self._scoring.popleft())
            tokens += len(taken[-1].ids)
        self._score_together(taken)
        self.counters.tokens_read += tokens
        return True

    def _score_together(self, taken: Sequence[Scoring]) -> None:
        """Score texts in one batch; if that fails, each alone, so that one fails alone."""
        try:
            ids, top = [one.ids for one in taken], taken[0].top
            found = token_scores(self.predictor.model, ids, top)
        except Exception as error:
            if len(taken) == 1:
                self._lose(taken[0].ticket, error)
                raise
            for one in taken:
                self._score_together([one])
            return
        for one, scores in zip(taken, found, strict=True):
            finish(one.ticket, scores, self.counters)

    def _read(self) -> bool:
        """Compute a batch of the windows that wait, those of the first input first."""
        if not self._reading:
            return False
        first, tokens = self._reading[0], 0
        taken: list[tuple[Reading, int]] = []
        for one in self._reading:
            if one.predictor is not first.predictor or one.settings != first.settings:
                continue
            while one.begun < len(one.encoded):
                tokens += one.encoded[one.begun].length
                if taken and tokens > self.limits.batch_tokens:
                    break
                taken.append((one, one.begun))
                one.begun += 1
            if tokens > self.limits.batch_tokens:
                break
        self.counters.tokens_read += sum(one.encoded[i].length for one, i in taken)
        self._blamed = None
        self._read_together(taken)
        for one in {id(one): one for one, _ in taken}.values():
            if one.ticket.is_over:
                self._reading.remove(one)
            elif len(one.found) == len(one.encoded):
                self._reading.remove(one)
                result = [one.found[place] for place in range(len(one.encoded))]
                finish(one.ticket, result, self.counters)
        if self._blamed is not None:
            raise self._blamed
        return True

    @torch.inference_mode()
    def _read_together(self, taken: Sequence[tuple[Reading, int]]) -> None:
        """Compute windows in one batch; if that fails, each alone, so that one fails alone."""
        predictor, settings = taken[0][0].predictor, taken[0][0].settings
        assert predictor.task.answer is not None, "a task that writes has requests"
        try:
            encoded = [replace(one.encoded[place], index=0) for one, place in taken]
            batch = collate(encoded).to(predictor.device)
            found = predictor.task.answer(
                predictor.model, predictor.head, batch, settings, predictor.tokenizers
            )
        except Exception as error:
            if len(taken) == 1:
                self._lose(taken[0][0].ticket, error)
                self._blamed = error
                return
            for one in taken:
                if not one[0].ticket.is_over:
                    self._read_together([one])
            return
        for (one, place), raw in zip(taken, found, strict=True):
            one.found[place] = raw
