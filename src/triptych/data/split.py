"""Split a set that comes in one piece so that no sentence is on two sides."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence

from .example import Example

SHARES = {"test": 0.025, "validation": 0.025}


def sentence_key(text: str) -> str:
    """Reduce a sentence to what identifies it: no case, punctuation or double spaces.

    A text of punctuation alone stays as it is.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_SIGN.sub(_no_sign, folded.translate(_ASCII_SIGNS)).split()) or folded.strip()


_ASCII_SIGNS = str.maketrans(dict.fromkeys(string.punctuation, " "))  # the common ones, fast
_SIGN = re.compile(r"[^\w\s]")


def _no_sign(found: re.Match[str]) -> str:
    """Drop a punctuation sign, but keep Unicode marks (vowel signs, accents).

    Marks belong to their letter: without them different Hindi or Thai words would become equal.
    """
    return found[0] if unicodedata.category(found[0])[0] == "M" else " "


def split_of(key: str, shares: Mapping[str, float] = SHARES) -> str:
    """Return the split of a sentence by its hash alone, so it never moves when a set grows."""
    point = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    for name, share in shares.items():
        if point < share:
            return name
        point -= share
    return "train"


def by_input(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Split Examples by their first input text, passage or first turn; equal ones stay together.

    Nothing is left out. If so few are given that none would be left for training, none is held out.
    """
    parts: dict[str, list[Example]] = {"test": [], "validation": [], "train": []}
    for example in examples:
        texts = (value for value in example.inputs.values() if isinstance(value, str))
        # All questions on a passage stay together.
        text = next(texts, "") if example.passage is None else example.passage
        if example.messages is not None:
            text = next((one["content"] for one in example.messages if one["role"] != "system"), "")
        parts[split_of(sentence_key(text))].append(example)
    return parts if parts["train"] else {"test": [], "validation": [], "train": list(examples)}


def by_source(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Split pairs by their source sentence, and drop repeated pairs and leaked targets.

    All pairs of one source go to the same split. A training pair whose target is in test or
    validation is left out, and so is a validation pair whose target is in test.
    """
    parts: dict[str, dict[tuple[str, str], Example]] = {"test": {}, "validation": {}, "train": {}}
    for example in examples:
        key = sentence_key(example.source or ""), sentence_key(example.target or "")
        parts[split_of(key[0])].setdefault(key, example)  # keeps the first of repeated pairs
    held: set[str] = set()
    found: dict[str, list[Example]] = {}
    for name, part in parts.items():
        found[name] = [example for (_, target), example in part.items() if target not in held]
        held |= {target for _, target in part} if name != "train" else set()
    return found
