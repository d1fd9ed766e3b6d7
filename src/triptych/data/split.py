"""Splitting a set that comes in one piece so that no sentence stands on two sides."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence

from .example import Example

SHARES = {"test": 0.025, "validation": 0.025}


def sentence_key(text: str) -> str:
    """A sentence without case, signs and double spaces: what counts as the same sentence. One of
    signs alone stays as it is.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_SIGN.sub(_no_sign, folded.translate(_ASCII_SIGNS)).split()) or folded.strip()


_ASCII_SIGNS = str.maketrans(dict.fromkeys(string.punctuation, " "))  # the usual ones, fast
_SIGN = re.compile(r"[^\w\s]")


def _no_sign(found: re.Match[str]) -> str:
    """Vowel signs and accents (Unicode's marks) belong to their letter: without them Hindi or Thai
    words would fall together.
    """
    return found[0] if unicodedata.category(found[0])[0] == "M" else " "


def split_of(key: str, shares: Mapping[str, float] = SHARES) -> str:
    """The part that a sentence belongs to, by its hash alone: it never moves when a set grows."""
    point = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    for name, share in shares.items():
        if point < share:
            return name
        point -= share
    return "train"


def by_input(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Examples whose first input text (or passage, or first turn) is the same go to the same part;
    nothing is left out. Of so few that none would be left to learn from, none is held out.
    """
    parts: dict[str, list[Example]] = {"test": [], "validation": [], "train": []}
    for example in examples:
        texts = (value for value in example.inputs.values() if isinstance(value, str))
        # all questions on a passage stay together
        text = next(texts, "") if example.passage is None else example.passage
        if example.messages is not None:
            text = next((one["content"] for one in example.messages if one["role"] != "system"), "")
        parts[split_of(sentence_key(text))].append(example)
    return parts if parts["train"] else {"test": [], "validation": [], "train": list(examples)}


def by_source(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """All pairs of one source sentence go to the same part; repeated pairs go once; a training pair
    whose target stands in test or validation is left out, and so is a validation pair whose target
    stands in test.
    """
    parts: dict[str, dict[tuple[str, str], Example]] = {"test": {}, "validation": {}, "train": {}}
    for example in examples:
        key = sentence_key(example.source or ""), sentence_key(example.target or "")
        parts[split_of(key[0])].setdefault(key, example)  # the first of repeated pairs
    held: set[str] = set()
    found: dict[str, list[Example]] = {}
    for name, part in parts.items():
        found[name] = [example for (_, target), example in part.items() if target not in held]
        held |= {target for _, target in part} if name != "train" else set()
    return found
