"""Load the run that a command names, with a draft or another engine if one is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..errors import UsageError
from .console import talk
from .notes import tell_place

if TYPE_CHECKING:
    from ..inference.predictor import Predictor

DECODING_ARENAS = 4  # malloc arenas for the threads that decode

Precision = Literal["auto", "float32", "bfloat16"]
EngineName = Literal["native", "ctranslate2", "onnxruntime", "llama.cpp"]


def load_run(
    run: str,
    precision: Precision = "float32",
    draft: str | None = None,
    engine: EngineName = "native",
) -> Predictor:
    """Load a run, with a draft or an engine if given, in a process of our own, whose allocator may
    be set.
    """
    from ..inference.loading import load
    from ..runs.allocator import keep_freed_pages

    if draft is not None and is_engine(engine):
        raise UsageError(
            "--draft is for Triptych's own engine; with --engine {engine}, leave it out.",
            engine=engine,
        )
    keep_freed_pages(arenas=DECODING_ARENAS)
    predictor = load(run, precision, draft)
    tell_place(run, predictor)
    if is_engine(engine):
        from ..setup.runtimes import use_runtime

        use_runtime(predictor, engine, talk)
    return predictor


def is_engine(name: str | None) -> bool:
    """Tell whether another runtime than Triptych itself is named."""
    from ..inference.runtimes.runtime import RUNTIMES

    return name in RUNTIMES
