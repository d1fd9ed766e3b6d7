"""Answer what the page's researcher asks: /v1/interventions, on one text of bounded size.

The library does the work (`inference/interventions.py`); here one answer is decoded once, and every
view of it is measured, or says why it cannot be.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ..data.example import Example
from ..errors import TriptychError
from ..inference.aiming import Aimed, aimed
from ..inference.interventions import Interventions, intervene, switched_off
from ..inspection.attributions import deletion_curves
from ..inspection.results import InterventionResults
from ..inspection.sites import is_recurrent, parts_of, sites, stacks
from .limits import LONGEST_NAME
from .problems import ApiError, asked_language, problem_of
from .served import Served, ServedRun

MOST_TOKENS = 256  # of the text: deletion curves run as many copies of it as it has tokens
MOST_WRITTEN = 128  # tokens of the answer
MOST_LENS = 150_000_000  # numbers of all stages, positions and answers of a lens
View = Literal[
    "lens", "ablation", "contributions", "attributions", "deletion", "patching", "checkpoints"
]
ASKED = {
    "lens": Interventions(lens=True),
    "ablation": Interventions(ablate=True),
    "contributions": Interventions(contributions=True),
    "attributions": Interventions(attributions=("all",)),
}


class Intervening(BaseModel):
    """Hold the body of /v1/interventions."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(max_length=LONGEST_NAME)]
    input: str | dict[str, Any]
    to: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None
    target: Annotated[str, Field(max_length=2000)] | None = None
    views: Annotated[list[View], Field(fail_fast=True, max_length=7)] = ["lens", "ablation"]
    token: Annotated[int, Field(ge=1, le=1000)] = 1
    rival: Annotated[int, Field(ge=0)] | None = None
    other: Annotated[str, Field(max_length=2000)] | None = None
    part: Annotated[str, Field(max_length=LONGEST_NAME)] | None = None
    without: Annotated[
        list[Annotated[str, Field(max_length=LONGEST_NAME)]], Field(fail_fast=True, max_length=64)
    ] = []
    beams: Annotated[int, Field(ge=1, le=10)] | None = None
    max_length: Annotated[int, Field(ge=1, le=MOST_WRITTEN)] | None = None


def build(served: Served) -> APIRouter:
    """Return the route."""
    router = APIRouter(prefix="/v1", tags=["inspection"])

    @router.post("/interventions", response_model=None)
    async def interventions(body: Intervening, request: Request) -> Response:
        """Change the model while it answers one text, and return what each change does."""
        run = served.get(body.model)
        example = run.predictor.example(body.input, "The text", body.to)
        if run.predictor.is_empty(example):
            raise ApiError("There is nothing to inspect: the text is empty.").at(400, "input")
        example, encoded, unseen = await run.encode(example)
        count = _count(encoded, unseen)
        found = await run.call(
            partial(_measured, run, body, example, count, asked_language(request))
        )
        text = await run_in_threadpool(partial(json.dumps, found, ensure_ascii=False))
        return Response(text, media_type="application/json")

    return router


def _count(encoded: Any, unseen: int) -> int:
    """Return the tokens of a text. Raise ApiError where it is too long to be run many times."""
    sides = [one.inputs.get("source", one.inputs.get("target")) for one in encoded]
    count = sum(map(len, sides)) + unseen
    if count > MOST_TOKENS or len(sides) > 1:
        raise ApiError(
            "A text of {count} tokens is too long for interventions; the most is {most}.",
            count=count, most=MOST_TOKENS,
        ).at(413, "input")  # fmt: skip
    return count


