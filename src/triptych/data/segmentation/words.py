"""Split raw text into words by Unicode character classes, close to UAX #29 and to treebanks.

Letters with their marks are a word, with apostrophes and hyphens inside as far as treebanks keep
them; a number keeps its signs ("3.5", "1,000", "10:30"); "U.S.", "e.g." and web addresses stay
whole; English contractions are two words ("do n't", "it 's"). Chinese and Japanese are written
without spaces: by these rules each of their characters is a word, and a trained model does better
(`tasks/tagging.py`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from ...errors import DataError, unknown

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

Words = list[tuple[int, int]]
RULES = ("unicode", "characters", "spaces")
_EAST = r"\p{Han}\p{Hiragana}\p{Katakana}\x{30FC}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[[\p{{L}}\p{{M}}\p{{Nd}}\p{{Pc}}]&&[^{_EAST}]]"
_KINDS = [
    # A web address.
    r"(?:https?://|www\.)[^\s<>\"]*[^\s<>\".,;:!?)\]'\x{201D}\x{2019}\x{3002}\x{FF0C}]",
    # A mail address; bounded, so that time stays linear.
    r"[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]{1,64}(?:\.[A-Za-z0-9-]{1,64})+",
    r"[@#][\p{L}\p{N}_]+",  # a name or a hashtag
    r"\p{Regional_Indicator}{2}",  # a flag
    r"\p{Extended_Pictographic}[\x{FE0F}\x{1F3FB}-\x{1F3FF}]*(?:\x{200D}\p{Extended_Pictographic}[\x{FE0F}\x{1F3FB}-\x{1F3FF}]*)*",
    r"(?:\p{L}\.){2,}",  # U.S.
    r"(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Prof|Gen|Rep|Sen|Gov|Inc|Ltd|Corp|Co|vs|No)\.(?=\s+\S)",
    r"\p{Nd}+(?:[.,:/\x{2019}]\p{Nd}+)*(?![\p{L}\p{Nd}])",  # 1,000.5
    # "do n't".
    rf"(?i:can)(?=not\b)|{_LETTER}{{1,20}}?(?=(?i:n['\x{{2019}}]t)(?!\p{{L}}))|(?i:n['\x{{2019}}]t)(?!\p{{L}})",
    r"['\x{2019}](?i:s|m|re|ve|ll|d)(?!\p{L})",  # it 's
    rf"{_LETTER}+(?:['\x{{2019}}](?!(?i:s|m|re|ve|ll|d)(?!\p{{L}})){_LETTER}+|-{_LETTER}+)*",
    rf"[{_EAST}]\p{{M}}*",
    r"\.{2,}|-{2,}|\x{2014}+|\x{2026}+|([!?])\1*|``|''",
    r"\S\p{M}*",
]


@cache
def _pattern() -> PreTokenizer:
    import tokenizers
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Split(tokenizers.Regex("|".join(_KINDS)), "isolated")


def expression(rules: str) -> str | None:
    """Return what finds a word by a rule, as an expression of the library tokenizers.

    None for words at white space, and for those that a trained run finds.
    """
    return {"unicode": "|".join(_KINDS), "characters": r"\S"}.get(rules)


def split(text: str, rules: str = "unicode") -> Words:
    """Return [start, end) characters of each word; together they cover all but white space.

    rules: "unicode", "characters" (each one a word) or "spaces" (split at white space only).
    """
    if rules not in RULES:
        raise unknown("rule for words", rules, RULES)
    if rules == "characters":
        return [
            (place, place + 1) for place, character in enumerate(text) if not character.isspace()
        ]
    if rules == "spaces":
        return [found.span() for found in re.finditer(r"\S+", text)]
    try:
        pieces = _pattern().pre_tokenize_str(text)
    except (TypeError, UnicodeEncodeError):
        raise DataError(
            f"{text[:40]!a} ... holds half a character (a lone surrogate), which no text file can "
            "hold."
        ) from None
    return [place for piece, place in pieces if not piece.isspace()]


def check(words: Words, text: str, place: str = "") -> None:
    """Raise DataError if `words` are not in order, overlap, are empty or exceed `text`."""
    before = (-1, 0)
    for start, end in words:
        # Words of one token may share its place.
        if not (before[1] <= start < end <= len(text) or (start, end) == before):
            where = f"{place}: " if place else ""
            raise DataError(
                f"{where}the word [{start}, {end}) is not valid: words are [first, last) "
                f"characters of the text ({len(text)} characters), in order, and do not overlap."
            )
        before = start, end
