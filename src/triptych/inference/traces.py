"""Trace a loaded model: what it attends to, and what its answer depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..data.example import Example
from ..decoding.settings import DecodingSettings
from ..errors import UsageError

if TYPE_CHECKING:
    from ..inspection.beam_tree import BeamTree
    from ..inspection.trace import Trace
    from ..inspection.writer import Script
    from .loaded import LoadedModel
    from .predictor import Predictor

NEW_TOKENS = 32  # generated for a trace by default


def trace_answer(
    loaded: LoadedModel,
    example: Example,
    settings: DecodingSettings,
    *,
    target: str | None = None,
    kinds: Sequence[str] = ("cross",),
    label: str = "",
    steps: int = 0,
    prefix: Sequence[int] = (),
) -> Trace:
    """Answer an Example with an encoder-decoder and trace the answer.

    Args:
        loaded: An encoder-decoder with its task.
        example: Only its inputs are read.
        settings: How the answer is decoded.
        target: A text to trace as the answer instead.
        kinds: Which attention is kept: "cross", "encoder", "decoder".
        label: What the page calls the model; its own name where empty.
        steps: How many likely tokens are kept at each step, with the masks that were used.
        prefix: Ids that the answer begins with.
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
        steps=steps,
        prefix=prefix,
    )


def answer_ids(
    loaded: LoadedModel, example: Example, settings: DecodingSettings, target: str | None = None
) -> tuple[list[int], int, list[int]]:
    """Return the source of an encoder-decoder, the token before its answer, and the answer's ids.

    Args:
        loaded: An encoder-decoder with its task.
        example: Only its inputs are read.
        settings: How the answer is decoded.
        target: A text to read as the answer instead.
    """
    from ..inspection.trace import answered

    _refuse_empty(loaded, example)
    encoded, begin, answer = answered(
        loaded.model,
        loaded.task,
        loaded.tokenizers,
        dataclasses.replace(example, target=target),
        loaded.labels,
        settings,
    )
    first = loaded.tokenizers.target.begin_id if begin is None else begin
    return encoded.inputs["source"].tolist(), first, answer


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


def search_tree(loaded: LoadedModel, example: Example, settings: DecodingSettings) -> BeamTree:
    """Answer an Example by beam search and return the tree of the search."""
    from ..inspection.beam_tree import tree_of

    encoded = loaded.task.encode(example, loaded.tokenizers, loaded.labels, "use", None)[0]
    return tree_of(loaded.model, loaded.request(encoded, settings), loaded.tokenizers.target)


def traced_settings(settings: DecodingSettings) -> DecodingSettings:
    """Return settings for an answer that is traced: not too long, with each token's probability."""
    return dataclasses.replace(settings, max_length=settings.max_length or NEW_TOKENS, scores=True)


def trace_writing(
    predictor: Predictor,
    example: Example,
    settings: DecodingSettings,
    *,
    target: str | None = None,
    label: str = "",
    windows: int = 1,
) -> tuple[list[Trace], int]:
    """Continue a text with a decoder-only model, and trace text and continuation together.

    Args:
        predictor: A decoder-only model with its task.
        example: What is continued; it ends with `target` unless it is a conversation.
        settings: As `traced_settings` returns them.
        target: A continuation to read instead of generating one.
        label: What the page calls the model; its own name where empty.
        windows: Of a text longer than the context, how many windows are traced.

    Returns:
        The traces, and how many tokens of the text were not read before generating.
    """
    from ..inspection.writer import trace_writer

    tokenizer = predictor.tokenizers.target
    script, answer, unread = script_of(predictor, example, settings, target)
    traces = trace_writer(
        predictor.model,
        tokenizer,
        script,
        context=predictor.task.options["context"],
        most=windows,
        answer=answer,
        label=label or predictor.name,
    )
    for trace in traces if unread else ():
        trace.notes.append("unread")
    return traces, unread


def script_of(
    predictor: Predictor, example: Example, settings: DecodingSettings, target: str | None = None
) -> tuple[Script, str, int]:
    """Return the tokens of a text and of its continuation, which is generated unless it is given.

    Args:
        predictor: A decoder-only model with its task.
        example: What is continued; it ends with `target` unless it is a conversation.
        settings: As `traced_settings` returns them.
        target: A continuation to read instead of generating one.

    Returns:
        The tokens, the continuation in words, and how many tokens of the text were not read before
        generating.
    """
    from ..inspection.writer import Script

    (encoded,) = predictor.task.encode(example, predictor.tokenizers, predictor.labels, "use", None)
    ids, tokenizer = encoded.inputs["target"].tolist(), predictor.tokenizers.target
    if target and predictor.task.input == "messages":
        ids += _turn_ids(predictor, example, target)
    if target is not None and ids == [tokenizer.begin_id]:
        raise UsageError("There is nothing to inspect: the text and --target are empty.")
    size = example.bytes if predictor.task.spec.by_losses else None
    if target is not None:
        return Script(ids=ids, own=[], bytes=size), target, 0
    prediction = next(iter(predictor.answer([example], settings)))
    own = prediction.tokens
    ended = len(prediction.token_log_probabilities) > len(own)
    script = Script(ids=ids, own=own, ended=ended, bytes=size)
    return script, prediction.text, prediction.truncated_input_tokens


def _turn_ids(loaded: LoadedModel, example: Example, answer: str) -> list[int]:
    """Return the tokens of an answer as the assistant's turn.

    It begins where the prompt of a conversation ends.
    """
    from ..tasks.templates import template_of

    template = template_of(loaded.labels)
    return template.answer(example.messages or [], answer, loaded.tokenizers.target).content


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
