"""Encode many texts by their words, each of which is cut into subwords once.

The library spends most of its time on finding the words of a text again. Here a pattern of Python
finds them. It is made of the characters that were met, each of which the library itself was asked
about, so the words are those of the library whatever the versions of Unicode.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import tokenizers

from ..text_blocks import unpacked_ids

MOST_WORDS = 200_000  # that are remembered
LONGEST_WORD = 24  # characters; longer ones, like clauses of Chinese, hardly return
FEWEST_KNOWN = 0.5  # of the words of the texts so far: with fewer the library itself is faster
# A character of each class of `learning.WORDS`, to which another of the class is joined.
SAMPLES = {"east": "\u6f22", "letter": "a", "number": "1", "space": "\t"}


class WordPattern:
    """Find the words of texts, as the library does.

    splitter: finds the words of a text. joins_signs: several signs are one word, as in code.
    """

    def __init__(
        self, splitter: tokenizers.pre_tokenizers.PreTokenizer, joins_signs: bool = False
    ) -> None:
        self._splitter, self._joins_signs = splitter, joins_signs
        self._classes: dict[str, set[str]] = {name: set() for name in (*SAMPLES, "sign")}
        self._met = {"<"}
        self._pattern = re.compile("<")

    def words(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Return the words of each text."""
        self._meet(set("".join(texts)))
        return map(self._pattern.findall, texts)

    def _meet(self, characters: set[str]) -> None:
        """Add new characters to the pattern."""
        new = characters - self._met
        if not new:
            return
        for character in new:
            self._classes[self._class_of(character)].add(character)
        self._met |= new
        joined = {name: _listed(found) for name, found in self._classes.items()}
        parts = [
            "<",
            *(f" ?[{joined[name]}]+" for name in ("east", "letter", "number") if joined[name]),
            *([f" ?[{joined['sign']}]{'+' * self._joins_signs}"] if joined["sign"] else []),
            *([f"[{joined['space']}]+"] if joined["space"] else []),
        ]
        self._pattern = re.compile("|".join(parts))

    def _class_of(self, character: str) -> str:
        for name, sample in SAMPLES.items():
            if len(self._splitter.pre_tokenize_str(sample + character)) == 1:
                return name
        return "sign"


class _Numbers(dict[str, int]):
    """Number words as they are met. new: those that were met since it was emptied."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[str] = []
        self.next = 0

    def __missing__(self, word: str) -> int:
        self.new.append(word)
        self[word] = self.next
        self.next += 1
        return self.next - 1


class KnownWords:
    """Remember the ids of words.

    pattern: finds the words of texts. encode: (texts) -> the ids of each.
    """

    def __init__(
        self, pattern: WordPattern, encode: Callable[[Sequence[str]], list[list[int]]]
    ) -> None:
        self._pattern, self._encode = pattern, encode
        self._words = self._missed = 0
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._numbers = _Numbers()
        # The ids of all words, one after the other, and where those of each begin.
        self._ids, self._begins = array("I"), array("q", [0])

    @property
    def pays(self) -> bool:
        """Tell whether enough words return."""
        return self._missed <= FEWEST_KNOWN * self._words

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, as the library does."""
        found = self.encode_arrays(texts)
        return self._encode(texts) if found is None else unpacked_ids(*found)

    def encode_arrays(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the ids of all texts one after the other, and where those of each end.

        None while another thread changes what is remembered.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if len(self._begins) > MOST_WORDS:
                self._forget()
            return self._encoded(texts)
        finally:
            self._lock.release()

    def _encoded(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        words = [*self._pattern.words(texts)]
        ends = np.cumsum([0, *map(len, words)])
        flat = map(self._numbers.__getitem__, chain.from_iterable(words))
        numbers = np.fromiter(flat, np.int64, int(ends[-1]))
        self._learn()
        self._words += len(numbers)
        begins = np.frombuffer(self._begins, np.int64)
        sizes = np.diff(begins)[numbers]
        until = np.concatenate([[0], np.cumsum(sizes)])  # ids before each word
        places = np.arange(until[-1]) + np.repeat(begins[numbers] - until[:-1], sizes)
        return np.frombuffer(self._ids, np.uint32)[places], until[ends[1:]]

    def _learn(self) -> None:
        """Take the ids of the words that were met."""
        new, self._numbers.new = self._numbers.new, []
        try:
            found = self._encode(new) if new else []
        except BaseException:
            for word in new:
                del self._numbers[word]
            self._numbers.next -= len(new)
            raise
        for ids in found:
            self._ids.extend(ids)
            self._begins.append(len(self._ids))
        for word in new:
            if len(word) > LONGEST_WORD:
                del self._numbers[word]
        self._missed += len(new)


def _listed(characters: Iterable[str]) -> str:
    """Return characters as what stands between the brackets of a pattern, in ranges."""
    ranges: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