def _refuse_lens(run: ServedRun, body: Intervening, count: int) -> None:
    """Raise ApiError for a text whose lens would compute too many logits."""
    size = _stages(run) * run.predictor.model.config.vocabulary_size
    most = max(16, MOST_LENS // size - _written(run, body))
    if count > most:
        raise ApiError(
            "The lens of so large a model reads a text of at most {most} tokens; this one has "
            "{count}.",
            count=count, most=most,
        ).at(413, "input")  # fmt: skip


def _stages(run: ServedRun) -> int:
    """Return how many stages the longest lens has."""
    counts = [
        sum(1 for block in stack.each for _ in parts_of(block))
        for stack in stacks(run.predictor.model).values()
    ]
    return 1 + max(counts, default=2)


def _written(run: ServedRun, body: Intervening) -> int:
    """Return how many tokens an answer may have."""
    if not run.writes:
        return 0
    return min(body.max_length or run.predictor.decoding.max_length or 64, MOST_WRITTEN)


def _measured(
    run: ServedRun, body: Intervening, example: Example, count: int, language: str
) -> dict[str, Any]:
    """Return every view of one answer; a view that cannot be has its reason in "problems"."""
    predictor = run.predictor
    given: dict[str, Any] = {} if body.beams is None else {"beams": body.beams}
    if run.writes:
        given["max_length"] = _written(run, body)
    settings = predictor.settings(**given)
    patching = Interventions(patch=body.other)
    if "patching" in body.views and not (body.other or "").strip():
        raise ApiError("Patching takes states of another text; give it as `other`.").at(
            400, "other"
        )
    if "checkpoints" in body.views and not body.part:
        raise ApiError("Name the part to follow through the checkpoints as `part`.").at(400, "part")
    steps = Interventions(checkpoints=(body.part or "",), token=body.token)
    asked = {**ASKED, "patching": patching, "checkpoints": steps}
    problems: dict[str, str] = {}
    with switched_off(predictor, Interventions(without=body.without)):
        found = aimed(predictor, example, settings, target=body.target, token=body.token)
        found = _compared(found, body)
        whole: dict[str, Any] = _facts(run, found)
        for view in dict.fromkeys(body.views):
            try:
                if view == "lens":
                    _refuse_lens(run, body, count)
                if view == "deletion":
                    whole["deletion"] = deletion_curves([found.probe]).to_json()
                    continue
                whole |= _own(intervene(predictor, example, asked[view], settings, found=found))
            except TriptychError as error:
                problems[view] = problem_of(error, language).text
    return {**whole, "problems": problems, "without": body.without}


def _compared(found: Aimed, body: Intervening) -> Aimed:
    """Return the answer compared with the rival that is asked for."""
    if body.rival is None:
        return found
    (row,) = found.probe.measured(1, found.probe.logits) if found.probe.logits else ([],)
    if body.rival >= len(row):
        raise ApiError(
            "rival: there are {count} answers to choose among.", count=len(row)
        ).at(400, "rival")  # fmt: skip
    return replace(found, probe=found.probe.compared(body.rival, found.name_of))


def _facts(run: ServedRun, found: Aimed) -> dict[str, Any]:
    """Return what all views are about: the tokens, the choice, and the likeliest others."""
    probe, model = found.probe, run.predictor.model
    others: list[list[Any]] = []
    if probe.logits is not None and probe.choice is not None:
        chances = probe.measured(1, probe.logits)[0].softmax(-1)
        values, ids = chances.topk(min(8, len(chances)))
        others = [
            [number, found.name_of(number), float(f"{value:.6g}")]
            for number, value in zip(ids.tolist(), values.tolist(), strict=True)
        ]
    choice = probe.choice
    return {
        "model": run.name,
        "architecture": run.spec.architecture,
        "recurrent": is_recurrent(model),
        "parts": len(sites(model)),
        "names": [str(one) for one in sites(model)],
        "answer_begins": max(0, found.prompt - 1),
        "chosen": None if choice is None else [choice.chosen, choice.names[0]],
        "rival": None if choice is None else [choice.rival, choice.names[1]],
        "others": others,
    }


def _own(result: InterventionResults) -> dict[str, Any]:
    found = result.to_json()
    del found["without"], found["replacement"]
    return found
