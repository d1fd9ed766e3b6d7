"""Serve the page: its own files, and what it must know of each run.

The pictures of attention are those of `inspect --html`: its scripts are joined into one module,
`viewer.js`. Every file is in the package; the page loads nothing from elsewhere.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from fastapi import APIRouter, HTTPException, Response
from starlette.concurrency import run_in_threadpool

from ..inspection.html import viewer
from ..model.config import RecurrentConfig
from .languages import translator
from .served import Served, ServedRun

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FOLDER = "web"
NAMES = frozenset(
    one.name for one in (resources.files(__package__ or "") / FOLDER).iterdir() if one.is_file()
)
EXPORTED = (
    "WORDS",
    "setLanguage",
    "make",
    "colour",
    "tint",
    "short",
    "save",
    "addPanel",
    "draw",
    "panels",
)


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["page"])

    @router.get("/", response_model=None, include_in_schema=False)
    async def page() -> Response:
        return file("index.html")

    @router.get("/favicon.ico", response_model=None, include_in_schema=False)
    async def icon() -> Response:
        return file("icon.svg")

    @router.get("/static/{name}", response_model=None, include_in_schema=False)
    async def static(name: str) -> Response:
        if name == "viewer.js":
            return Response(viewer_module(), media_type=TYPES["js"])
        if name == "page.css":
            return Response(styles(), media_type=TYPES["css"])
        if name not in NAMES:
            raise HTTPException(404, "There is no such file")
        return file(name)

    @router.get("/v1/runs", tags=["inspection"])
    async def runs() -> dict[str, Any]:
        """Describe the runs that are served: task, architecture, languages, layers and heads."""
        return {"runs": [await run_in_threadpool(described, one) for one in served]}

    return router


@cache
def file(name: str) -> Response:
    """Return one of the page's own files."""
    content = (resources.files(__package__ or "") / FOLDER / name).read_bytes()
    return Response(content, media_type=TYPES[name.rpartition(".")[2]])


@cache
def viewer_module() -> str:
    """Return the scripts of `inspect --html` as a module, with one language more."""
    hans = (resources.files("triptych.inspection") / "words_hans.js").read_text("utf-8")
    return f"{viewer()}\n{hans}\nexport {{ {', '.join(EXPORTED)} }};\n"


@cache
def styles() -> str:
    """Return the style of the pictures, then the page's own."""
    pictures = (resources.files("triptych.inspection") / "page.css").read_text("utf-8")
    own = (resources.files(__package__ or "") / FOLDER / "page.css").read_text("utf-8")
    return f"{pictures}\n{own}"


def described(run: ServedRun) -> dict[str, Any]:
    """Describe a run for the page."""
    spec, config = run.spec, run.predictor.model.config
    is_recurrent = isinstance(config, RecurrentConfig)
    found: dict[str, Any] = {
        "name": run.name,
        "task": spec.name,
        "architecture": spec.architecture,
        "view": spec.view,
        "input": run.predictor.task.input,
        "passage": "passage" in run.predictor.task.needs,
        "writes": run.writes,
        "recurrent": is_recurrent,
        "attention": not is_recurrent or bool(config.attention),
        "targets": [],
        "sources": [],
        "beams": run.predictor.decoding.beams,
        "curves": run.predictor.run is not None,
        "checkpoints": len(run.predictor.run.checkpoints()) if run.predictor.run else 0,
    }
    if spec.targets == "languages":
        known = translator(run)
        found |= {
            "sources": list(known.sources),
            "targets": list(known.targets),
            "target": run.predictor.task.options.get("default_target"),
        }
    if not is_recurrent:
        for side in ("encoder", "decoder"):
            stack = getattr(config, side)
            found[side] = stack and {"layers": stack.layers, "heads": stack.heads}
    return json.loads(json.dumps(found))
