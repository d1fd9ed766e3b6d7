"""Measure which attribution is the most faithful to a model, over many development sentences.

It takes minutes, so what has been measured is kept in the run folder from time to time, and
measuring the same again goes on from there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.example import Example
from ..decoding.settings import DecodingSettings
from .aiming import aimed

if TYPE_CHECKING:
    from ..inspection.attributions import DeletionCurves, Falls
    from .predictor import Predictor

EVERY = 20.0  # seconds between two writes
Begin = Callable[[str, int], Callable[[float], object]]


def development_curves(
    predictor: Predictor,
    methods: Sequence[str],
    development: Sequence[Example],
    settings: DecodingSettings,
    begin: Begin | None = None,
    keeps: bool = False,
) -> DeletionCurves:
    """Return deletion curves over development sentences, of the whole answer to each.

    Args:
        predictor: A loaded run.
        methods: Attributions to compare.
        development: The sentences.
        settings: How they are answered.
        begin: Called with the name and the size of the computation; gives what counts its parts.
        keeps: Keep the curves in the run folder, and go on from those that are there.
    """
    from ..inspection.attributions import deletion_curves

    asked = _asked(methods, development, settings)
    each = _begun(predictor, asked) if keeps else []
    count = None if begin is None else begin("deletion", len(development))
    if count is not None and each:
        count(len(each))
    written = [time.monotonic()]

    def done(one: Falls) -> None:
        each.append(one)
        if count is not None:
            count(1)
        if keeps and time.monotonic() - written[0] > EVERY:
            _keep(predictor, asked, each, len(each) == len(development))
            written[0] = time.monotonic()

    begun = list(each)
    probes = (aimed(predictor, one, settings).probe for one in development[len(begun) :])
    found = deletion_curves(probes, done=done, methods=methods, begun=begun)
    if keeps:
        _keep(predictor, asked, each, is_whole=True)
    return found


def _asked(
    methods: Sequence[str], development: Sequence[Example], settings: DecodingSettings
) -> dict[str, Any]:
    """Return what the curves are of; curves of anything else are not gone on with."""
    texts = json.dumps([dataclasses.asdict(one) for one in development], default=str)
    return {
        "methods": list(methods),
        "decoding": json.loads(json.dumps(dataclasses.asdict(settings), default=str)),
        "examples": hashlib.sha256(texts.encode()).hexdigest(),
    }


def _begun(predictor: Predictor, asked: dict[str, Any]) -> list[Falls]:
    """Return the curves of the sentences that were measured before."""
    from ..inspection.attributions import Falls
    from ..inspection.kept import kept

    found = None if predictor.run is None else kept(predictor.run, "deletion")
    if found is None or found.get("asked") != asked:
        return []
    return [
        Falls(one["length"], {name: np.array(values) for name, values in one["falls"].items()})
        for one in found["each"]
    ]


def _keep(
    predictor: Predictor, asked: dict[str, Any], each: Sequence[Falls], is_whole: bool
) -> None:
    from ..inspection.attributions import mean_curves
    from ..inspection.kept import keep

    assert predictor.run is not None, "interventions refuse to keep without a run"
    falls = [
        {
            "length": one.length,
            "falls": {name: np.round(values, 6).tolist() for name, values in one.falls.items()},
        }
        for one in each
    ]
    found = {**mean_curves(each).to_json(), "complete": is_whole, "asked": asked, "each": falls}
    keep(predictor.run, "deletion", found)
