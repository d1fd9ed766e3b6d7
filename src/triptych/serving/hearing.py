"""Answer the page's microphone: /v1/hearing, a sound with what the model made of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request

from ..inference.hearing import hear
from ..inspection.views.hearing import svg
from .problems import ApiError
from .served import Served, ServedRun

_SOUND: dict[str, Any] = {"requestBody": {"required": True, "content": {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}}}  # fmt: skip


def build(served: Served) -> APIRouter:
    """Return the route."""
    router = APIRouter(prefix="/v1", tags=["inspection"])

    @router.post("/hearing", openapi_extra=_SOUND)
    async def hearing(request: Request, model: str) -> dict[str, Any]:
        """Write down the sound that is the body, with the time of each token and a picture."""
        run = served.get(model)
        if run.predictor.task.input != "audio":
            raise ApiError("The model '{name}' reads no sound.", name=model).at(400, "model")
        sound = await request.body()
        if not sound:
            raise ApiError("{name} is empty.", name="The sound").at(400, "file")
        return await run.call(partial(_heard, run, sound))

    return router


def _heard(run: ServedRun, sound: bytes) -> dict[str, Any]:
    predictor = run.predictor
    example = predictor.example({"audio": sound}, "The sound")
    found, _ = hear(predictor, example, predictor.settings())
    return {"model": run.name, **found.to_json(), "picture": svg(found)}
