"""Answer those who run the server: /health, /ready, /metrics, /version."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from .. import __version__
from ..inference.engine.counters import Counters
from .served import Served, ServedRun
from .tallies import COUNTED, STATES, TIMED

HEALTH_SECONDS = 10.0  # within which a step must be computed
COUNTS = {  # name -> (attribute of Counters, what it counts)
    "requests": ("submitted", "Requests that were accepted."),
    "requests_done": ("done", "Requests that got a result."),
    "requests_refused": ("refused", "Requests for which the queue had no room."),
    "requests_late": ("late", "Requests whose deadline passed."),
    "requests_cancelled": ("cancelled", "Requests that were taken back."),
    "requests_failed": ("failed", "Requests that an error ended."),
    "tokens_read": ("tokens_read", "Input tokens that the model read."),
    "tokens_reused": ("tokens_reused", "Prompt tokens whose states were known already."),
    "tokens_written": ("tokens_written", "Tokens of answers."),
    "decoding_steps": ("steps", "Decoding steps."),
}
HISTOGRAMS = {
    "first_token_seconds": ("first", "Seconds to the first token or the result."),
    "request_seconds": ("whole", "Seconds to the result."),
    "step_seconds": ("step", "Seconds of a decoding step."),
    "step_rows": ("rows", "Rows of a decoding step."),
}


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["operations"])
    registry = CollectorRegistry()
    registry.register(_Collector(served))

    @router.get("/health")
    async def health() -> JSONResponse:
        """Compute one real step with every run; 503 if one of them fails."""
        found = dict(zip(served.runs, await asyncio.gather(*map(_state, served)), strict=True))
        is_well = all(state == "ok" for state in found.values())
        status = "ok" if is_well else "failed"
        return JSONResponse({"status": status, "models": found}, 200 if is_well else 503)

    @router.get("/ready")
    async def ready() -> JSONResponse:
        """Tell whether requests are taken: 503 while the server shuts down, or has failed."""
        is_ready = all(one.engine.death is None and not one.engine.is_closing for one in served)
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        """Return all counts in the format of Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/version")
    async def version() -> dict[str, str]:
        """Return the version of triptych."""
        return {"version": __version__}

    return router


async def _state(run: ServedRun) -> str:
    """Return "ok" where a step was computed in time."""
    engine = run.engine
    try:
        await asyncio.wait_for(run.call(engine.check, urgent=True), HEALTH_SECONDS)
    except TimeoutError:
        return "no step within 10 seconds"
    except Exception as error:
        return f"failed: {type(error.__cause__ or error).__name__}"
    return "ok"


class _Collector:
    """Read the counters of all engines when the metrics are asked for."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def collect(self) -> Iterator[Any]:
        """Yield every metric with a value for each run."""
        table = self._served.sums()  # (R, N)
        names, place = list(self._served.runs), len(COUNTED)
        columns: dict[str, np.ndarray] = dict(zip(COUNTED, table.T, strict=False))
        for name, (attribute, text) in COUNTS.items():
            counter = CounterMetricFamily(f"triptych_{name}", text, labels=["model"])
            for run, value in zip(names, columns[attribute].tolist(), strict=True):
                counter.add_metric([run], value)
            yield counter
        texts = ("Requests that wait.", "Answers in progress.")
        for name, text, column in zip(STATES, texts, table.T[-len(STATES) :], strict=True):
            gauge = GaugeMetricFamily(f"triptych_{name}", text, labels=["model"])
            for run, value in zip(names, column.tolist(), strict=True):
                gauge.add_metric([run], value)
            yield gauge
        held = {attribute: (name, text) for name, (attribute, text) in HISTOGRAMS.items()}
        for attribute in TIMED:
            name, text = held[attribute]
            bounds: tuple[float, ...] = getattr(Counters(), attribute).bounds
            end = place + len(bounds) + 1
            family = HistogramMetricFamily(f"triptych_{name}", text, labels=["model"])
            for run, row in zip(names, table.tolist(), strict=True):
                family.add_metric([run], _buckets(bounds, row[place:end]), row[end])
            place = end + 1
            yield family


def _buckets(bounds: Sequence[float], counts: Sequence[float]) -> list[tuple[str, float]]:
    """Return how many values are at most each bound, as Prometheus has them."""
    total, found = 0.0, list[tuple[str, float]]()
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        total += count
        found.append((bound, total))
    return found
