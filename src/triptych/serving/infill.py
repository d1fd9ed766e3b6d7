"""Answer /infill, as the server of llama.cpp does; editors fill in the middle of a file with it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from annotated_types import Ge, Le
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field

from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.settings import DecodingSettings
from ..inference.engine.tickets import Piece
from .failures import stream_problem
from .fields import Body, Name
from .limits import LONGEST_NAME, LONGEST_STOP, MOST_STOPS, MOST_TOKENS
from .openai_fields import Writing
from .openai_shapes import event
from .problems import ApiError, Problem
from .served import Served, ServedRun

PREDICTED = 128  # tokens that are written where none are named
MOST_EXTRA = 64  # files that are given as context


class Extra(Body):
    """Hold a piece of another file."""

    text: str
    filename: Annotated[str, Field(max_length=LONGEST_NAME * 16)] = ""


class Infilling(Body):
    """Hold the body of /infill. Its other fields change only how llama.cpp computes."""

    model: Name | None = None
    input_prefix: str = ""
    input_suffix: str = ""
    input_extra: Annotated[list[Extra], Field(fail_fast=True, max_length=MOST_EXTRA)] = Field(
        default_factory=list
    )
    prompt: str = ""  # is written after the prefix
    n_predict: Annotated[int, Ge(-1), Le(MOST_TOKENS)] = PREDICTED
    temperature: Annotated[float, Ge(0), Le(100)] = 0.0
    top_k: Annotated[int, Ge(-1), Le(2**31 - 1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Ge(-(2**63)), Le(2**63 - 1)] | None = None
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]],
        Field(fail_fast=True, max_length=MOST_STOPS),
    ] = Field(default_factory=list)
    stream: bool = False
    t_max_predict_ms: Annotated[int, Ge(0), Le(3_600_000)] = 0  # after the first line; 0: no limit

    def settings(self, run: ServedRun) -> DecodingSettings:
        """Return the decoding settings that are asked for."""
        names = ("temperature", "top_k", "top_p", "min_p", "seed")
        values = {name: getattr(self, name) for name in names}
        writing = Writing.model_validate({"model": run.name, **values, "stop": self.stop or None})
        return writing.settings(run, self.n_predict if self.n_predict > 0 else PREDICTED)


def error_body(problem: Problem) -> dict[str, Any]:
    """Return the body of llama.cpp's errors."""
    return {"error": {"code": problem.status, "message": problem.text, "type": problem.kind}}


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["llama.cpp"])

    @router.post("/infill", response_model=None)
    async def infill(body: Infilling) -> Response:
        """Write what stands between a prefix and a suffix."""
        run = _run(served, body.model)
        if body.n_predict == 0:  # editors warm a server up so
            return JSONResponse({**_last(body, run, None, 0, (0, 0, 0)), "content": ""})
        settings = body.settings(run)
        before = "".join(f"{one.text}\n" for one in body.input_extra)
        given = {
            run.predictor.task.input: before + body.input_prefix + body.prompt,
            "suffix": body.input_suffix,
        }
        request = await run.request(run.predictor.example(given, "The prefix"), settings)
        return await _answered(run, body, request)

    return router


def _run(served: Served, name: str | None) -> ServedRun:
    """Return a run that fills in. Raises ApiError where there is none."""
    found = [served.get(name)] if name else list(served)
    fitting = [one for one in found if one.spec.continues]
    if not fitting:
        raise ApiError("No run that continues a text is served here.").at(400, "model")
    return fitting[0]


async def _answered(run: ServedRun, body: Infilling, request: DecodingRequest) -> Response:
    """Return the answer to a request: at once, or as server-sent events."""
    times = [time.monotonic_ns()]
    read = len(request.prompt)
    if not body.stream:
        (best, *_) = await run.write(request)
        times.append(time.monotonic_ns())
        found = _last(body, run, best, read, (times[0], times[0], times[-1]))
        return JSONResponse({**found, "content": best.text})

    pieces = await run.written([request])

    async def events() -> AsyncIterator[bytes]:
        try:
            async for _, item in pieces:
                times.append(time.monotonic_ns())
                if isinstance(item, Piece):
                    yield event({"content": item.text, "stop": False, "index": 0, "tokens": []})
                    continue
                last = _last(body, run, item[0], read, (times[0], times[1], times[-1]))
                yield event({**last, "content": ""})
        except Exception as error:
            yield event(error_body(stream_problem(error)))

    return StreamingResponse(events(), media_type="text/event-stream")


def _last(
    body: Infilling, run: ServedRun, decoded: DecodedText | None, read: int, times: tuple[int, ...]
) -> dict[str, Any]:
    """Return the last part of an answer. times: its beginning, its first piece, its end, in ns."""
    written = 0 if decoded is None else len(decoded.token_log_probabilities)
    began, first, ended = times
    is_whole = decoded is None or decoded.finished
    return {
        "index": 0,
        "id_slot": 0,
        "stop": True,
        "model": run.name,
        "tokens": [] if decoded is None else list(decoded.tokens),
        "tokens_predicted": written,
        "tokens_evaluated": read,
        "generation_settings": {"n_predict": body.n_predict, "temperature": body.temperature},
        "prompt": "",
        "has_new_line": decoded is not None and "\n" in decoded.text,
        "truncated": decoded is not None and decoded.unread > 0,
        "stop_type": "eos" if is_whole else "limit",
        "stopping_word": "",
        "tokens_cached": 0,
        "timings": {
            "prompt_n": read, **_timed("prompt", read, first - began),
            "predicted_n": written, **_timed("predicted", written, ended - first),
        },
    }  # fmt: skip


def _timed(name: str, count: int, nanoseconds: int) -> dict[str, float]:
    ms = nanoseconds / 1e6
    each = ms / count if count else 0.0
    return {
        f"{name}_ms": ms,
        f"{name}_per_token_ms": each,
        f"{name}_per_second": 1e3 / each if each else 0.0,
    }
