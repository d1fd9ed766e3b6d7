"""Define what an engine is asked beside requests to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...data.batches.encoded import Encoded
from ...data.example import FIELDS, Example
from ...decoding.settings import DecodingSettings
from ...tasks.task import Task
from ..predictor import Predictor
from .tickets import Ticket


@dataclass(slots=True, eq=False)
class Reading:
    """Hold an input for an encoder: its windows, and their raw results so far."""

    ticket: Ticket
    encoded: Sequence[Encoded]
    settings: DecodingSettings
    predictor: Predictor  # whose task and head read it
    found: dict[int, Any] = field(default_factory=dict)
    begun: int = 0  # windows that are computed or done


@dataclass(slots=True, eq=False)
class Scoring:
    """Hold a text to score."""

    ticket: Ticket
    ids: Sequence[int]
    top: int


@dataclass(slots=True, eq=False)
class Calling:
    """Hold a function to call between two steps."""

    ticket: Ticket
    function: Callable[[], Any]


def sample(task: Task) -> Example:
    """Return a short input of a task."""
    given: dict[str, Any] = {}
    for name in task.needs:
        if FIELDS[name].role == "input":
            text = "a" if FIELDS[name].text else None
            given[name] = [{"role": "user", "content": "a"}] if name == "messages" else text
    return Example(**given, words=[(0, 1)] if task.spec.reads_words else None)
