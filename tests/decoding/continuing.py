"""Continuations of prompts, as the tests of decoding ask for them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from triptych.decoding import streaming, writing
from triptych.decoding.hypothesis import SearchStep
from triptych.decoding.requests import DecodedText, DecodingRequest, TokenDecoder
from triptych.decoding.settings import DecodingSettings


def write(
    model: Any,
    prompts: Sequence[Sequence[int]],
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    *,
    context: int,
    indices: Sequence[int] | None = None,
    on_event: Callable[[SearchStep], None] | None = None,
) -> list[list[DecodedText]]:
    """Return the n best continuations of each prompt, best first."""
    names = range(len(prompts)) if indices is None else indices
    requests = [
        DecodingRequest(settings=settings, prompt=list(prompt), context=context, index=index)
        for prompt, index in zip(prompts, names, strict=True)
    ]
    return writing.decode(model, requests, tokenizer, on_event)


def stream(
    model: Any,
    prompt: Sequence[int],
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    *,
    context: int,
) -> Generator[str, None, bool]:
    """Yield the continuation of a prompt piece by piece."""
    request = DecodingRequest(settings=settings, prompt=list(prompt), context=context)
    return streaming.stream(model, request, tokenizer)
