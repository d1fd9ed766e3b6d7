"""Decode requests: the answers to sources and the continuations of prompts, a batch at a time.

A prompt that is too long for the context loses its beginning. When the context is full, decoding
goes on after rereading its last half, so an answer may have any length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch

from ..model.interface import AnyModel
from ..model.typed import from_numpy
from .drafts import Drafted
from .generate import search
from .hypothesis import Hypothesis, SearchStep
from .requests import (
    NEW_TOKENS,
    DecodedText,
    DecodingRequest,
    TokenDecoder,
    alike,
    fitting,
    remaining,
)
from .settings import DecodingSettings
from .steps import AdmitArguments
from .text import answer_reader, cut_at, is_bare, last_line, reader, stopper, trimmed

if TYPE_CHECKING:
    from .policies.joining import Stop

# Added to a prompt's index for each token, so that draws after rereading are independent.
REPREFILL_SEED_STRIDE = 7919
# This many times the stride is added for each answer of a prompt, so that no two share draws.
ANSWER_STRIDE = 1 << 20

OnEvent = Callable[[SearchStep], None]


def decode(
    model: AnyModel | Drafted,
    requests: Sequence[DecodingRequest],
    tokenizer: TokenDecoder,
    on_event: OnEvent | None = None,
) -> list[list[DecodedText]]:
    """Return the n best answers of every request, best first.

    Requests with the same settings are searched in one batch. An answer never depends on its
    neighbours.

    Args:
        model: An encoder-decoder for requests with a source, a decoder-only model for prompts; a
            `Drafted` for speculative decoding.
        requests: In any order.
        tokenizer: Decodes what is written.
        on_event: Receives every step of the first search of each batch, not of those past the
            context.
    """
    found: list[list[DecodedText]] = [[] for _ in requests]
    for places in alike(requests):
        group = [requests[place] for place in places]
        answer = _continuations if group[0].source is None else _answers
        for place, several in zip(places, answer(model, group, tokenizer, on_event), strict=True):
            found[place] = several
    return found


# Answers to sources -------------------------------------------------------------------------------


def source_inputs(
    model: AnyModel | Drafted, requests: Sequence[DecodingRequest]
) -> dict[str, torch.Tensor]:
    """Pack the sources of requests: "source" (M,) or, of sound, (M, C), and "source_lengths" (B,).

    They are on the device.
    """
    sources = [array_of(one.source) for one in requests]
    device = next(model.parameters()).device
    return {
        "source": from_numpy(np.concatenate(sources)).to(device),
        "source_lengths": torch.tensor([len(one) for one in sources], device=device),
    }


def array_of(source: object) -> np.ndarray:
    """Return a source as int64 ids, or as float32 features."""
    found = np.asarray(source)
    return found.astype(np.float32 if found.dtype.kind == "f" else np.int64, copy=False)


def _answers(
    model: AnyModel | Drafted,
    requests: Sequence[DecodingRequest],
    tokenizer: TokenDecoder,
    on_event: OnEvent | None,
) -> list[list[DecodedText]]:
    answers = search(
        model,
        source_inputs(model, requests),
        requests[0].settings,
        begin=tokenizer.begin_id,
        end=tokenizer.end_ids,
        indices=[one.index for one in requests],
        on_event=on_event,
        **begun(requests),
    )
    return [
        [answered(one, max(0, len(request.prompt) - 1), request, tokenizer) for one in several]
        for request, several in zip(requests, answers, strict=True)
    ]


class Begun(TypedDict, total=False):
    """Hold the arguments of a search whose answers begin with given tokens."""

    begins: list[int]
    prefixes: list[list[int]]
    max_lengths: list[int]
    counted: bool


def begun(requests: Sequence[DecodingRequest]) -> Begun:
    """Return what lets each answer begin with its request's prompt; nothing without prompts."""
    if not requests[0].prompt:
        return {}
    longest = [
        max(
            one.settings.min_length,
            one.settings.longest(0 if one.source is None else len(one.source)),
        )
        for one in requests
    ]
    return {
        "begins": [one.prompt[0] for one in requests],
        "max_lengths": [
            most + len(one.prompt) - 1 for most, one in zip(longest, requests, strict=True)
        ],
        "prefixes": [list(one.prompt[1:]) for one in requests],
        "counted": False,
    }


def answered(
    one: Hypothesis, given: int, request: DecodingRequest, tokenizer: TokenDecoder
) -> DecodedText:
    """Return the answer that a hypothesis holds after the tokens that it had to begin with."""
    tokens = one.tokens[given:]
    text = answer_reader(tokenizer, request.prompt).decode(tokens)
    return DecodedText(
        text=trimmed(text, one.finished),
        tokens=tokens,
        log_probability=one.log_probability,
        score=one.score,
        token_log_probabilities=one.token_log_probabilities[given:],
        finished=one.finished,
        unread=request.unread,
    )


