"""Write the answers of many requests: each joins and leaves at any decoding step.

Between two steps sources are encoded and prompts are read, a bounded number of tokens at a time, so
that a long prompt does not hold up the answers that are being written. All sequences with as many
rows (greedy answers have one, beam search has K) are decoded as one batch; an answer never depends
on its neighbours.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ...data.tokenizers.subwords import Tokenizer
from ...decoding.reading import positions
from ...decoding.requests import DecodingRequest
from ...decoding.steps import Decoding, Entering
from ...decoding.streaming import Writing
from ...decoding.writing import source_inputs
from ...model.cache import TransformerState
from ...model.interface import AnyModel
from .counters import Counters
from .limits import EngineLimits
from .prefixes import PrefixCache
from .tickets import Done, Failed, Lost, Piece, Ticket

SLACK = 64  # slots that rows which left may leave behind before they are removed


@dataclass(slots=True, eq=False)
class Live:
    """Hold a request that is being answered."""

    ticket: Ticket
    writing: Writing
    rows: int  # of a step
    cost: int  # tokens that the cache may come to hold for it
    # a prompt's tokens that are read before the first step, and how many of them were read
    tokens: Sequence[int] = ()
    done: int = 0
    state: Any = None
    number: int = -1  # in its batch


@dataclass(slots=True)
class Batch:
    """Hold the requests that are decoded together, by their number."""

    decoding: Decoding
    members: dict[int, Live] = field(default_factory=dict)
    room: int = SLACK  # slots up to which the cache may grow before it is compacted


class Writer:
    """Answer requests to write; only the engine's thread uses it."""

    def __init__(
        self, model: AnyModel, tokenizer: Tokenizer, limits: EngineLimits, counters: Counters
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.limits, self.counters = limits, counters
        self.waiting: deque[Live] = deque()
        self.reading: list[Live] = []
        self.batches: dict[int, Batch] = {}  # by rows of a request
        self.positions = positions(model)
        self.prefixes = PrefixCache(limits.prefix_tokens)
        self.held = 0  # cost of all that is read or decoded
        # A model without this method reads a prompt by its ordinary step.
        self.reads: Any = getattr(model, "read_on", None)

    @property
    def live(self) -> int:
        """Return how many requests are being answered."""
        return len(self.reading) + sum(len(one.members) for one in self.batches.values())

    def add(self, request: DecodingRequest, ticket: Ticket) -> None:
        """Take a request, which is answered after those before it."""
        self.waiting.append(self._new(ticket, Writing(request, self.tokenizer)))

    def _new(self, ticket: Ticket, writing: Writing) -> Live:
        """Return a request with what it will need."""
        request, settings = writing.request, writing.request.settings
        drawn = max(settings.n_best, settings.samples) if settings.temperature > 0 else 1
        rows = settings.beams if settings.beams > 1 else drawn
        if request.source is None:
            each = min(len(writing.shown) + request.new_tokens, request.context)
        else:
            each = len(request.source) + settings.longest(len(request.source))
        return Live(ticket, writing, rows, each * rows)

    # Taking requests back ------------------------------------------------------------------------

    def drop_refused(self, now: float) -> list[tuple[Live, Exception]]:
        """Drop requests that were taken back or are too late, and return them with the reason."""
        found: list[tuple[Live, Exception]] = []
        for pending in (self.waiting, self.reading):
            gone = [(one, why) for one in pending if (why := one.ticket.refusal(now))]
            for one, _ in gone:
                pending.remove(one)
                self.held -= one.cost if pending is self.reading else 0
            found += gone
        for batch in self.batches.values():
            gone = [
                (one, why) for one in batch.members.values() if (why := one.ticket.refusal(now))
            ]
            if gone:
                batch.decoding.drop([one.number for one, _ in gone])
                self._leave(batch, [one for one, _ in gone])
            found += gone
        return found

    def _leave(self, batch: Batch, several: Sequence[Live]) -> None:
        for one in several:
            del batch.members[one.number]
            self.held -= one.cost

    def drop_all(self) -> list[Live]:
        """Drop every request, and return them."""
        found = [*self.waiting, *self.reading]
        found += [one for batch in self.batches.values() for one in batch.members.values()]
        self.waiting.clear()
        self.reading, self.batches, self.held = [], {}, 0
        return found

    # One turn ------------------------------------------------------------------------------------

    def turn(self) -> bool:
        """Admit what fits, read a part of what waits to be read, and write one token in every row.

        Returns whether anything was computed.
        """
        admitted = self._admit()
        read = self._read()
        written = [self._step(batch) for batch in list(self.batches.values())]
        return admitted or read or any(written)

    def _fits(self, one: Live, more: int, rows: int) -> bool:
        """Tell whether a request may join `rows` rows and `more` tokens that join before it."""
        live = sum(batch.decoding.live for batch in self.batches.values())
        live += sum(other.rows for other in self.reading) + rows
        if not live:
            return True
        room = self.limits
        return live + one.rows <= room.rows and self.held + more + one.cost <= room.cached_tokens

    def _admit(self) -> bool:
        """Let requests join: encode sources now, queue prompts to be read."""
        taken: list[Live] = []
        tokens = 0
        while self.waiting and self._fits(
            self.waiting[0], sum(one.cost for one in taken), sum(one.rows for one in taken)
        ):
            one = self.waiting[0]
            source = one.writing.request.source
            if source is not None:
                if taken and tokens + len(source) > self.limits.read_tokens:
                    break
                tokens += len(source)
            taken.append(self.waiting.popleft())
        if not taken:
            return False
        self.held += sum(one.cost for one in taken)
        if taken[0].writing.request.source is None:
            for one in taken:
                self._queue(one)
        else:
            self._tried(self._encode, taken)
        return True

    def _queue(self, one: Live) -> None:
        """Let a prompt be read, from where an earlier one was the same."""
        one.tokens, one.done = one.writing.shown[:-1], 0
        if self.reads is not None:
            one.done, one.state = self.prefixes.find(one.tokens)
            self.counters.tokens_reused += one.done
        self.reading.append(one)

    def _tried(self, compute: Any, several: list[Live]) -> None:
        """Compute for several requests; if that fails, for each alone, so that one fails alone."""
        try:
            compute(several)
        except Exception as error:
            if len(several) == 1:
                self._fail(several, error)
                return
            for one in several:
                one.state = None if one.done == 0 else one.state
                self._tried(compute, [one])

    def _fail(self, several: Sequence[Live], error: Exception) -> None:
        """End requests that a step of the model failed for."""
        for one in several:
            self.held -= one.cost
            self.counters.failed += 1
            one.ticket.send(Lost(failure(error)))

    @torch.inference_mode()
    def _encode(self, several: list[Live]) -> None:
        """Encode sources, read what their answers begin with, and let them join."""
        requests = [one.writing.request for one in several]
        inputs = source_inputs(self.model, requests)
        memory = self.model.encode(inputs)
        state = self.model.start(memory, torch.arange(len(several), device=memory.lengths.device))
        begun = [one.writing.shown[:-1] for one in several]
        if any(begun):
            state = self._extended(state, begun)
        self._enter(several, state)
        self.counters.tokens_read += int(inputs["source"].numel())

    def _extended(self, state: Any, several: Sequence[Sequence[int]]) -> Any:
        """Read more tokens in each row, without writing."""
        width, device = max(map(len, several)), state.lengths.device
        tokens = torch.zeros(len(several), width, dtype=torch.int64)
        for row, own in enumerate(several):
            tokens[row, : len(own)] = torch.tensor(own, dtype=torch.int64)
        ends = state.lengths + torch.tensor([len(own) for own in several], device=device)
        tokens = tokens.to(device)
        if self.reads is None:
            _, state = self.model.step(tokens, state)
        else:
            self.reads(tokens, state)
        if min(map(len, several)) < width:
            state = state.truncate(ends)
        return state

    @torch.inference_mode()
    def _read(self) -> bool:
        """Read the next part of the prompts that wait, those first that wait longest."""
        if not self.reading:
            return False
        budget = self.limits.read_tokens
        part = min(budget, max(1, len(self.reading[0].tokens) - self.reading[0].done))
        if self.positions is not None:
            # Padding must not run past the last position.
            part = min(part, self.positions - max(one.done for one in self.reading))
        several = self.reading[: max(1, budget // part)]
        self.reading = self.reading[len(several) :]
        self._tried(lambda own: self._read_part(own, part), several)
        return True

    def _read_part(self, several: list[Live], part: int) -> None:
        """Read up to `part` tokens of each prompt; those that are read whole join."""
        parts = [one.tokens[one.done : one.done + part] for one in several]
        if all(one.state is None for one in several):
            state: Any = self.model.start(None, len(several))
        else:
            each = [
                self.model.start(None, 1) if one.state is None else one.state for one in several
            ]
            state = each[0]
            for other in each[1:]:
                state = state.join(other)
        if any(parts):
            state = self._extended(state, parts)
        done = [one.done + len(own) for one, own in zip(several, parts, strict=True)]
        whole = [i for i, one in enumerate(several) if done[i] >= len(one.tokens)]
        self._keep_prefixes(several, parts, whole, state)
        rest: list[tuple[int, Any]] = []
        for i in range(len(several)):
            if i not in whole:
                rest.append((i, state.select(torch.tensor([i], device=state.lengths.device))))
        if whole:
            rows = torch.tensor(whole, device=state.lengths.device)
            joined = state if not rest else state.select(rows)
            self._enter([several[i] for i in whole], joined)
        for i, own in rest:
            several[i].state, several[i].done = own, done[i]
        self.reading = [several[i] for i, _ in rest] + self.reading
        self.counters.tokens_read += sum(map(len, parts))

    def _keep_prefixes(
        self, several: list[Live], parts: list[Sequence[int]], whole: list[int], state: Any
    ) -> None:
        """Keep the states of prompts that were read whole."""
        if self.reads is None or not self.limits.prefix_tokens:
            return
        for i in whole:
            if parts[i]:
                row = torch.tensor([i], device=state.lengths.device)
                own = state.select(row) if len(several) > 1 else state
                self.prefixes.add(several[i].tokens, own.compact())

    def _enter(self, several: list[Live], state: Any) -> None:
        """Let requests join the batch of those with as many rows."""
        for rows in sorted({one.rows for one in several}):
            members = [i for i, one in enumerate(several) if one.rows == rows]
            own = state
            if len(members) < len(several):
                own = state.select(torch.tensor(members, device=state.lengths.device))
            sources: list[Entering] = []
            for i in members:
                writing = several[i].writing
                source = writing.request.source
                length = None if source is None else len(source)
                sources.append(Entering(*writing.search(), length))
            batch = self.batches.get(rows)
            if batch is None:
                tokenizer = self.tokenizer
                decoding = Decoding(self.model, begin=tokenizer.begin_id, end=tokenizer.end_ids)
                batch = self.batches[rows] = Batch(decoding)
            numbers = batch.decoding.enter(own, sources)
            for i, number in zip(members, numbers, strict=True):
                several[i].number, several[i].state = number, None
                batch.members[number] = several[i]
            self._close(batch)

    def _step(self, batch: Batch) -> bool:
        """Write one token in every row of a batch."""
        decoding = batch.decoding
        if not decoding.live:
            return False
        began, rows = time.perf_counter(), decoding.live
        try:
            self._compact(batch)
            decoding.step()
            self._close(batch)
            self._send_pieces(batch)
        except Exception as error:
            self.batches = {key: one for key, one in self.batches.items() if one is not batch}
            self._fail(list(batch.members.values()), error)
            raise
        self.counters.steps += 1
        self.counters.tokens_written += len(batch.members)
        self.counters.rows.add(rows)
        self.counters.step.add(time.perf_counter() - began)
        return True

    @torch.inference_mode()
    def _compact(self, batch: Batch) -> None:
        """Remove the slots of rows that have left, once they are about half of all."""
        state = batch.decoding.state
        if isinstance(state, TransformerState) and state.used > batch.room:
            batch.decoding.state = state = state.compact()
            batch.room = 2 * state.used + SLACK

    def _send_pieces(self, batch: Batch) -> None:
        """Send what the last step made certain to the clients that want it."""
        now = time.monotonic()
        for number, one in batch.members.items():
            if one.ticket.began == 0:
                one.ticket.began = now
                self.counters.first.add(now - one.ticket.submitted)
            if one.ticket.wants_pieces and one.writing.request.settings.samples == 1:
                settled = batch.decoding.settled(number)
                for piece in one.writing.grown(settled):
                    whole = one.writing.tokens + settled[one.writing.given :]
                    one.ticket.send(Piece(piece, tuple(whole[one.ticket.sent :])))
                    one.ticket.sent = len(whole)

    def _close(self, batch: Batch) -> None:
        """End the requests whose search has ended, or let them be read again if they go on."""
        answers = batch.decoding.answers
        for number in list(answers):
            found, one = answers.pop(number), batch.members.get(number)
            if one is None:  # it was taken back
                continue
            pieces = list(one.writing.ended(found))
            self._leave(batch, [one])
            if not one.writing.is_over:
                self.waiting.appendleft(self._new(one.ticket, one.writing))
                continue
            if one.ticket.wants_pieces:
                for piece in pieces:
                    one.ticket.send(Piece(piece))
            finish(one.ticket, one.writing.answers, self.counters)
        if not batch.decoding.live:
            batch.room = SLACK


def finish(ticket: Ticket, result: Any, counters: Counters) -> None:
    """End a request with its result."""
    now = time.monotonic()
    if ticket.began == 0:
        ticket.began = now
        counters.first.add(now - ticket.submitted)
    counters.whole.add(now - ticket.submitted)
    counters.done += 1
    ticket.send(Done(result))


def failure(error: Exception) -> Exception:
    """Return the error that a client gets where a step failed; a user's own error stays."""
    from ...errors import TriptychError

    if isinstance(error, TriptychError):
        return error
    found = Failed("The model could not answer this request ({kind}).", kind=type(error).__name__)
    found.__cause__ = error
    return found
