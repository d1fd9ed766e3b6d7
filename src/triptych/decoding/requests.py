"""Requests to decode and decoded texts: the values between a task and the search.

A task describes what to decode as a `DecodingRequest`. `writing.decode` answers many of them and
`streaming.stream` one of them piece by piece, so that predictions, streams and a server take the
same steps. This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from .settings import DecodingSettings

NEW_TOKENS = 200  # the most tokens written after a prompt by default


class TokenDecoder(Protocol):
    """Decode ids; `end_ids` are all tokens that end an answer."""

    @property
    def begin_id(self) -> int: ...
    @property
    def end_ids(self) -> Sequence[int]: ...
    def decode(self, ids: Sequence[int], /) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingRequest:
    """Describe one text to write: the answer to a source, or the continuation of a prompt.

    Args:
        settings: The policy (greedy, beams or sampling), the limits and the stop strings.
        source: (S,) ids for the encoder; None for a decoder-only model.
        prompt: Ids that a decoder-only model continues, begin first, or the first token of a text
            if the tokenizer adds no begin. With a source, the tokens that its answer begins with,
            if these are not the begin token alone.
        context: Tokens that a decoder-only model reads at once. A longer prompt is cut at its
            beginning; a longer answer is continued after its last half has been read again.
        index: Identifies the request for sampling.
        unread: Prompt tokens that the task has left out already.
        strip: Remove white space before the first word of the answer.
    """

    settings: DecodingSettings
    source: np.ndarray | None = None
    prompt: Sequence[int] = ()
    context: int = 0
    index: int = 0
    unread: int = 0
    strip: bool = False

    @property
    def new_tokens(self) -> int:
        """Return the most tokens that a continuation may have."""
        return self.settings.max_length or NEW_TOKENS

    @property
    def shown(self) -> list[int]:
        """Return the prompt without the beginning that does not fit into the context."""
        return fitting(self.prompt, self.new_tokens, self.context)

    @property
    def truncated(self) -> int:
        """Return how many prompt tokens the model does not see."""
        return self.unread + len(self.prompt) - len(self.shown)

    def is_like(self, other: DecodingRequest) -> bool:
        """Tell whether both can be decoded in one batch: they differ in their ids alone."""
        return (
            self.settings == other.settings
            and self.context == other.context
            and (self.source is None) == (other.source is None)
            and (self.source is None or bool(self.prompt) == bool(other.prompt))
        )


@dataclass(frozen=True, slots=True)
class DecodedText:
    """Hold one answer.

    Args:
        text: Whole characters, cut before the first stop string.
        tokens: Ids without the prompt's.
        log_probability: Nats, end included.
        score: Ranks the answers.
        token_log_probabilities: Nats of each token, then of the end if it was written.
        finished: True if it ended by itself or at a stop string, not at the maximum length.
        unread: Tokens of the prompt that were dropped.
    """

    text: str
    tokens: list[int]
    log_probability: float
    score: float
    token_log_probabilities: list[float]
    finished: bool
    unread: int = 0


def fitting(prompt: Sequence[int], new: int, context: int) -> list[int]:
    """Return the end of a prompt, so that `new` tokens, or half a context, fit after it."""
    room = max(1, context - min(new, context // 2))
    return list(prompt[-room:]) if len(prompt) > room else list(prompt)


def remaining(settings: DecodingSettings, new: int, written: int) -> DecodingSettings:
    """Return the settings for the rest of an answer after `written` of `new` tokens."""
    return replace(
        settings, max_length=new - written, min_length=max(0, settings.min_length - written)
    )


def alike(requests: Sequence[DecodingRequest]) -> list[list[int]]:
    """Group the places of requests that can be decoded in one batch."""
    groups: list[list[int]] = []
    for place, one in enumerate(requests):
        for group in groups:
            if requests[group[0]].is_like(one):
                group.append(place)
                break
        else:
            groups.append([place])
    return groups
