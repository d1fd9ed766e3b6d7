"""Choose how a run writes conversations: by forms of its own, or by a published template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from ..data.templates.published import TEXT
from ..data.tokenizers.subwords import Tokenizer
from .published_turns import PublishedTurns
from .task import Labels
from .turns import ChatTemplate, Turn


class Talk(Protocol):
    """Hold a conversation that is cut to a context."""

    @property
    def learnable(self) -> int:
        """Count the tokens that the model learns to write, ends of turns included."""
        ...

    def prompt(self) -> tuple[list[int], int]:
        """Return the prompt for the next answer, and how many tokens were left out."""
        ...

    def windows(self) -> list[tuple[list[int], list[int]]]:
        """Return (ids, targets) of windows to learn from; NONE is no target."""
        ...


class Template(Protocol):
    """Turn messages into ids. `tags` are special tokens that the tokenizer must hold."""

    tags: list[str]

    def conversation(
        self,
        messages: Sequence[Mapping[str, str]],
        tokenizer: Tokenizer,
        context: int,
        tools: str | None = None,
    ) -> Talk:
        """Return the messages as a conversation, to be cut to `context` tokens."""
        ...

    def answer(
        self, messages: Sequence[Mapping[str, str]], text: str, tokenizer: Tokenizer
    ) -> Turn:
        """Return an answer to `messages`, where their prompt ends."""
        ...


def template_of(labels: Labels) -> Template:
    """Return the template that a run's labels describe."""
    forms: dict[str, str] = labels["template"]
    return _published(tuple(sorted(forms.items()))) if TEXT in forms else ChatTemplate(forms)


@lru_cache(maxsize=8)
def _published(forms: tuple[tuple[str, str], ...]) -> PublishedTurns:
    return PublishedTurns(dict(forms))
