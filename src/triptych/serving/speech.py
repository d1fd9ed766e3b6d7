"""Answer clients that send sound: OpenAI's /v1/audio, and pipelines of speech recognition.

A file arrives whole, within the limit of a request's body, and is decoded from memory.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import FormData, UploadFile

from ..tasks.task import Prediction
from .limits import LONGEST_NAME
from .pipeline_parameters import flag
from .problems import ApiError
from .served import Served, ServedRun

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
# fields that change nothing here, or are read elsewhere
KNOWN = {
    "file", "model", "language", "prompt", "response_format", "temperature", "stream",
    "timestamp_granularities[]", "timestamp_granularities", "include[]", "chunking_strategy",
}  # fmt: skip
INTO = "en"
_TEXT = {"type": "string"}
_FORM: dict[str, Any] = {"requestBody": {"required": True, "content": {"multipart/form-data": {
    "schema": {
        "type": "object", "required": ["file"],
        "properties": {
            "file": {**_TEXT, "format": "binary"}, "model": _TEXT, "language": _TEXT,
            "response_format": {**_TEXT, "enum": list(FORMATS)}, "temperature": {"type": "number"},
        },
    },
}}}}  # fmt: skip
_SOUND: dict[str, Any] = {"requestBody": {"required": True, "content": {
    "application/octet-stream": {"schema": {**_TEXT, "format": "binary"}},
    "application/json": {"schema": {
        "type": "object", "required": ["inputs"],
        "properties": {"inputs": _TEXT, "model": _TEXT, "parameters": {"type": "object"}},
    }},
}}}  # fmt: skip
# what a client may put among the parameters of a pipeline, and among those of generation
PARAMETERS = {"return_timestamps", "generation_parameters", "generate_kwargs"}
GENERATION = {"language", "task", "temperature"}


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["speech"])

    @router.post("/v1/audio/transcriptions", openapi_extra=_FORM)
    async def transcribe(request: Request) -> Response:
        """Write down what a sound file says: multipart/form-data with file and model."""
        return await _answer(served, request, None)

    @router.post("/v1/audio/translations", openapi_extra=_FORM)
    async def translate(request: Request) -> Response:
        """Write down in English what a sound file says."""
        return await _answer(served, request, INTO)

    @router.post("/v1/tasks/automatic-speech-recognition", openapi_extra=_SOUND)
    async def recognize(request: Request) -> JSONResponse:
        """Write down what the sound says that is the body of the request."""
        body, named = await request.body(), request.query_params.get("model")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        asked = _asked(body, named) if kind == "application/json" else _Sound(body, named)
        found = await _heard(_run(served, asked.model), asked.sound, "The sound", asked.language,
                             asked.into, asked.temperature)  # fmt: skip
        chunks = [
            {"timestamp": [one["start"], one["end"]], "text": one["text"]}
            for one in found.details.get("segments", ())
        ]
        timed = chunks and asked.timestamps
        return JSONResponse({"text": found.text, **({"chunks": chunks} if timed else {})})

    return router


@dataclass(frozen=True)
class _Sound:
    """Hold what a client of a pipeline sent: a sound file, and how it is to be written down."""

    sound: bytes
    model: str | None = None
    language: str | None = None
    into: str | None = None
    temperature: float = 0.0
    timestamps: bool = True


def _asked(body: bytes, named: str | None) -> _Sound:
    """Read a JSON body: `inputs` in base64 and `parameters`, as InferenceClient writes them."""
    try:
        given: object = json.loads(body)
        sound = base64.b64decode(cast(Any, given)["inputs"], validate=True)
    except (ValueError, RecursionError, TypeError, KeyError, binascii.Error):
        raise ApiError(
            "The body must be a sound file, or a JSON object with inputs, a sound file in base64."
        ).at(400, "inputs") from None
    whole = cast("dict[str, Any]", given)
    parameters = _table(whole, "parameters", PARAMETERS)
    generation = {
        name: value
        for table in ("generate_kwargs", "generation_parameters")
        for name, value in _table(parameters, table, GENERATION).items()
    }
    task = generation.get("task", "transcribe")
    if task not in ("transcribe", "translate"):
        raise ApiError("task must be 'transcribe' or 'translate'.").at(400, "task")
    language, model = generation.get("language"), whole.get("model", named)
    for name, value in (("language", language), ("model", model)):
        if value is not None and not isinstance(value, str):
            raise ApiError("{name} must be a text.", name=name).at(400, name)
    return _Sound(sound, model, language, INTO if task == "translate" else None,
                  _temperature(generation.get("temperature")),
                  flag(parameters, "return_timestamps", True))  # fmt: skip


def _table(given: Mapping[str, Any], name: str, known: set[str]) -> dict[str, Any]:
    """Return a table of `given`, empty where it has none. Raises ApiError for another name."""
    found: object = given.get(name) or {}
    if not isinstance(found, dict):
        raise ApiError("{name} must be an object.", name=name).at(400, name)
    table = cast("dict[str, Any]", found)
    for one in sorted(set(table) - known):
        raise ApiError(
            "{table} has no '{name}'; it may have {known}.",
            table=name,
            name=one[:LONGEST_NAME],
            known=", ".join(sorted(known)),
        ).at(400, name)
    return table


async def _answer(served: Served, request: Request, into: str | None) -> Response:
    form = await request.form()
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise ApiError("file is missing: send the sound as multipart/form-data.").at(400, "file")
    unknown = sorted(set(form) - KNOWN)
    if unknown:
        raise ApiError("There is no field '{name}'.", name=unknown[0][:LONGEST_NAME]).at(
            400, unknown[0][:LONGEST_NAME]
        )
    kind = _text(form, "response_format") or "json"
    if kind not in FORMATS:
        raise ApiError(
            "response_format is '{given}'; it must be one of {known}.",
            given=kind[:LONGEST_NAME],
            known=", ".join(FORMATS),
        ).at(400, "response_format")
    if (_text(form, "stream") or "false").lower() not in ("false", "0"):
        raise ApiError("Transcriptions are not streamed: leave out stream.").at(400, "stream")
    run = _run(served, _text(form, "model"))
    name = (upload.filename or "The file")[:LONGEST_NAME]
    found = await _heard(run, await upload.read(), name, _text(form, "language"), into,
                         _temperature(_text(form, "temperature")))  # fmt: skip
    return _shown(found, kind, into)


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


def _temperature(given: object) -> float:
    try:
        value = float(cast(Any, given) or 0)
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value <= 1:
        raise ApiError("temperature must be a number from 0 to 1.").at(400, "temperature")
    return value


def _run(served: Served, name: str | None) -> ServedRun:
    if name is not None:
        run = served.get(name)
        if not _hears(run):
            raise ApiError("The model '{name}' reads no sound.", name=name).at(400, "model")
        return run
    able = served.that(_hears)
    if not able:
        raise ApiError("No model that reads sound is served here.").at(404, "model")
    return able[0]


def _hears(run: ServedRun) -> bool:
    return run.predictor.task.input == "audio"


async def _heard(
    run: ServedRun,
    sound: bytes,
    name: str,
    language: str | None,
    into: str | None,
    temperature: float = 0.0,
) -> Prediction:
    """Return what a run writes of a sound. Raises DataError for one that cannot be read."""
    if not sound:
        raise ApiError("{name} is empty.", name=name).at(400, "file")
    predictor = run.predictor
    given = {"audio": sound, **({"source_language": language} if language else {})}
    example = predictor.example(given, name, into)
    settings = predictor.settings(**({"temperature": temperature} if temperature else {}))
    return await run.call(lambda: next(iter(predictor.answer([example], settings))))


# Formats ------------------------------------------------------------------------------------------


def _shown(found: Prediction, kind: str, into: str | None) -> Response:
    """Return an answer in one of OpenAI's formats."""
    segments: Sequence[dict[str, Any]] = found.details.get("segments", ())
    if kind == "text":
        return PlainTextResponse(found.text + "\n")
    if kind in ("srt", "vtt"):
        return PlainTextResponse(captions(segments, kind))
    if kind == "json":
        return JSONResponse({"text": found.text})
    whole = segments[-1]["end"] if segments else 0.0
    each = [
        {"id": number, "start": one["start"], "end": one["end"], "text": one["text"]}
        for number, one in enumerate(segments)
    ]
    return JSONResponse({
        "task": "translate" if into else "transcribe",
        "language": found.details.get("language", ""),
        "duration": whole,
        "text": found.text,
        "segments": each,
    })  # fmt: skip


def captions(segments: Sequence[dict[str, Any]], kind: str) -> str:
    """Write segments as subtitles, SRT or WebVTT."""
    mark = "," if kind == "srt" else "."
    cues = [
        f"{number}\n" * (kind == "srt")
        + f"{_clock(one['start'], mark)} --> {_clock(one['end'], mark)}\n{one['text']}\n"
        for number, one in enumerate(segments, 1)
    ]
    return "\n".join([*(["WEBVTT\n"] if kind == "vtt" else []), *cues])


def _clock(seconds: float, mark: str) -> str:
    millis = round(seconds * 1000)
    hours, rest = divmod(millis, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
