"""Speak Ollama's dialect: tags, show, generate, chat and embed, streamed as lines of JSON."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from annotated_types import Ge, Le
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field

from .. import __version__
from ..decoding.requests import DecodedText, DecodingRequest
from ..inference.engine.tickets import Piece
from .conversations import conversation, said
from .failures import stream_problem
from .fields import Body, Name
from .limits import MOST_INPUTS, MOST_MESSAGES, MOST_TOKENS
from .openai_fields import Writing
from .openai_shapes import finish
from .problems import ApiError, Problem
from .served import Served, ServedRun

LATEST = ":latest"  # clients add it to names without a tag
NDJSON = "application/x-ndjson"
# Options of a model's own that other names have here; all others change only how Ollama computes.
RENAMED = {"repeat_penalty": "repetition_penalty"}
PASSED = ("temperature", "top_k", "top_p", "min_p", "seed", "stop", "presence_penalty",
          "frequency_penalty")  # fmt: skip
REFUSED = ("format", "images")  # fields that would change the answer


class Asking(Body):
    """Hold the fields that generate and chat share."""

    model: Name
    stream: bool | None = True
    options: dict[str, Any] | None = None
    format: str | dict[str, Any] | None = None

    def writing(self, run: ServedRun) -> Writing:
        """Return the options as fields of a completion. Raises ApiError for a wrong value."""
        given = self.options or {}
        values = {name: given[name] for name in PASSED if given.get(name) is not None}
        for name, ours in RENAMED.items():
            if given.get(name) is not None:
                values[ours] = given[name]
        values["stop"] = values.get("stop") or None
        try:
            return Writing.model_validate({"model": run.name, **values})
        except ValueError as error:
            first = getattr(error, "errors", list)()[0]
            place = ".".join(("options", *map(str, first["loc"])))
            raise ApiError("{place}: {what}.", place=place, what=first["msg"]).at(400) from None

    @property
    def most(self) -> int | None:
        """Return the most tokens of an answer; None: by the run's settings."""
        given = (self.options or {}).get("num_predict")
        is_whole = isinstance(given, int) and not isinstance(given, bool)
        if given is None or (is_whole and given < 0):  # -1, -2: until it ends
            return None
        if not is_whole or not 1 <= given <= MOST_TOKENS:
            raise ApiError(
                "options.num_predict must be a whole number from 1 to {most}.", most=MOST_TOKENS
            ).at(400)
        return given


class Generating(Asking):
    """Hold the body of /api/generate."""

    prompt: str | None = ""
    suffix: str | None = None
    system: str | None = None
    raw: bool | None = False
    images: Any = None


class Chatting(Asking):
    """Hold the body of /api/chat."""

    messages: Annotated[list[dict[str, Any]], Field(fail_fast=True, max_length=MOST_MESSAGES)]
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None


class Embedding(Body):
    """Hold the body of /api/embed."""

    model: Name
    input: str | Annotated[list[str], Field(fail_fast=True, max_length=MOST_INPUTS)] = ""
    truncate: bool | None = True
    dimensions: Annotated[int, Ge(1), Le(2**20)] | None = None


class OldEmbedding(Body):
    """Hold the body of /api/embeddings."""

    model: Name
    prompt: str = ""


class Naming(Body):
    """Hold the body of /api/show."""

    model: Name = ""
    name: Name = ""  # of older clients