# Continuations of prompts -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Continuing:
    """Hold the arguments of one search over prompts.

    Args:
        shown: The ids of each prompt that the model reads.
        settings: The same for all prompts.
        tokenizer: Decodes the ids that are written.
        context: Tokens that the model reads at once.
        indices: Identify the prompts for sampling.
        heads: The last line of each prompt, from which a dedent is measured.
        before: For a single prompt, the tokens written before, of which some are reread.
    """

    shown: Sequence[list[int]]
    settings: DecodingSettings
    tokenizer: TokenDecoder
    context: int
    indices: Sequence[int]
    heads: Sequence[str | None]
    before: Sequence[int] = ()

    @property
    def prefixes(self) -> list[list[int]]:
        return [list(ids[1:]) for ids in self.shown]

    def arguments(self, on_event: OnEvent | None = None) -> AdmitArguments:
        """Return the arguments of `Decoding.admit`."""
        settings, prefixes = self.settings, self.prefixes
        new = settings.max_length or NEW_TOKENS
        stop: Stop | None = stopper(
            settings.stop, prefixes, self.tokenizer, self.before, self.heads
        )
        return {
            "inputs": {},
            "settings": replace(
                settings, max_length=None, max_length_ratio=0.0, max_length_extra=self.context
            ),
            "max_lengths": [min(len(prefix) + new, self.context) for prefix in prefixes],
            "prefixes": prefixes,
            "begins": [ids[0] for ids in self.shown],
            "stop": stop,
            "indices": list(self.indices),
            "counted": False,
            "before": self.before,
            "on_event": on_event,
        }


def _continuations(
    model: AnyModel | Drafted,
    requests: Sequence[DecodingRequest],
    tokenizer: TokenDecoder,
    on_event: OnEvent | None,
) -> list[list[DecodedText]]:
    """Return the n best continuations of each prompt, best first.

    When the context is full, only the n best draws are continued.
    """
    found = _within(model, requests, tokenizer, on_event)
    return [
        sorted(
            (
                _longer(
                    model, one, request, tokenizer, REPREFILL_SEED_STRIDE * ANSWER_STRIDE * rank
                )
                for rank, one in enumerate(several)
            ),
            key=lambda one: (not one.finished, -one.score),
        )
        for request, several in zip(requests, found, strict=True)
    ]


def _within(
    model: AnyModel | Drafted,
    requests: Sequence[DecodingRequest],
    tokenizer: TokenDecoder,
    on_event: OnEvent | None = None,
) -> list[list[DecodedText]]:
    """Decode until the context is full."""
    found: list[list[DecodedText]] = [[] for _ in requests]
    bare = [is_bare(tokenizer, one.prompt) for one in requests]
    for kind in sorted({*bare}):
        members = [place for place, own in enumerate(bare) if own == kind]
        group = [requests[place] for place in members]
        reads = reader(tokenizer, group[0].prompt)
        shown, settings = [one.shown for one in group], group[0].settings
        one_search = Continuing(
            shown=shown,
            settings=settings,
            tokenizer=reads,
            context=group[0].context,
            indices=[one.index for one in group],
            heads=[last_line(settings, ids, reads) for ids in shown],
        )
        answers = _searched(model, one_search, tokenizer, on_event)
        for place, request, head, prefix, several in zip(
            members, group, one_search.heads, one_search.prefixes, answers, strict=True
        ):
            found[place] = [
                decoded(one, len(prefix), settings, reads, head, request.truncated)
                for one in several
            ]
    return found


def _searched(
    model: AnyModel | Drafted,
    given: Continuing,
    tokenizer: TokenDecoder,
    on_event: OnEvent | None = None,
) -> list[list[Hypothesis]]:
    return search(
        model,
        **given.arguments(on_event),
        begin=tokenizer.begin_id,
        end=tokenizer.end_ids,
    )


def decoded(
    one: Hypothesis,
    given: int,
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    head: str | None,
    unread: int,
) -> DecodedText:
    """Return the answer that a hypothesis holds after its first `given` tokens."""
    return ended(
        one.tokens[given:],
        one.token_log_probabilities[given:],
        one.finished,
        settings,
        tokenizer,
        head,
        unread,
    )


def ended(
    tokens: list[int],
    each: list[float],
    finished: bool,
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    head: str | None,
    unread: int,
) -> DecodedText:
    """Return tokens as an answer, cut at its stop strings and ranked by its own length."""
    whole, total = tokenizer.decode(tokens), sum(each)
    text = cut_at(whole, settings.stop, head)
    finished = finished or text != whole
    score = total / max(1, len(each)) ** settings.length_penalty
    return DecodedText(trimmed(text, finished), tokens, total, score, each, finished, unread)


def _longer(
    model: AnyModel | Drafted,
    one: DecodedText,
    request: DecodingRequest,
    tokenizer: TokenDecoder,
    offset: int,
) -> DecodedText:
    """Continue an answer past the context, rereading its last half each time."""
    settings, context, new = request.settings, request.context, request.new_tokens
    shown, reads = request.shown, reader(tokenizer, request.prompt)
    head = last_line(settings, shown, reads)
    while not one.finished and len(one.tokens) < new:
        again = [*shown, *one.tokens][-(context // 2) :]
        left = remaining(
            replace(settings, n_best=1, samples=1, stop_at_dedent=False), new, len(one.tokens)
        )
        given = Continuing(
            shown=[fitting(again, left.max_length or 1, context)],
            settings=left,
            tokenizer=reads,
            context=context,
            indices=[request.index + offset + REPREFILL_SEED_STRIDE * len(one.tokens)],
            heads=[head],
            before=one.tokens,
        )
        ((more, *_),) = _searched(model, given, tokenizer)
        prefix = len(given.prefixes[0])
        part = decoded(more, prefix, left, reads, None, 0)
        one = ended(
            one.tokens + part.tokens,
            one.token_log_probabilities + part.token_log_probabilities,
            part.finished,
            settings,
            reads,
            head,
            one.unread,
        )
    return one
