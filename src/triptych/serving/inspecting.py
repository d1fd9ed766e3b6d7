"""Answer what the page asks: /v1/trace, and a run's metrics as its training wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ..inference.traces import search_tree
from ..inspection.beam_tree import BeamTree
from ..inspection.kept import NAMES, kept
from ..inspection.trace import Trace
from ..inspection.views.parsing import sentences_of, svg
from .limits import LONGEST_NAME
from .problems import ApiError
from .served import Served, ServedRun

LONGEST_TRACED = 20_000  # characters: attention of every head is kept
MOST_SENTENCES = 20  # whose trees are drawn
Kind = Literal["cross", "encoder", "decoder"]


class Tracing(BaseModel):
    """Hold the body of /v1/trace."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(max_length=LONGEST_NAME)]
    input: str | dict[str, Any]
    to: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None
    target: str | None = None
    kinds: Annotated[list[Kind], Field(fail_fast=True, max_length=3)] = ["cross"]
    steps: Annotated[int, Field(ge=0, le=20)] = 0
    prefix: Annotated[list[int], Field(max_length=1000)] = []
    beams: Annotated[int, Field(ge=1, le=10)] | None = None
    max_length: Annotated[int, Field(ge=1, le=500)] | None = None


class Parsed(BaseModel):
    """Hold the body of /v1/trees."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(max_length=LONGEST_NAME)]
    input: Annotated[str, Field(max_length=LONGEST_TRACED)]


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", tags=["inspection"])

    @router.post("/trace", response_model=None)
    async def trace(body: Tracing) -> Response:
        """Answer a text and return the trace of the answer, as `inspect` shows it."""
        run = served.get(body.model)
        size = sum(len(one) for one in (body.input, body.target) if isinstance(one, str))
        if size > LONGEST_TRACED:
            raise ApiError(
                "A text of {size:,} characters is too long to trace; the most is {most:,}.",
                size=size, most=LONGEST_TRACED,
            ).at(413, "input")  # fmt: skip
        found, tree = await run.call(partial(_traced, run, body))
        text = await run_in_threadpool(found.to_json)
        if tree is not None:
            text = f'{text[:-1]}, "beam_tree": {json.dumps(asdict(tree), ensure_ascii=False)}}}'
        return Response(text, media_type="application/json")

    @router.post("/trees", response_model=None)
    async def trees(body: Parsed) -> dict[str, Any]:
        """Return the dependency trees of a text: words as rows, and an SVG of each sentence."""
        run = served.get(body.model)
        if run.spec.view != "arcs":
            raise ApiError(
                "'{name}' is a run for {own}, which draws no trees.",
                name=run.name, own=run.spec.name,
            ).at(400, "model")  # fmt: skip
        answer = await run.answer(run.predictor.example(body.input, "The text"))
        return await run_in_threadpool(partial(_trees, answer.details))

    @router.get("/runs/{name}/metrics")
    async def metrics(name: str) -> dict[str, Any]:
        """Return the lines of a run's metrics.jsonl: losses and scores by step."""
        run = served.get(name)
        folder = run.predictor.run
        if folder is None:
            return {"model": name, "metrics": []}
        lines = await run_in_threadpool(folder.read_metrics)
        return {"model": name, "metrics": json.loads(json.dumps(lines))}

    @router.get("/runs/{name}/inspection")
    async def inspection(name: str) -> dict[str, Any]:
        """Return what `inspect --keep` measured of the run's present weights, null where nothing.

        Deletion curves, ablation maps and gold arcs over many sentences.
        """
        run = served.get(name)
        return {"model": name, **await run_in_threadpool(_kept, run)}

    return router


def _kept(run: ServedRun) -> dict[str, Any]:
    folder = run.predictor.run
    found = {one: None if folder is None else kept(folder, one) for one in NAMES}
    for one in found.values():
        for private in ("asked", "each"):  # what measuring needs to go on
            (one or {}).pop(private, None)
    return found


def _trees(details: Mapping[str, Any]) -> dict[str, Any]:
    """Draw the first sentences of a parse."""
    sentences = sentences_of(details)
    columns = ("sentence", "id", "text", "upos", "head", "relation")
    rows = [[word[name] for name in columns] for words in sentences for word in words]
    return {"pictures": [svg(words) for words in sentences[:MOST_SENTENCES]], "words": rows}


def _traced(run: ServedRun, body: Tracing) -> tuple[Trace, BeamTree | None]:
    """Return the trace of an answer, and the tree of its search where there was one."""
    changes = {"beams": body.beams, "max_length": body.max_length}
    given: dict[str, Any] = {name: one for name, one in changes.items() if one is not None}
    found = run.predictor.trace(
        body.input, to=body.to, target=body.target, kinds=tuple(body.kinds), label=run.name,
        steps=body.steps, prefix=body.prefix, **given,
    )  # fmt: skip
    settings = run.predictor.settings(**given)
    if settings.beams < 2 or body.target is not None or body.prefix or not run.writes:
        return found, None
    example = run.predictor.example(body.input, "The text", body.to)
    return found, search_tree(run.predictor, example, settings)