def error_body(problem: Problem) -> dict[str, Any]:
    """Return the body of Ollama's errors."""
    return {"error": problem.text}


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api", tags=["ollama"])

    @router.get("/tags")
    async def tags() -> dict[str, Any]:
        """List the runs that are served."""
        return {"models": [_listed(one) for one in served]}

    @router.get("/ps")
    async def ps() -> dict[str, Any]:
        """List the runs that are loaded: all of them."""
        never = {"expires_at": "9999-12-31T23:59:59Z", "size_vram": 0}
        return {"models": [{**_listed(one), **never} for one in served]}

    @router.get("/version")
    async def version() -> dict[str, str]:
        """Return the version of triptych."""
        return {"version": __version__}

    @router.post("/show")
    async def show(body: Naming) -> dict[str, Any]:
        """Describe one run."""
        return _shown(_run(served, body.model or body.name))

    @router.post("/generate", response_model=None)
    async def generate(body: Generating) -> Response:
        """Continue a prompt, answer a text, or answer one message of a user."""
        return await _generated(_writer(served, body.model), body)

    @router.post("/chat", response_model=None)
    async def chat(body: Chatting) -> Response:
        """Answer a conversation."""
        return await _chatted(_writer(served, body.model), body)

    @router.post("/embed")
    async def embed(body: Embedding) -> dict[str, Any]:
        """Turn texts into vectors of length 1."""
        return await _embedded(_run(served, body.model), body)

    @router.post("/embeddings")
    async def embeddings(body: OldEmbedding) -> dict[str, Any]:
        """Turn one text into a vector, for older clients."""
        vector, _ = await _run(served, body.model).embed(body.prompt)
        return {"embedding": vector, "model": body.model}

    return router


# Runs ---------------------------------------------------------------------------------------------


def _run(served: Served, name: str) -> ServedRun:
    """Return the run of a name, which may have the tag that clients add."""
    return served.get(name if name in served.runs else name.removesuffix(LATEST))


def _writer(served: Served, name: str) -> ServedRun:
    """Return a run that writes. Raises ApiError for another."""
    run = _run(served, name)
    if not run.writes:
        raise ApiError(
            "'{name}' is a run for {task}, which writes no text.", name=run.name, task=run.spec.name
        ).at(400, "model")
    return run


def _refuse(body: Asking) -> None:
    """Raise ApiError for a field that would change the answer and is not supported."""
    for name in REFUSED:
        if getattr(body, name, None):
            raise ApiError("{name} is not supported. Leave it out.", name=name).at(400, name)


def _details(run: ServedRun) -> dict[str, Any]:
    count = sum(one.numel() for one in run.predictor.model.parameters())
    size = f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.1f}M"
    dtype = str(next(iter(run.predictor.model.parameters())).dtype).removeprefix("torch.")
    return {
        "parent_model": "",
        "format": "safetensors",
        "family": run.spec.architecture,
        "families": [run.spec.architecture],
        "parameter_size": size,
        "quantization_level": {"float32": "F32", "bfloat16": "BF16"}.get(dtype, dtype),
    }


def _listed(run: ServedRun) -> dict[str, Any]:
    parameters = list(run.predictor.model.parameters())
    return {
        "name": run.name,
        "model": run.name,
        "modified_at": _time(run.created),
        "size": sum(one.numel() * one.element_size() for one in parameters),
        "digest": run.predictor.tokenizers.target.fingerprint,
        "details": _details(run),
    }


def _shown(run: ServedRun) -> dict[str, Any]:
    """Return what /api/show tells of a run."""
    config = run.predictor.model.config
    can = {
        "completion": run.writes,
        "insert": run.spec.continues,
        "embedding": run.spec.architecture == "encoder",
    }
    about: dict[str, Any] = {
        "general.architecture": run.spec.architecture,
        "general.parameter_count": sum(one.numel() for one in run.predictor.model.parameters()),
        "triptych.task": run.spec.name,
        "triptych.vocabulary_size": config.vocabulary_size,
        f"{run.spec.architecture}.context_length": config.context("target" if run.writes
                                                                  else "source"),
    }  # fmt: skip
    return {
        "modelfile": "", "parameters": "", "template": "", "details": _details(run),
        "model_info": about, "modified_at": _time(run.created),
        "capabilities": [name for name, has in can.items() if has],
    }  # fmt: skip


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


# Answers ------------------------------------------------------------------------------------------


