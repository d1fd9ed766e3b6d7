"""Name every kind that is compared, and say in which precisions."""

from __future__ import annotations

import kinds_dials
import kinds_packaged
import kinds_tasks
import kinds_verbs
from bench import Precision, SkippedKind

__all__ = ["KINDS", "SkippedKind", "precisions"]

KINDS = {**kinds_tasks.KINDS, **kinds_packaged.KINDS, **kinds_verbs.KINDS, **kinds_dials.KINDS}
TWICE = (
    "model",
    "task",
    "writer",
    "reader",
)  # first words of the kinds that are run in bfloat16 too


def precisions(name: str) -> list[Precision]:
    """Return the precisions of a kind: once is enough for what only reads data and files."""
    return ["float32", "bfloat16"] if name.split("-")[0] in TWICE else ["float32"]
