"""Encode many texts by their words, each of which is cut into subwords once.

The library spends most of its time on finding the words of a text again. Here a pattern of Python
finds them. It is made of the characters that were met, each of which the library itself was asked
about, so the words are those of the library whatever the versions of Unicode.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence

import tokenizers

MOST_WORDS = 200_000  # that are remembered
LONGEST_WORD = 24  # characters; longer ones, like clauses of Chinese, hardly return
FEWEST_KNOWN = 0.5  # of the words of the texts so far: with fewer the library itself is faster
# A character of each class of `learning.WORDS`, to which another of the class is joined.
SAMPLES = {"east": "\u6f22", "letter": "a", "number": "1", "space": "\t"}


class KnownWords:
    """Remember the ids of words.

    splitter: finds the words of a text. encode: (texts) -> the ids of each. joins_signs: several
    signs are one word, as in code.
    """

    def __init__(
        self,
        splitter: tokenizers.pre_tokenizers.PreTokenizer,
        encode: Callable[[Sequence[str]], list[list[int]]],
        joins_signs: bool,
    ) -> None:
        self._splitter, self._encode, self._joins_signs = splitter, encode, joins_signs
        self._classes: dict[str, set[str]] = {name: set() for name in (*SAMPLES, "sign")}
        self._met = {"<"}
        self._pattern = re.compile("<")
        self._ids: dict[str, list[int]] = {}
        self._words = self._missed = 0
        self._lock = threading.Lock()

    @property
    def pays(self) -> bool:
        """Tell whether enough words return."""
        return self._missed <= FEWEST_KNOWN * self._words

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, as the library does."""
        if not self._lock.acquire(blocking=False):  # another thread changes what is remembered
            return self._encode(texts)
        try:
            return self._encoded(texts)
        finally:
            self._lock.release()

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        self._meet(set("".join(texts)))
        words = [*map(self._pattern.findall, texts)]
        ids = self._ids
        missing = list({word: None for found in words for word in found if word not in ids})
        self._words += sum(map(len, words))
        self._missed += len(missing)
        if len(ids) + len(missing) > MOST_WORDS:
            ids = self._ids = {word: ids[word] for found in words for word in found if word in ids}
        ids.update(zip(missing, self._encode(missing), strict=True))
        result = [[number for word in found for number in ids[word]] for found in words]
        for word in missing:
            if len(word) > LONGEST_WORD:
                del ids[word]
        return result

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


def _listed(characters: Iterable[str]) -> str:
    """Return characters as what stands between the brackets of a pattern, in ranges."""
    ranges: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