async def _generated(run: ServedRun, body: Generating) -> Response:
    """Answer /api/generate."""
    _refuse(body)
    began = time.monotonic_ns()
    if not body.prompt and body.suffix is None:  # clients load a model so
        return JSONResponse({**_head(run), "response": "", "done": True, "done_reason": "load"})
    settings = body.writing(run).settings(run, body.most)
    example = run.predictor.example(_prompt(run, body), "The prompt")
    request = await run.request(example, settings)
    streams = body.stream is not False
    return await _answered(run, request, streams, began, lambda text: {"response": text})


async def _chatted(run: ServedRun, body: Chatting) -> Response:
    """Answer /api/chat."""
    _refuse(body)
    began = time.monotonic_ns()

    def part(text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    if not body.messages:
        return JSONResponse({**_head(run), **part(""), "done": True, "done_reason": "load"})
    settings = body.writing(run).settings(run, body.most)
    given = conversation(run, body.messages, body.tools)
    request = await run.request(run.predictor.example(given, "The request"), settings)
    return await _answered(run, request, body.stream is not False, began, part)


async def _embedded(run: ServedRun, body: Embedding) -> dict[str, Any]:
    """Answer /api/embed."""
    began = time.monotonic_ns()
    texts = [body.input] if isinstance(body.input, str) else body.input
    found = await asyncio.gather(*map(run.embed, texts))
    width = len(found[0][0]) if found else 0
    if body.dimensions not in (None, width):
        raise ApiError(
            "dimensions is {given}; the vectors have {width} numbers.",
            given=body.dimensions,
            width=width,
        ).at(400, "dimensions")
    return {
        "model": body.model,
        "embeddings": [vector for vector, _ in found],
        "total_duration": time.monotonic_ns() - began,
        "load_duration": 0,
        "prompt_eval_count": sum(count for _, count in found),
    }


def _prompt(run: ServedRun, body: Generating) -> Any:
    """Return what /api/generate asks a run to read."""
    text = body.prompt or ""
    if run.predictor.task.input == "messages" and not body.raw:
        system = [{"role": "system", "content": body.system}] if body.system else []
        return {"messages": [*system, {"role": "user", "content": text}]}
    if run.predictor.task.input == "messages":
        raise ApiError("raw is not supported for a run that chats. Leave it out.").at(400, "raw")
    if body.suffix is not None:
        return {run.predictor.task.input: text, "suffix": body.suffix}
    if body.system and not body.raw and run.spec.architecture == "decoder":
        text = f"{body.system}\n\n{text}"
    return text


def _head(run: ServedRun) -> dict[str, Any]:
    return {"model": run.name, "created_at": _time(time.time())}


async def _answered(
    run: ServedRun,
    request: DecodingRequest,
    streams: bool,
    began: int,
    part: Callable[[str], dict[str, Any]],
) -> Response:
    """Return the answer to a request: at once, or as lines of JSON."""
    read = len(request.prompt if request.source is None else request.source)
    first = 0

    def last(decoded: DecodedText) -> dict[str, Any]:
        now = time.monotonic_ns()
        return {
            "done": True,
            "done_reason": finish(decoded),
            "total_duration": now - began,
            "load_duration": 0,
            "prompt_eval_count": read,
            "prompt_eval_duration": (first or now) - began,
            "eval_count": len(decoded.token_log_probabilities),
            "eval_duration": now - (first or now),
        }

    if not streams:
        (best, *_) = await run.write(request)
        return JSONResponse({**_head(run), **part(said(request, best)), **last(best)})

    pieces = await run.written([request])

    async def lines() -> AsyncIterator[bytes]:
        nonlocal first
        try:
            async for _, item in pieces:
                first = first or time.monotonic_ns()
                if isinstance(item, Piece):
                    yield _line({**_head(run), **part(item.text), "done": False})
                else:
                    yield _line({**_head(run), **part(""), **last(item[0])})
        except Exception as error:
            yield _line(error_body(stream_problem(error)))

    return StreamingResponse(lines(), media_type=NDJSON)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
