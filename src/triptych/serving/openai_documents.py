"""Answer a chat from documents, in the shapes that clients of OpenAI read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi.responses import JSONResponse, Response, StreamingResponse

from .conversations import last_text
from .documents import Documents, sources, words
from .openai_fields import Chat
from .openai_shapes import DONE, Envelope, event
from .problems import ApiError, plain_body, problem_of
from .served import ServedRun

# Fields that have no meaning for an answer that is weighed against passages.
REFUSED = ("tools", "logprobs", "top_logprobs")


async def converse_from(documents: Documents, run: ServedRun, body: Chat) -> Response:
    """Answer the last question of the user from the documents.

    The answer has the field `sources` beside those of OpenAI. It is streamed in one piece, because
    only a whole answer can be held against the passages.
    """
    wrong = next((name for name in REFUSED if getattr(body, name)), None)
    if wrong is None and (body.n or 1) > 1:
        wrong = "n"
    if wrong is not None:
        raise ApiError(
            "{name} is not supported for answers from an index. Leave it out, or send "
            '"sources": false.',
            name=wrong,
        ).at(400, wrong)
    if body.response_format is not None and body.response_format.type != "text":
        raise ApiError("Only response_format text is supported.").at(400, "response_format")
    settings = body.settings(run, body.max_completion_tokens or body.max_tokens)
    question = last_text(body.messages)
    envelope = Envelope("chat.completion", run.name, "chatcmpl")
    if body.stream:
        return _streamed(documents, run, body, envelope, question)
    found = await documents.answer(run, question, settings)
    text = words(question, found)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "finish_reason": "stop",
        "logprobs": None,
    }
    more = {"usage": usage(run, body.messages, text), "sources": sources(found)}
    return JSONResponse(envelope.of([choice], **more))


def _streamed(
    documents: Documents, run: ServedRun, body: Chat, envelope: Envelope, question: str
) -> Response:
    """Return the answer as server-sent events; the last part has its sources."""
    envelope.values["object"] = "chat.completion.chunk"
    settings = body.settings(run, body.max_completion_tokens or body.max_tokens)
    wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    more: dict[str, Any] = {"usage": None} if wants_usage else {}

    def part(delta: dict[str, str], reason: str | None = None, **other: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return envelope.part([choice], **more, **other)

    async def events() -> AsyncIterator[bytes]:
        yield part({"role": "assistant", "content": ""})
        try:
            found = await documents.answer(run, question, settings)
        except Exception as error:
            yield event(plain_body(problem_of(error)))
            return
        text = words(question, found)
        yield part({"content": text})
        yield part({}, "stop", sources=sources(found))
        if wants_usage:
            yield envelope.part([], usage=usage(run, body.messages, text))
        yield DONE

    headers = {"X-Accel-Buffering": "no"}  # a proxy must not hold pieces back
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


def usage(run: ServedRun, messages: Sequence[dict[str, Any]], text: str) -> dict[str, int]:
    """Return how many tokens the question and the answer have; the passages are not counted."""
    tokenizers = run.predictor.tokenizers
    read = len(tokenizers.source.encode(last_text(messages)))
    written = len(tokenizers.target.encode(text))
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
