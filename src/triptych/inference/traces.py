"""Trace a loaded model: what it attends to, and what its answer depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..data.example import Example
from ..decoding.settings import DecodingSettings
from ..errors import UsageError

if TYPE_CHECKING:
    from ..inspection.trace import Trace
    from .loaded import LoadedModel


def trace_answer(
    loaded: LoadedModel,
    example: Example,
    settings: DecodingSettings,
    *,
    target: str | None = None,
    kinds: Sequence[str] = ("cross",),
    label: str = "",
) -> Trace:
    """Answer an Example with an encoder-decoder and trace the answer.

    Args:
        loaded: An encoder-decoder with its task.
        example: Only its inputs are read.
        settings: How the answer is decoded.
        target: A text to trace as the answer instead.
        kinds: Which attention is kept: "cross", "encoder", "decoder".
        label: What the page calls the model; its own name where empty.
    """
    from ..inspection.trace import trace

    _refuse_empty(loaded, example)
    return trace(
        loaded.model,
        loaded.task,
        loaded.tokenizers,
        dataclasses.replace(example, target=target),
        labels=loaded.labels,
        settings=settings,
        label=label or loaded.name,
        kinds=kinds,
    )


def trace_windows(
    loaded: LoadedModel,
    example: Example,
    answer: Callable[[], str],
    *,
    target: str | None = None,
    label: str = "",
    windows: Sequence[int] | None = None,
) -> list[Trace]:
    """Trace what an encoder attends to in each window of an Example.

    Args:
        loaded: An encoder-only model with its task.
        example: Only its inputs are read.
        answer: Returns the answer in words.
        target: The label asked about instead of the likeliest one.
        label: What the page calls the model; its own name where empty.
        windows: Numbers, from 1, of the windows wanted, in this order; numbers without a window are
            left out. None: all.
    """
    from ..inspection.encoder import trace_encoder
    from ..inspection.scores import score_of

    task, tokenizer = loaded.task, loaded.tokenizers.source
    score = score_of(task, loaded.labels, tokenizer, example, target)
    pieces = task.encode(example, loaded.tokenizers, loaded.labels, "use", None)
    if not pieces:
        raise UsageError(f"There is nothing to inspect: no word was found in the {task.input}.")
    words = answer()
    numbers = (
        range(1, len(pieces) + 1)
        if windows is None
        else [one for one in windows if 1 <= one <= len(pieces)]
    )
    return [
        trace_encoder(
            loaded.model,
            loaded.head,
            tokenizer,
            pieces[number - 1],
            answer=words,
            label=label or loaded.name,
            score=score,
            window=(number, len(pieces)),
        )
        for number in numbers
    ]


def refuse_without_encoder(loaded: LoadedModel, example: Example) -> None:
    """Raise UsageError if there is no encoder-only model or no text to inspect."""
    if loaded.task.spec.architecture != "encoder":
        raise UsageError(
            f"A run for {loaded.task.name} has no encoder-only model to inspect. Use `trace`."
        )
    _refuse_empty(loaded, example)


def _refuse_empty(loaded: LoadedModel, example: Example) -> None:
    if not (getattr(example, loaded.task.input) or "").strip():
        raise UsageError(f"There is nothing to inspect: the {loaded.task.input} is empty.")
