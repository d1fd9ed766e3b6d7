"""Answer /tokenizer_info, /tokenize and /detokenize, as vLLM does; lm-eval asks for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from ..data.templates.published import TEXT
from ..data.tokenizers.subwords import Tokenizer
from .encoding import off_loop, refuse_longer
from .fields import Body, Name, TokenId
from .limits import MOST_CHARACTERS, MOST_IDS
from .openai import beginning, refuse_ids
from .problems import ApiError
from .served import Served, ServedRun


class Tokenizing(Body):
    """Hold the body of /tokenize."""

    model: Name | None = None
    prompt: str
    add_special_tokens: bool = True


class Detokenizing(Body):
    """Hold the body of /detokenize."""

    model: Name | None = None
    tokens: Annotated[list[TokenId], Field(fail_fast=True, max_length=MOST_IDS)]


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["tokens"])

    @router.get("/tokenizer_info")
    async def tokenizer_info(model: Name | None = None) -> dict[str, Any]:
        """Name the special tokens of a run and its chat template."""
        run = _run(served, model)
        tokenizer = run.predictor.tokenizers.target
        end = tokenizer.special_tokens.get(tokenizer.end_id)
        begin = next(iter(tokenizer.prompt("")), None)
        template = run.predictor.labels.get("template")
        return {
            "eos_token": end,
            "bos_token": None if begin is None else tokenizer.special_tokens.get(begin),
            "pad_token": end,  # lengths are told apart from tokens here, so nothing is padded
            "chat_template": template.get(TEXT) if isinstance(template, dict) else None,
        }

    @router.post("/tokenize")
    async def tokenize(body: Tokenizing) -> dict[str, Any]:
        """Cut a text into tokens; special tokens are read where the text spells them."""
        run = _run(served, body.model)
        tokenizer = run.predictor.tokenizers.target
        refuse_longer(len(body.prompt), MOST_CHARACTERS, "prompt")
        cut = partial(list[int], encoded(tokenizer, body.prompt))
        ids = await off_loop(len(body.prompt), cut)
        if body.add_special_tokens:
            ids = [*(beginning(tokenizer) if ids else tokenizer.prompt("")), *ids]
        most = run.predictor.task.options.get("context") or run.engine.context
        return {"tokens": ids, "count": len(ids), "max_model_len": most}

    @router.post("/detokenize")
    async def detokenize(body: Detokenizing) -> dict[str, str]:
        """Write tokens as text, special ones by their names."""
        tokenizer = _run(served, body.model).predictor.tokenizers.target
        refuse_ids(body.tokens, tokenizer.vocabulary_size)
        return {"prompt": decoded(tokenizer, body.tokens)}

    return router


def _run(served: Served, name: str | None) -> ServedRun:
    """Return the run of a name; without one the first that continues texts, or the first."""
    if name is not None:
        return served.get(name)
    found = served.that(lambda one: one.spec.architecture == "decoder") or list(served)
    if not found:
        raise ApiError("No run is served here.").at(404, "model")
    return found[0]


def encoded(tokenizer: Tokenizer, text: str) -> Iterator[int]:
    """Yield the tokens of a text in which special tokens may be spelt."""
    numbers = {name: number for number, name in tokenizer.special_tokens.items()}
    if not numbers:
        yield from tokenizer.encode(text)
        return
    names = "|".join(map(re.escape, sorted(numbers, key=len, reverse=True)))
    for place, part in enumerate(re.split(f"({names})", text)):
        if place % 2:
            yield numbers[part]
        elif part:
            yield from (tokenizer.encode_within if place else tokenizer.encode)(part)


def decoded(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Return tokens as text, special ones by their names."""
    text, held = "", list[int]()
    for number in ids:
        name = tokenizer.special_tokens.get(number)
        if name is None:
            held.append(number)
            continue
        text, held = text + (tokenizer.decode(held) if held else "") + name, []
    return text + (tokenizer.decode(held) if held else "")
