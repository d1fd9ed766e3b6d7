"""Cut sentences into parts that fit the window, and parts into pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.batches.encoded import Encoded
from ..data.segmentation.sentences import split_sentences, split_words
from ..data.tokenizers.subwords import Tokenizer

HEAD_PIECES = 3 / 4  # share of a long word's pieces that come from its beginning


@dataclass(frozen=True, slots=True)
class SentencePart:
    """Describe the part of a text that an Encoded holds.

    words: [start, end) in the text. sentence: its number. goes_on: True unless it is the sentence's
    first part. unseen: pieces of words too long to be read whole.
    """

    words: list[tuple[int, int]]
    sentence: int
    goes_on: bool
    unseen: int


def pieces_of(
    text: str, word: tuple[int, int], tokenizer: Tokenizer, most: int
) -> tuple[list[int], int]:
    """Return a word's pieces, and how many are left out.

    The space before the word is included. A word keeps at most `most` pieces, from its beginning
    and its end.
    """
    start, end = word
    space = " " if start > 0 and text[start - 1].isspace() else ""
    ids = tokenizer.encode(space + text[start:end]) or [tokenizer.end_id]
    if len(ids) <= most:
        return ids, 0
    first = max(1, int(most * HEAD_PIECES))
    return ids[:first] + ids[len(ids) - (most - first) :], len(ids) - most


def parts_of(text: str, given: list[tuple[int, int]] | None, tokenizer: Tokenizer, window: int,
           word_pieces: int) -> Iterator[tuple[SentencePart, list[list[int]]]]:  # fmt: skip
    """Yield parts of a text that fit the window, with the pieces of their words.

    given: the words of the text, which are one sentence; None: sentences and words are found by
    rule.
    """
    spans = [(0, len(text))] if given is not None else split_sentences(text)
    number = 0
    for start, end in spans:
        words = (
            given
            if given is not None
            else [(start + a, start + b) for a, b in split_words(text[start:end])]
        )
        words, goes_on = [(a, b) for a, b in words if 0 <= a < b <= len(text)], False
        while words:
            pieces: list[list[int]] = []
            unseen, total = 0, 2
            for word in words:
                ids, left_out = pieces_of(text, word, tokenizer, word_pieces)
                if total + len(ids) > window:
                    break
                pieces.append(ids)
                unseen, total = unseen + left_out, total + len(ids)
            count = len(pieces) if len(pieces) == len(words) else _cut(text, words[: len(pieces)])
            yield SentencePart(words[:count], number, goes_on, unseen), pieces[:count]
            words, goes_on = words[count:], given is not None
            number += given is None


def _cut(text: str, words: Sequence[tuple[int, int]]) -> int:
    """Return after how many of the fitting words a sentence that is too long is cut.

    That is after a punctuation mark in their second half, else at the end.
    """
    for count in range(len(words), len(words) // 2, -1):
        start, end = words[count - 1]
        if not any(character.isalnum() for character in text[start:end]):
            return count
    return len(words)


def encode_part(
    part: SentencePart, pieces: Sequence[Sequence[int]], tokenizer: Tokenizer
) -> Encoded:
    """Encode the pieces of a part, with the places where words start."""
    source = [tokenizer.begin_id, *(piece for word in pieces for piece in word), tokenizer.end_id]
    starts = [0, *(int(place == 0) for word in pieces for place in range(len(word))), 0]
    return Encoded(
        {
            "source": np.array(source, dtype=np.int64),
            "word_starts": np.array(starts, dtype=np.int64),
        },
        metadata=part,
    )
