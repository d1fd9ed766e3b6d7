"""What is to be decoded, and what comes of it: the values between a task and the search.

A task says what is to be decoded as a `DecodingRequest`; `writing.decode` answers many of them and
`streaming.stream` one of them piece by piece, so that predictions, streams and a server take the
same steps. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from .settings import DecodingSettings

NEW_TOKENS = 200  # written after a prompt where nothing else is asked for


class TokenDecoder(Protocol):
    """What decoding needs of a tokenizer. end_ids: all tokens that end an answer."""

    @property
    def begin_id(self) -> int: ...
    @property
    def end_ids(self) -> Sequence[int]: ...
    def decode(self, ids: Sequence[int], /) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingRequest:
    """One text to write: the answer to a source, or the continuation of a prompt.

    Args:
        settings: The policy (greedy, beams or sampling), the limits and the stop strings.
        source: (S,) ids for the encoder; None for a decoder-only model.
        prompt: Ids that a decoder-only model continues: begin first, or the first token of a text
            before which its tokenizer puts none. Empty where there is a source.
        context: Tokens that a decoder-only model reads at once; a longer prompt loses its
            beginning, and a longer answer is continued after rereading its last half.
        index: Identifies the request where sampling draws.
        unread: Prompt tokens that the task left out before.
        strip: Whether white space before the first word is no part of the answer.
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
        """The most tokens that a continuation may have."""
        return self.settings.max_length or NEW_TOKENS

    @property
    def shown(self) -> list[int]:
        """The prompt, without the beginning that does not fit into the context."""
        return fitting(self.prompt, self.new_tokens, self.context)

    @property
    def truncated(self) -> int:
        """Prompt tokens that the model does not see."""
        return self.unread + len(self.prompt) - len(self.shown)

    def is_like(self, other: DecodingRequest) -> bool:
        """Whether both can be decoded in one batch: they differ in nothing but their ids."""
        return (
            self.settings == other.settings
            and self.context == other.context
            and (self.source is None) == (other.source is None)
        )


@dataclass(frozen=True, slots=True)
class DecodedText:
    """One answer.

    Args:
        text: Whole characters, without a stop string and what follows it.
        tokens: Ids without the prompt's.
        log_probability: Nats, the end included.
        score: By which answers are ranked.
        token_log_probabilities: Nats of each token, then of the end where it was written.
        finished: Whether it ended by itself or at a stop string, not at the maximum length.
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
    """Return so much of the prompt's end that `new` tokens, or half a context of them, fit after
    it.
    """
    room = max(1, context - min(new, context // 2))
    return list(prompt[-room:]) if len(prompt) > room else list(prompt)


def remaining(settings: DecodingSettings, new: int, written: int) -> DecodingSettings:
    """Return the settings of what is still to be written after `written` of `new` tokens."""
    return replace(
        settings, max_length=new - written, min_length=max(0, settings.min_length - written)
    )


def alike(requests: Sequence[DecodingRequest]) -> list[list[int]]:
    """Return the places of `requests`, those that can be decoded in one batch together."""
    groups: list[list[int]] = []
    for place, one in enumerate(requests):
        for group in groups:
            if requests[group[0]].is_like(one):
                group.append(place)
                break
        else:
            groups.append([place])
    return groups
