"""Compute ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004, sections 2 and 3.1) of texts in any script.

Tokens are runs of letters and digits in lower case; in a script without spaces each character is
one, so that Chinese and Japanese are counted by characters. F1 of an n-gram's counts, or of the
longest common subsequence. ASCII texts score as with the package rouge-score without stemming. Of
several references each metric takes the best.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from ..errors import DataError

ORDERS = (1, 2)
NAMES = ("rouge1", "rouge2", "rougeL")
# Chinese and Japanese letters; Thai, Lao, Burmese and Khmer ones
_UNSPACED = (
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U000323af"
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e50-\u0e59\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u0ed0-\u0edf"
    "\u1000-\u102a\u103f-\u1055\u1780-\u17b3\u17e0-\u17e9"
)
_FULL_WIDTH = {number: number - 0xFEE0 for number in range(0xFF01, 0xFF5F)}


@dataclass(frozen=True, slots=True)
class RougeScore:
    """Hold a value from 0 to 100, and how it was computed."""

    value: float
    signature: str


def rouge(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, RougeScore]:
    """Compute rouge1, rouge2 and rougeL, the means of F1 over the texts.

    references: one or several for each text. Raises DataError if there is nothing to score or a
    text has no reference.
    """
    if len(hypotheses) != len(references):
        raise DataError(
            f"There are {len(hypotheses)} answers but references for {len(references)}; both must "
            "have the same texts."
        )
    if not references or not all(references):
        raise DataError("There is nothing to score: a text has no reference.")
    sums = [0.0] * len(NAMES)
    for hypothesis, several in zip(hypotheses, references, strict=True):
        for place, value in enumerate(rouge_of(hypothesis, several)):
            sums[place] += value
    counts = {len(several) for several in references}
    number = str(counts.pop()) if len(counts) == 1 else "var"
    how = (
        f"nrefs:{number}|{'' if number == '1' else 'best:each|'}case:lc|stem:no|"
        "tok:words-and-unspaced-characters"
    )
    return {
        name: RougeScore(100.0 * total / len(references), f"ROUGE-{name[5:]}-F1|{how}")
        for name, total in zip(NAMES, sums, strict=True)
    }


def rouge_of(hypothesis: str, references: Sequence[str]) -> tuple[float, ...]:
    """Return F1, 0 to 1, of one text in the order of NAMES, each the best over its references."""
    return _best(hypothesis, tuple(references))


@lru_cache(maxsize=1 << 15)  # a bootstrap scores the same texts a thousand times
def _best(hypothesis: str, references: tuple[str, ...]) -> tuple[float, ...]:
    own = tokens(hypothesis)
    grams = {order: ngrams(own, order) for order in ORDERS}
    found = []
    for reference in references:
        wanted = tokens(reference)
        shared = [_overlap(grams[order], ngrams(wanted, order)) for order in ORDERS]
        found.append((*shared, f1(longest_common(own, wanted), len(own), len(wanted))))
    return tuple(max(values) for values in zip(*found, strict=True))


def tokens(text: str) -> list[str]:
    """Split a text into ROUGE's tokens: words in lower case, or characters with their marks."""
    return _token().findall(unicodedata.normalize("NFC", text.translate(_FULL_WIDTH)).lower())


@cache
def _token() -> re.Pattern[str]:
    r"""Compile the pattern of a token; marks, which \w lacks, belong to the letter before."""
    marks = "".join(
        chr(number)
        for number in range(0x300, sys.maxunicode + 1)
        if unicodedata.category(chr(number))[0] == "M"
    )
    return re.compile(rf"[{_UNSPACED}][{marks}]*|(?:(?![{_UNSPACED}])[^\W_][{marks}]*)+")


def ngrams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """Count every run of `order` tokens."""
    return Counter(zip(*(words[first:] for first in range(order)), strict=False))


def _overlap(one: Counter[tuple[str, ...]], other: Counter[tuple[str, ...]]) -> float:
    return f1((one & other).total(), one.total(), other.total())


def f1(shared: int, own: int, wanted: int) -> float:
    """Compute F1 from the counts of two texts; 0 if one of them is empty."""
    return 2 * shared / (own + wanted) if shared else 0.0


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    A row of the table is kept in the bits of one number (Hyyrö 2004).
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(one)) - 1
    row = whole
    for word in other:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & whole
    return len(one) - row.bit_count()
