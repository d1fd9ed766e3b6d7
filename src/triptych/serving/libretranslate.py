"""Speak LibreTranslate's dialect: translate, languages, detect, and files of text or subtitles.

Its clients send JSON or forms; a target and a source choose the run.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Le
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from ..data.formats.subtitle_units import translated, units
from ..data.formats.subtitles import read_subtitles
from ..errors import DataError
from . import languages, markup
from .languages import Translator
from .limits import LONGEST_NAME, MOST_BEAMS, MOST_INPUTS, MOST_LINES
from .problems import ApiError, Problem, without_flags
from .served import Served

Code = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Body = TypeVar("Body", bound=BaseModel)
FILES = (".txt", ".srt", ".vtt")  # that are translated
AUTO = "auto"


def _no_flag(value: object) -> object:
    """Refuse true and false where a number is read."""
    if isinstance(value, bool):
        raise ValueError("Input should be a whole number")
    return value


class Translation(BaseModel):
    """Hold the body of /translate."""

    model_config = ConfigDict(extra="ignore")

    q: str | Annotated[list[str], Field(fail_fast=True, max_length=MOST_INPUTS)]
    source: Code = AUTO
    target: Code
    format: Literal["text", "html"] = "text"
    # LibreTranslate reads "3" as 3, in JSON too.
    alternatives: Annotated[int, BeforeValidator(_no_flag), Ge(0), Le(MOST_BEAMS - 1)] = 0


class Detection(BaseModel):
    """Hold the body of /detect."""

    q: str


def error_body(problem: Problem) -> dict[str, Any]:
    """Return the body of LibreTranslate's errors."""
    return {"error": problem.text}


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["libretranslate"])
    files = served.files

    @router.get("/languages")
    async def listed() -> list[dict[str, Any]]:
        """List the languages that are read, and to which each is translated."""
        return list(languages.listed(languages.translators(served)))

    @router.post("/detect", openapi_extra=_described(Detection))
    async def detect(request: Request) -> JSONResponse:
        """Tell which languages a text may be in."""
        body = await given(request, Detection)
        found = await run_in_threadpool(languages.detect, body.q)
        return JSONResponse([_confidence(*one) for one in found])

    @router.post("/translate", openapi_extra=_described(Translation))
    async def translate(request: Request) -> JSONResponse:
        """Translate a text, or several, line by line."""
        body = await given(request, Translation)
        return JSONResponse(await _translated(languages.translators(served), body))

    @router.post("/translate_file", openapi_extra=_described_file())
    async def translate_file(request: Request) -> JSONResponse:
        """Translate a file of text (.txt) or subtitles (.srt, .vtt); its address is answered."""
        async with request.form(max_files=1) as form:
            upload, source, target = (form.get(one) for one in ("file", "source", "target"))
            if not isinstance(upload, UploadFile) or not isinstance(target, str):
                raise ApiError("Send a form with file, source and target.").at(400, "file")
            name, raw = PurePath(upload.filename or "").name, await upload.read()
        code = source if isinstance(source, str) else AUTO
        content = await _file(languages.translators(served), name, raw, code, target)
        address = request.url_for("download_file", key=files.add(name, content))
        return JSONResponse({"translatedFileUrl": str(address)})

    @router.get("/download_file/{key}", name="download_file")
    async def download_file(key: str) -> Response:
        """Give out a translated file; it is kept for ten minutes."""
        name, content = files.get(key)
        safe = "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "_"
                       for one in name)  # fmt: skip
        headers = {"Content-Disposition": f'attachment; filename="{safe}"'}
        return Response(content, media_type="text/plain; charset=utf-8", headers=headers)

    @router.get("/frontend/settings")
    async def settings() -> dict[str, Any]:
        """Tell clients what they may ask for."""
        first = next(iter(languages.listed(languages.translators(served))), None)
        pair = {} if first is None else {"source": first, "target": first}
        return {
            "apiKeys": False, "charLimit": -1, "filesTranslation": True, "frontendTimeout": 500,
            "keyRequired": False, "language": pair, "suggestions": False,
            "supportedFilesFormat": list(FILES),
        }  # fmt: skip

    return router


