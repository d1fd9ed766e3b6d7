"""Turn tokens into cells: what a page shows for each token, told apart from its neighbours."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..tasks.masked_words import GOES_ON

MOST_BYTES = 4  # bytes of one character in UTF-8


# Punctuation that follows a space and precedes none, and punctuation that precedes none.
OPENING, JOINING = "([{", "'’-/"


class PieceDecoder(Protocol):
    """Declare what a trace needs of a tokenizer."""

    begin_id: int
    end_id: int

    @property
    def end_ids(self) -> Sequence[int]: ...
    def decode(self, ids: Sequence[int], /) -> str: ...
    def pieces(self, ids: list[int]) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class TokenCell:
    """Hold one thing to show: a token, or the byte tokens that together make one character.

    Args:
        text: Exactly what it decodes to, "" for a special token.
        label: What to print.
        start: First character in the text, None for a special token.
        end: End of its characters, None for a special token.
        tokens: Places of its tokens in the sequence.
        pieces: Their raw forms, shown on demand.
    """

    text: str
    label: str
    start: int | None
    end: int | None
    tokens: tuple[int, ...]
    pieces: tuple[str, ...]


def cells(tokenizer: PieceDecoder, ids: Sequence[int]) -> list[TokenCell]:
    """Return tokens as cells: a run of byte tokens that makes one character becomes one cell.

    If the tokenizer drops spaces (WordPiece), words are set apart again as far as punctuation
    shows where.
    """
    raw, found, at, place = tokenizer.pieces(list(ids)), [], 0, 0
    keeps_spaces = getattr(tokenizer, "keeps_spaces", True)
    before = ""
    while at < len(ids):
        count, text = _whole(tokenizer.decode, list(ids[at : at + MOST_BYTES]))
        text = text if keeps_spaces else _apart(text, before)
        span = (place, place + len(text)) if text else (None, None)
        pieces = tuple(raw[at : at + count])
        found.append(
            TokenCell(
                text,
                _label(text, before) if text else pieces[0],
                *span,
                tuple(range(at, at + count)),
                pieces,
            )
        )
        before = text or before
        place += len(text)
        at += count
    return found


def _whole(decode: Callable[[Sequence[int]], str], ids: list[int]) -> tuple[int, str]:
    """Return how many of the first tokens make whole characters, and these characters."""
    for count in range(1, len(ids) + 1):
        text = decode(ids[:count])
        if "\ufffd" not in text:
            return count, text
    return 1, decode(ids[:1])


def _apart(text: str, before: str) -> str:
    """Return a piece of WordPiece as it reads after `before`.

    A continuation loses its mark, and a new word gets a space.
    """
    if text.startswith(GOES_ON) and text != GOES_ON:
        return text.removeprefix(GOES_ON)
    first, last = text[:1], before[-1:]
    begins = _in_word(first) or first.isdecimal() or first in (*OPENING,)
    return f" {text}" if begins and last and last not in (*OPENING, *JOINING) else text


def _label(text: str, before: str) -> str:
    """Return a text without its leading space.

    A dot marks a piece that continues an alphabetic word, and bare white space is made visible.
    """
    shown = text.strip()
    if not shown:
        return "".join({"\n": "⏎", "\t": "⇥"}.get(character, "␣") for character in text)
    # Invisible characters, like those that join emoji, are not allowed in SVG.
    if all(unicodedata.category(character) in ("Cf", "Cc") for character in shown):
        return " ".join(f"U+{ord(character):04X}" for character in shown)
    goes_on = _in_word(text[0]) and _in_word(before[-1:])
    return f"·{shown}" if goes_on else shown


def label_of(tokenizer: PieceDecoder, number: int, before: str = "") -> str:
    """Return what to print for one token after the text `before`.

    A part of a character and a special token are printed in their raw form.
    """
    text = tokenizer.decode([number])
    return _label(text, before) if text and "\ufffd" not in text else tokenizer.pieces([number])[0]


def labels_at(tokenizer: PieceDecoder, numbers: Sequence[int], before: str = "") -> list[str]:
    """Return what to print for tokens at one place; spaces are shown where two look alike."""
    return distinct_labels(
        [label_of(tokenizer, number, before) for number in numbers],
        [tokenizer.decode([number]) for number in numbers],
    )


def distinct_labels(labels: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return `labels` with a mark for the leading space of those that are the same."""
    counts = Counter(labels)
    return [f"␣{label}" if counts[label] > 1 and text[:1] == " " and text.strip() else label
            for label, text in zip(labels, texts, strict=True)]  # fmt: skip


def _in_word(character: str) -> bool:
    """Tell whether a letter's script writes spaces between words (below the East Asian blocks)."""
    return character.isalpha() and ord(character) < 0x2E80


def regroup(weights: np.ndarray, rows: list[TokenCell], columns: list[TokenCell]) -> np.ndarray:
    """Turn weights over tokens (L, H, T, S) into weights over cells.

    The weights that a cell receives are added up, and those that it gives are averaged.
    """
    summed = np.stack([weights[..., list(cell.tokens)].sum(-1) for cell in columns], -1)
    return np.stack([summed[..., list(cell.tokens), :].mean(-2) for cell in rows], -2).astype(
        np.float32
    )
