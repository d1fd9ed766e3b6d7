"""Cut words into pieces, pieces into overlapping windows, and merge windows into one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..data.segmentation.words import Words
from ..data.tokenizers.subwords import Tokenizer

MOST_PIECES = 32  # read of a word; a longer one keeps its first and its last
MOST_CHARACTERS = 256  # of a word that are cut into pieces at once


class WordWindow(NamedTuple):
    """Describe a window: words [first, last) of `words`.

    unseen: tokens of its text that no window holds.
    """

    first: int
    last: int
    words: Words
    unseen: int


def spelt(
    text: str, words: Words, tokenizer: Tokenizer, room: int, spaces: bool, settled: bool
) -> tuple[list[list[int]], int]:
    """Return each word's pieces, at least one, and how many tokens are left out.

    A word is encoded on its own, with a space before it where the text has one (or always: spaces),
    and at the text's beginning. room: tokens that a window has for words. settled: a word is always
    tokenised alike, so the result is kept.
    """
    known: dict[str, list[int]] = {}
    found: list[list[int]] = []
    unseen, most = 0, min(MOST_PIECES, room)
    for start, end in words:
        word = text[start:end]
        spelling = (" " if spaces or start == 0 or text[start - 1].isspace() else "") + word
        pieces = known.get(spelling) if settled else None
        if pieces is None:
            # An imported tokenizer may drop a character.
            pieces = known[spelling] = _pieces(spelling, tokenizer) or [tokenizer.end_id]
        if len(pieces) > most:
            unseen += len(pieces) - most
            pieces = [*pieces[: most - most // 2], *pieces[len(pieces) - most // 2 :]]
        found.append(pieces)
    return found, unseen


def _pieces(spelling: str, tokenizer: Tokenizer) -> list[int]:
    """Encode a very long word in parts: a merge over 10,000 characters carries no meaning."""
    return [
        number
        for at in range(0, len(spelling), MOST_CHARACTERS)
        for number in tokenizer.encode(spelling[at : at + MOST_CHARACTERS])
    ]


def hidden(
    pieces: list[list[int]], chance: float, mask: int, generator: np.random.Generator
) -> list[list[int]]:
    """Return each word's pieces, or the mask alone in their place with probability `chance`."""
    hides = generator.random(len(pieces)) < chance
    return [[mask] if hide else one for one, hide in zip(pieces, hides.tolist(), strict=True)]


def windows(counts: Sequence[int], room: int, stride: int) -> list[tuple[int, int]]:
    """Return [first, last) words of each window.

    counts: pieces of each word. room: pieces in a window. stride: pieces from one start to the
    next.
    """
    ends = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    first = 0
    found: list[tuple[int, int]] = []
    while not found or found[-1][1] < len(counts):
        last = int(ends.searchsorted(int(ends[first]) + room, "right")) - 1
        # The next word is long, so this window would add nothing new.
        if found and last == found[-1][1]:
            first += 1
            continue
        found.append((first, last))
        ahead = int(ends.searchsorted(int(ends[first]) + stride))
        first = min(max(ahead, first + 1), last)
    return found


def central(parts: Sequence[tuple[WordWindow, np.ndarray]]) -> np.ndarray:
    """Return (W, L): each word's scores from the window where it is nearest the middle.

    Only borders that cut the text count.
    """
    parts = sorted(parts, key=lambda part: part[0].first)
    whole = len(parts[0][0].words)
    scores, best = np.zeros((whole, parts[0][1].shape[1])), np.full(whole, -1)
    for place, values in parts:
        number = np.arange(place.first, place.last)
        left = number - place.first if place.first else np.full(len(number), whole)
        right = place.last - 1 - number if place.last < whole else np.full(len(number), whole)
        inside = np.minimum(left, right)
        better = inside > best[number]
        scores[number[better]], best[number[better]] = values[better], inside[better]
    return scores
