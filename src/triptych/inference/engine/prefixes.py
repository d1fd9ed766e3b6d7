"""Keep the states of prompts, for later prompts that begin with the same tokens.

A system prompt is so read once for all chats, and a conversation only from its newest turn on. A
state is cut back to what two prompts have in common, which gives the state after reading just that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ...model.cache import TransformerState

LEAST = 16  # tokens that a prompt must share, for a copy of their state to be worth it


class Entry(NamedTuple):
    """Hold the tokens of a prompt and the state after them, of one row."""

    tokens: np.ndarray
    state: TransformerState


class PrefixCache:
    """Hold the states of the prompts that were used last, up to `most` tokens together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.entries: list[Entry] = []  # the one used last is last
        self.size = 0

    def find(self, tokens: Sequence[int]) -> tuple[int, TransformerState | None]:
        """Return how many of the first tokens are known, and a state of its own after them."""
        if not self.entries or len(tokens) < LEAST:
            return 0, None
        given = np.asarray(tokens, dtype=np.int64)
        shared = [common(given, entry.tokens) for entry in self.entries]
        place = max(range(len(shared)), key=lambda one: (shared[one], one))
        size = shared[place]
        if size < LEAST:
            return 0, None
        entry = self.entries[place]
        try:
            state = entry.state.truncate(torch.full_like(entry.state.lengths, size))
        except ValueError:  # its windows have forgotten what would be needed
            return 0, None
        self.entries.append(self.entries.pop(place))
        return size, state.compact()

    def add(self, tokens: Sequence[int], state: TransformerState) -> None:
        """Keep a state of one row, which must not be changed afterwards.

        A prompt that begins with an earlier one takes its place.
        """
        if not LEAST <= len(tokens) <= self.most:
            return
        given = np.asarray(tokens, dtype=np.int64)
        kept: list[Entry] = []
        for entry in self.entries:
            size = common(given, entry.tokens)
            if size == len(given):  # this one, or a longer one, is there already
                return
            if size < len(entry.tokens):
                kept.append(entry)
        self.entries = [*kept, Entry(given, state)]
        self.size = sum(len(entry.tokens) for entry in self.entries)
        while self.size > self.most:
            self.size -= len(self.entries.pop(0).tokens)


def common(a: np.ndarray, b: np.ndarray) -> int:
    """Return how many of the first tokens (N,) and (M,) are the same."""
    size = min(len(a), len(b))
    unlike = np.flatnonzero(a[:size] != b[:size])
    return int(unlike[0]) if len(unlike) else size
