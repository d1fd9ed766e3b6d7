"""Speak OpenAI's dialect: models, completions, chat completions and embeddings.

Completions score given tokens too (`echo` with `logprobs`), which is what lm-eval asks for.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from ..data.batches.encoded import Encoded
from ..data.tokenizers.subwords import Tokenizer
from ..decoding.settings import DecodingSettings
from .conversations import conversation, said
from .documents import suits
from .openai_documents import converse_from
from .openai_fields import Chat, Completion, Embedding, several
from .openai_shapes import (
    Answer,
    Envelope,
    chat_logprobs,
    token_logprobs,
    usage,
    written_ids,
)
from .openai_streams import streamed
from .problems import ApiError
from .served import Served, ServedRun


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", tags=["openai"])

    @router.get("/models")
    async def models() -> dict[str, Any]:
        """List the runs that are served."""
        return {"object": "list", "data": [_model(one) for one in served]}

    @router.get("/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        """Describe one run."""
        return _model(served.get(name))

    @router.post("/completions", response_model=None)
    async def completions(body: Completion) -> Response:
        """Continue prompts, answer texts with an encoder-decoder, or score given tokens."""
        run = served.get(body.model)
        _refuse_unwritten(run)
        return await complete(run, body)

    @router.post("/chat/completions", response_model=None)
    async def chat(body: Chat) -> Response:
        """Answer a conversation; a run that answers texts answers the last message of the user."""
        run = served.get(body.model)
        if served.documents is not None and body.sources is not False and suits(run):
            return await converse_from(served.documents, run, body)
        _refuse_unwritten(run)
        return await converse(run, body)

    @router.post("/embeddings", response_model=None)
    async def embeddings(body: Embedding) -> Response:
        """Turn texts into vectors of length 1."""
        return await embed(served.get(body.model), body)

    return router


def _model(run: ServedRun) -> dict[str, Any]:
    return {
        "id": run.name,
        "object": "model",
        "created": run.created,
        "owned_by": "triptych",
        "task": run.spec.name,
    }


def _refuse_unwritten(run: ServedRun) -> None:
    """Raise ApiError for a run that does not write."""
    if not run.writes:
        raise ApiError(
            "'{name}' is a run for {task}, which writes no text.", name=run.name, task=run.spec.name
        ).at(400, "model")


# Completions --------------------------------------------------------------------------------------


async def complete(run: ServedRun, body: Completion) -> Response:
    """Answer /v1/completions."""
    prompts = several(body.prompt)
    settings = body.settings(run, max(1, body.max_tokens) if body.max_tokens is not None else None)
    scored = body.logprobs is not None
    is_decoder = run.spec.architecture == "decoder"
    if not is_decoder and (body.echo or scored or body.suffix is not None):
        raise ApiError(
            "echo, logprobs and suffix are for a run that continues a prompt; '{name}' answers "
            "texts.",
            name=run.name,
        ).at(400, "echo")
    if body.best_of not in (None, body.n or 1):
        raise ApiError("best_of is not supported. Leave it out.").at(400, "best_of")
    asked = await asyncio.gather(
        *(_asked(run, one, body.suffix, settings, body) for one in prompts)
    )
    answers = [
        replace(one, request=replace(one.request, index=number))
        for one in asked
        for number in range(body.n or 1)
    ]
    envelope = Envelope("text_completion", run.name, "cmpl")
    read = [one.prompt[one.hidden :] for one in asked]
    if body.stream:
        writes = body.max_tokens != 0
        return await streamed(run, body, envelope, answers, read, scored, writes)
    if body.max_tokens != 0:
        found = await asyncio.gather(*(run.write(one.request) for one in answers))
        for one, (best, *_) in zip(answers, found, strict=True):
            one.decoded = best
    if scored:
        await _score(run, answers)
    target = run.predictor.tokenizers.target
    choices = [
        {
            "index": number,
            "text": one.echo + ("" if one.decoded is None else one.decoded.text),
            "finish_reason": one.finish_reason,
            "logprobs": token_logprobs(one, target) if scored else None,
        }
        for number, one in enumerate(answers)
    ]
    return JSONResponse(envelope.of(choices, usage=usage(read, answers)))


async def _asked(
    run: ServedRun,
    given: str | list[int],
    suffix: str | None,
    settings: DecodingSettings,
    body: Completion,
) -> Answer:
    """Return what is to be decoded for one prompt."""
    predictor, tokenizer = run.predictor, run.predictor.tokenizers.target
    if run.spec.architecture != "decoder":
        text = given if isinstance(given, str) else predictor.tokenizers.source.decode(given)
        request = await run.request(predictor.example(text, "The prompt"), settings)
        source = [] if request.source is None else request.source.tolist()
        return Answer(request, prompt=source)
    if suffix is not None:
        text = given if isinstance(given, str) else tokenizer.decode(given)
        example = predictor.example({"text": text, "suffix": suffix}, "The prompt")
        request = await run.request(example, settings)
        hidden = 0
    else:
        start = tokenizer.prompt("")
        if isinstance(given, str):
            ids = list(await run.ids(tokenizer.prompt, given))
            hidden = len(start) if ids[: len(start)] == start else 0
        else:
            start = beginning(tokenizer)
            refuse_ids(given, tokenizer.vocabulary_size)
            hidden = 0 if given[: len(start)] == start else len(start)
            ids = [*start[:hidden], *given]
        if not ids:
            raise ApiError("The prompt is empty.").at(400, "prompt")
        assert predictor.task.request is not None, "the run writes"
        one = Encoded({"target": np.array(ids, dtype=np.int64)})
        request = replace(predictor.task.request(one, settings, predictor.tokenizers), strip=False)
    prompt = list(request.prompt)
    echo = ""
    if body.echo:
        echo = given if isinstance(given, str) else tokenizer.decode(prompt[hidden:])
    return Answer(
        request, hidden, echo, top=body.logprobs or 0, echoes=bool(body.echo), prompt=prompt
    )


def beginning(tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that stand before each prompt; those of an empty one may stand alone."""
    start = tokenizer.prompt("")
    return start if tokenizer.prompt("a")[: len(start)] == start else []


