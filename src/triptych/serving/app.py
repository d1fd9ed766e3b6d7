"""Build the HTTP application: the routes of all dialects behind one guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from .. import __version__
from ..errors import TriptychError
from . import (
    hearing,
    infill,
    inspecting,
    intervening,
    libretranslate,
    ollama,
    openai,
    operations,
    page,
    pipelines,
    speech,
    tokens,
)
from .description import describe
from .failures import Failures
from .guard import Guard
from .problems import ErrorBody, Problem, asked_language, plain_body, problem_of
from .security import Security
from .served import Served

ABOUT = (
    "Runs of Triptych for clients of other services. Which paths a run answers depends on its task."
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Describe what the clients of one service speak.

    Args:
        build: Returns its routes, given the runs.
        paths: The beginnings of its paths; the longest that fits a path decides.
        error: The body of its errors.
    """

    build: Callable[[Served], APIRouter]
    paths: Sequence[str]
    error: ErrorBody = plain_body


# A dialect is one file: `build(served)`, and the error body that its clients read.
DIALECTS: tuple[Dialect, ...] = (
    Dialect(openai.build, ("/v1",)),
    Dialect(speech.build, ("/v1/audio",)),  # before the tasks: it takes one of their paths
    Dialect(pipelines.build, ("/v1/tasks",), pipelines.error_body),
    Dialect(inspecting.build, ("/v1/trace", "/v1/trees", "/v1/runs")),
    Dialect(intervening.build, ("/v1/interventions",)),
    Dialect(hearing.build, ("/v1/hearing",)),
    Dialect(
        libretranslate.build,
        ("/translate", "/languages", "/detect", "/translate_file", "/download_file", "/frontend"),
        libretranslate.error_body,
    ),
    Dialect(ollama.build, ("/api",), ollama.error_body),
    Dialect(infill.build, ("/infill",), infill.error_body),
    Dialect(tokens.build, ("/tokenizer_info", "/tokenize", "/detokenize")),
    Dialect(page.build, ("/", "/static", "/v1/runs")),
    Dialect(operations.build, ("/health", "/ready", "/metrics", "/version")),
)


def build_app(
    served: Served,
    security: Security | None = None,
    on_close: Callable[[], object] = lambda: None,
    log_texts: bool = False,
) -> Guard:
    """Return the ASGI application.

    Args:
        served: The runs, whose engines are working.
        security: Who may ask.
        on_close: Called when the server has stopped to listen.
        log_texts: Log the beginning of what clients send.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        on_close()

    # The pages of FastAPI load scripts from elsewhere; the description itself stays.
    app = FastAPI(
        title="Triptych", description=ABOUT, version=__version__, docs_url=None, redoc_url=None,
        lifespan=lifespan, separate_input_output_schemas=False,
        strict_content_type=False,  # clients of Ollama send JSON without saying so
    )  # fmt: skip
    for dialect in DIALECTS:
        app.include_router(dialect.build(served))
    app.openapi = describe(app, error_body)
    app.add_exception_handler(TriptychError, _failed)
    app.add_middleware(Failures, answer=_unforeseen)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    return Guard(app, security or Security(), error_body, log_texts)


def error_body(path: str) -> ErrorBody:
    """Return the error body of the dialect that a path belongs to."""
    fitting = [
        (len(start), dialect.error)
        for dialect in DIALECTS
        for start in dialect.paths
        if path == start or path.startswith(f"{start}/")
    ]
    return max(fitting, key=lambda one: one[0])[1] if fitting else plain_body


def respond(request: Request, problem: Problem) -> JSONResponse:
    """Return a problem in the words of its path's dialect."""
    body: Any = error_body(request.url.path)(problem)
    return JSONResponse(body, problem.status, dict(problem.headers))


def _unforeseen(scope: MutableMapping[str, Any], error: Exception) -> Any:
    """Return the answer to a request that one of our own bugs ended."""
    return respond(Request(scope), problem_of(error))


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return respond(request, problem_of(error, asked_language(request)))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Say of a body that does not fit which field is wrong, in one sentence."""
    assert isinstance(error, RequestValidationError), "registered for it"
    first = error.errors()[0]
    place = [str(one) for one in first["loc"] if one != "body"]
    names = ".".join(one for one in place if one.isidentifier() or one.isdigit()) or "body"
    text = f"{names}: {first['msg']}."
    return respond(request, Problem(400, text, param=names))


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for it"
    kind = "not_found_error" if error.status_code == 404 else "invalid_request_error"
    headers = dict(error.headers or {})
    return respond(request, Problem(error.status_code, f"{error.detail}.", kind, None, headers))
