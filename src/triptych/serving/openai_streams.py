"""Stream answers to OpenAI's clients: server-sent events, with log-probabilities where asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import Response, StreamingResponse

from ..decoding.requests import DecodedText
from ..inference.engine.tickets import Piece
from .failures import stream_problem
from .openai_fields import Chat, Writing
from .openai_shapes import (
    DONE,
    Answer,
    Envelope,
    chat_entries,
    chat_logprobs,
    event,
    finish,
    named_logprobs,
    token_logprobs,
    usage,
    written_ids,
)
from .problems import plain_body
from .served import ServedRun, Written

SSE = {"X-Accel-Buffering": "no"}  # a proxy must not hold pieces back


@dataclass(slots=True)
class Shown:
    """Follow what a client was sent of one answer.

    Args:
        answer: The answer.
        ids: The tokens whose log-probabilities were sent.
        place: How many characters the tokens have that were sent, the prompt's included.
    """

    answer: Answer
    ids: list[int] = field(default_factory=list)
    place: int = 0


class Stream:
    """Write the events of the answers to one request."""

    def __init__(
        self,
        run: ServedRun,
        body: Writing,
        envelope: Envelope,
        answers: Sequence[Answer],
        read: Sequence[Sequence[int]],
        scored: bool,
    ) -> None:
        self.run, self.envelope, self.read = run, envelope, read
        self.is_chat, self.scored = isinstance(body, Chat), scored
        self.shown = [Shown(one) for one in answers]
        self.wants_usage = body.stream_options is not None and bool(
            body.stream_options.include_usage
        )
        self.tokenizer = run.predictor.tokenizers.target

    def part(
        self, number: int, text: str | None, reason: str | None = None, logprobs: Any = None
    ) -> bytes:
        """Return one event: a piece of an answer, or its end."""
        choice: dict[str, Any] = {"index": number, "finish_reason": reason, "logprobs": logprobs}
        if self.is_chat:
            choice["delta"] = {} if text is None else {"content": text}
        else:
            choice["text"] = text or ""
        return self.send(choice)

    def send(self, choice: dict[str, Any]) -> bytes:
        """Return an event with one choice."""
        return self.envelope.part([choice], **({"usage": None} if self.wants_usage else {}))

    async def events(self, pieces: AsyncIterator[Written] | None) -> AsyncIterator[bytes]:
        """Yield every event, an error as the last; without pieces the prompts are repeated."""
        try:
            for number, one in enumerate(self.shown):
                async for found in self._begin(number, one):
                    yield found
            if pieces is not None:
                async for number, item in pieces:
                    one = self.shown[number]
                    if isinstance(item, Piece):
                        yield self.part(number, item.text, None, await self._grown(one, item))
                        continue
                    one.answer.decoded = item[0]
                    yield self.part(number, None, finish(item[0]), await self._ended(one, item[0]))
            else:
                for number in range(len(self.shown)):
                    yield self.part(number, None, finish(None))
        except Exception as error:
            yield event(plain_body(stream_problem(error)))
            return
        if self.wants_usage:
            answers = [one.answer for one in self.shown]
            yield self.envelope.part([], usage=usage(self.read, answers))
        yield DONE

    async def _begin(self, number: int, one: Shown) -> AsyncIterator[bytes]:
        """Yield what stands before an answer: a chat's role, a prompt that is repeated."""
        if self.is_chat:
            yield self.send({
                "index": number, "delta": {"role": "assistant", "content": ""},
                "finish_reason": None, "logprobs": None,
            })  # fmt: skip
        elif one.answer.echoes:
            logprobs = None
            if self.scored:
                one.answer.scores = await self.run.score(one.answer.prompt, one.answer.top)
                logprobs = token_logprobs(one.answer, self.tokenizer)
                one.place = sum(map(len, logprobs["tokens"]))
            if one.answer.echo or logprobs:
                yield self.part(number, one.answer.echo, None, logprobs)

    async def _grown(self, one: Shown, piece: Piece) -> dict[str, Any] | None:
        """Return the log-probabilities of the tokens that a piece brings.

        An encoder-decoder scores no given tokens: its answers have them in their last event.
        """
        if not self.scored or one.answer.request.source is not None:
            return None
        return await self._scored(one, piece.tokens)

    async def _ended(self, one: Shown, decoded: DecodedText) -> dict[str, Any] | None:
        """Return the log-probabilities of the tokens after the last piece, the end's included."""
        if not self.scored:
            return None
        if one.answer.request.source is not None:
            return chat_logprobs(one.answer, self.tokenizer)
        ids = written_ids(decoded, self.tokenizer.end_id)
        return await self._scored(one, ids[len(one.ids) :])

    async def _scored(self, one: Shown, new: Sequence[int]) -> dict[str, Any] | None:
        """Score tokens after those that were sent."""
        if not new:
            return None
        one.ids += new
        found = await self.run.score([*one.answer.prompt, *one.ids], one.answer.top)
        nats, top = found.log_probabilities[-len(new) :], found.top[-len(new) :]
        if self.is_chat:
            return chat_entries(new, nats, top, self.tokenizer)
        logprobs = named_logprobs(new, nats, top, self.tokenizer, one.answer.top, one.place)
        one.place += sum(map(len, logprobs["tokens"]))
        return logprobs


async def streamed(
    run: ServedRun,
    body: Writing,
    envelope: Envelope,
    answers: Sequence[Answer],
    read: Sequence[Sequence[int]],
    scored: bool = False,
    writes: bool = True,
) -> Response:
    """Return answers as server-sent events, each piece as soon as it is certain.

    Args:
        run: What answers.
        body: What was asked.
        envelope: What all events have in common.
        answers: Those that are to be written.
        read: The tokens of each prompt.
        scored: Log-probabilities are sent with the pieces.
        writes: False: only the prompts are repeated.
    """
    stream = Stream(run, body, envelope, answers, read, scored)
    requests = [one.request for one in answers]
    # Scoring takes time; pieces that arrive meanwhile are sent as one.
    pieces = await run.written(requests, merges=scored) if writes else None
    return StreamingResponse(stream.events(pieces), media_type="text/event-stream", headers=SSE)