def _confidence(code: str, chance: float) -> dict[str, Any]:
    return {"confidence": round(100 * chance, 1), "language": code}


# Bodies -------------------------------------------------------------------------------------------


async def given(request: Request, kind: type[Body]) -> Body:
    """Return the body of a request, JSON or a form. Raises ApiError, 400."""
    sort = request.headers.get("content-type", "").split(";")[0].strip().lower()
    values: Any
    if sort in ("application/x-www-form-urlencoded", "multipart/form-data"):
        async with request.form() as form:
            values = {name: form.getlist(name) for name in form}
        values = {name: found if len(found) > 1 else found[0] for name, found in values.items()}
    else:
        try:
            values = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise ApiError("The body is neither JSON nor a form.").at(400) from None
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise ApiError("{place}: {what}.", place=place, what=first["msg"]).at(400, place) from None


def _described(kind: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI is told of a body that is JSON or a form."""
    schema = {"schema": kind.model_json_schema()}
    kinds = {"application/json": schema, "application/x-www-form-urlencoded": schema}
    return {"requestBody": {"required": True, "content": kinds}}


def _described_file() -> dict[str, Any]:
    text = {"type": "string"}
    schema = {
        "type": "object", "required": ["file", "target"],
        "properties": {"file": {**text, "format": "binary"}, "source": text, "target": text},
    }  # fmt: skip
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


# Translating --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """Hold the run that translates a text, and its languages as the run spells them."""

    translator: Translator
    source: str
    target: str
    chance: float | None = None  # that the language is the source's, if it was detected

    async def lines(self, text: str, count: int = 1) -> list[str]:
        """Return the `count` best translations of a text; its lines are translated one by one.

        There are fewer where the search finds fewer.
        """
        lines = text.split("\n")
        found = await asyncio.gather(*(self._line(line, count) for line in lines))
        most = max(map(len, found))
        return ["\n".join(one[min(place, len(one) - 1)] for one in found) for place in range(most)]

    async def _line(self, line: str, count: int) -> list[str]:
        body = line.strip()
        if not body:
            return [line]
        predictor, wide = self.translator.run.predictor, {}
        if count > 1:
            wide = {"n_best": count, "beams": max(count, predictor.decoding.beams)}
            wide |= {"temperature": 0.0}
        several = len(self.translator.targets) > 1
        values: dict[str, object] = {predictor.task.input: body}
        if predictor.tokenizers.source.marks_sources:
            values["source_language"] = self.source
        example = predictor.example(values, "q", self.target if several else None)
        best = await self.translator.run.answer(example, predictor.settings(**wide))
        before = line[: len(line) - len(line.lstrip())]
        return [before + one.text for one in (best, *best.alternatives)]


async def choose(found: Sequence[Translator], text: str, source: str, target: str) -> Way:
    """Return what translates a text to `target`. Raises ApiError, 400, where nothing does."""
    if not found:
        raise ApiError("No run for translation is served here.").at(400)
    to = [one for one in found if languages.spelt(target, one.targets) is not None]
    if not to:
        raise _unsupported("target", target, [code for one in found for code in one.targets])
    sources = [code for one in to for code in one.sources]
    chance = None
    if source == AUTO:
        source, chance = await run_in_threadpool(languages.detected, text, sources)
    for one in to:
        code = languages.spelt(source, one.sources)
        if code is not None:
            wanted = languages.spelt(target, one.targets)
            assert wanted is not None, "chosen above"
            return Way(one, code, wanted, chance)
    raise _unsupported("source", source, [*sources, AUTO])


def refuse_lines(count: int) -> None:
    """Raise ApiError, 413, for more lines than are translated for one request."""
    if count > MOST_LINES:
        raise ApiError(
            "The text has {given:,} lines; the most is {most:,}.", given=count, most=MOST_LINES
        ).at(413, "q")


def _unsupported(field: str, code: str, known: Sequence[str]) -> ApiError:
    """Return the error for a language that no run has."""
    return ApiError(
        "{field} is '{code}', which is not supported. There is: {known}.",
        field=field, code=code[:LONGEST_NAME], known=", ".join(dict.fromkeys(known)),
    ).at(400, field)  # fmt: skip


async def _translated(found: Sequence[Translator], body: Translation) -> dict[str, Any]:
    """Return the answer of /translate."""
    texts = [body.q] if isinstance(body.q, str) else body.q
    is_html = body.format == "html"
    cuts = [await run_in_threadpool(markup.cut, text) if is_html else [(text, True)]
            for text in texts]  # fmt: skip
    refuse_lines(sum(part.count("\n") + 1 for parts in cuts for part, is_text in parts if is_text))
    ways = [await choose(found, text, body.source, body.target) for text in texts]
    pending = (
        _html(way, parts) if is_html else way.lines(text, body.alternatives + 1)
        for way, text, parts in zip(ways, texts, cuts, strict=True)
    )
    every = await asyncio.gather(*pending)
    answer: dict[str, Any] = {"translatedText": [best for best, *_ in every]}
    if body.source == AUTO:
        answer["detectedLanguage"] = [_confidence(way.source, way.chance or 0.0) for way in ways]
    if body.alternatives:
        answer["alternatives"] = [others for _, *others in every]
    if isinstance(body.q, str):
        return {name: values[0] for name, values in answer.items()}
    return answer


async def _html(way: Way, parts: Sequence[tuple[str, bool]]) -> list[str]:
    """Return the translation of HTML, whose markup stays; it has no alternatives."""

    async def part(piece: str) -> str:
        (best, *_) = await way.lines(piece)
        after = piece[len(piece.rstrip()) :]
        return markup.escaped(best.rstrip() + after if piece.strip() else piece)

    pending = [part(piece) if is_text else _same(piece) for piece, is_text in parts]
    return ["".join(await asyncio.gather(*pending))]


async def _same(text: str) -> str:
    return text


# Files --------------------------------------------------------------------------------------------


def kind_of(name: str) -> str:
    """Return the ending of a file's name; ".txt" alone is an ending too."""
    return PurePath(f"_{name}").suffix.lower()


async def _file(
    found: Sequence[Translator], name: str, raw: bytes, source: str, target: str
) -> bytes:
    """Return a translated file, of the same kind."""
    kind = kind_of(name)
    if kind not in FILES:
        raise ApiError(
            "The file '{name}' is of no kind that is translated here. Send one of {kinds}.",
            name=name[:LONGEST_NAME], kinds=", ".join(FILES),
        ).at(400, "file")  # fmt: skip
    if kind == ".txt":
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ApiError(
                "'{name}' is not UTF-8 (byte {place}).", name=name[:LONGEST_NAME], place=error.start
            ).at(400, "file") from None
        refuse_lines(text.count("\n") + 1)
        way = await choose(found, text, source, target)
        ending = "\r\n" if "\r\n" in text else "\n"
        (best, *_) = await way.lines(text.replace("\r\n", "\n"))
        return best.replace("\n", ending).encode()
    subtitles = await run_in_threadpool(_subtitles, name, raw)
    parts = [unit for place, cue in enumerate(subtitles.cues) for unit in units(cue, place)]
    refuse_lines(len(parts))
    way = await choose(found, "\n".join(unit.text for unit in parts), source, target)

    async def answer(text: str) -> str | None:
        (best, *_) = await way.lines(text)
        return " ".join(best.split()) or None

    texts = await asyncio.gather(
        *(answer(unit.text) if unit.has_words else _nothing() for unit in parts)
    )
    return translated(subtitles, parts, list(texts)).to_bytes()


async def _nothing() -> None:
    return None


def _subtitles(name: str, raw: bytes) -> Any:
    """Read subtitles that were sent; errors name the client's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{kind_of(name)}"
        path.write_bytes(raw)
        try:
            return read_subtitles(path)
        except DataError as error:
            raise ApiError(
                "{problem}",
                problem=without_flags(str(error).replace(str(path), name[:LONGEST_NAME])),
            ).at(400, "file") from None