def refuse_ids(given: Sequence[int], size: int) -> None:
    """Raise ApiError for a token that the model does not have."""
    wrong = next((one for one in given if one >= size), None)
    if wrong is not None:
        raise ApiError(
            "The prompt holds the token {wrong}; this model's tokens are 0 to {last}.",
            wrong=wrong,
            last=size - 1,
        ).at(400, "prompt")


async def _score(run: ServedRun, answers: Sequence[Answer]) -> None:
    """Score the tokens of answers, and of their prompts."""
    end_id = run.predictor.tokenizers.target.end_id
    ids = [[*one.prompt, *written_ids(one.decoded, end_id)] for one in answers]
    found = await asyncio.gather(
        *(run.score(own, one.top) for own, one in zip(ids, answers, strict=True))
    )
    for one, scores in zip(answers, found, strict=True):
        one.scores = scores


# Chat ---------------------------------------------------------------------------------------------


async def converse(run: ServedRun, body: Chat) -> Response:
    """Answer /v1/chat/completions."""
    if body.response_format is not None and body.response_format.type != "text":
        raise ApiError("Only response_format text is supported.").at(400, "response_format")
    most = body.max_completion_tokens or body.max_tokens
    settings = body.settings(run, most)
    given = conversation(run, body.messages, body.tools)
    request = await run.request(run.predictor.example(given, "The request"), settings)
    is_decoder = request.source is None
    prompt = list(request.prompt if request.source is None else request.source.tolist())
    answers = [
        Answer(replace(request, index=number), prompt=prompt, top=body.top_logprobs or 0)
        for number in range(body.n or 1)
    ]
    if body.top_logprobs and not is_decoder:
        raise ApiError(
            "top_logprobs is for a run that continues a prompt; '{name}' answers texts.",
            name=run.name,
        ).at(400, "top_logprobs")
    envelope = Envelope("chat.completion", run.name, "chatcmpl")
    if body.stream:
        envelope.values["object"] = "chat.completion.chunk"
        return await streamed(run, body, envelope, answers, [prompt], bool(body.logprobs))
    found = await asyncio.gather(*(run.write(one.request) for one in answers))
    for one, (best, *_) in zip(answers, found, strict=True):
        one.decoded = best
    if body.logprobs and body.top_logprobs:
        await _score(run, answers)
    target = run.predictor.tokenizers.target
    choices = [
        {
            "index": number,
            "message": {"role": "assistant", "content": _said(one), "refusal": None},
            "finish_reason": one.finish_reason,
            "logprobs": chat_logprobs(one, target) if body.logprobs else None,
        }
        for number, one in enumerate(answers)
    ]
    return JSONResponse(envelope.of(choices, usage=usage([prompt], answers)))


def _said(one: Answer) -> str:
    assert one.decoded is not None, "a chat has an answer"
    return said(one.request, one.decoded)


# Embeddings ---------------------------------------------------------------------------------------


async def embed(run: ServedRun, body: Embedding) -> Response:
    """Answer /v1/embeddings."""
    embedder = run.embedder
    width = embedder.model.config.encoder.width
    if body.dimensions not in (None, width):
        raise ApiError(
            "dimensions is {given}; the vectors of '{name}' have {width} numbers.",
            given=body.dimensions,
            name=run.name,
            width=width,
        ).at(400, "dimensions")
    decode = embedder.tokenizers.source.decode
    texts = [one if isinstance(one, str) else decode(one) for one in several(body.input)]
    found = await asyncio.gather(*map(run.embed, texts))
    count = sum(tokens for _, tokens in found)
    is_packed = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": number,
            "embedding": _packed(vector) if is_packed else vector,
        }
        for number, (vector, _) in enumerate(found)
    ]
    return JSONResponse(
        {
            "object": "list",
            "data": data,
            "model": run.name,
            "usage": {"prompt_tokens": count, "total_tokens": count},
        }
    )


def _packed(vector: list[float]) -> str:
    """Return a vector as base64 of float32, little-endian."""
    return base64.b64encode(np.array(vector, dtype="<f4").tobytes()).decode()
