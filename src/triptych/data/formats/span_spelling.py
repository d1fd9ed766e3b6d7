"""Recognise other ways to write the tags of spans, and read them as BIO or BIOES.

BILOU (L ends a span, U is a span of one word), BMES and BMEWO (M continues one, W is one of one
word); another sign between letter and type (B_PER, B:PER), the type first (PER-B), lower case
(b-per).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from . import bio

# The letters of all schemes, and how BIO and BIOES write them. No two schemes contradict each
# other, so the scheme itself need not be known.
LETTERS: Mapping[str, str] = {
    "B": "B",
    "I": "I",
    "M": "I",  # BMES: middle
    "E": "E",
    "L": "E",  # BILOU: last
    "S": "S",
    "U": "S",  # BILOU: unit
    "W": "S",  # BMEWO: whole
}
BEGINNING = frozenset("BISUW")  # letters that can begin a span; I does in IOB1
SIGNS = "-_:"
_LOOSE_SIGNS = "-_:./|+=~#"


@dataclass(frozen=True)
class SpanSpelling:
    """Describe how letter and type are written: sign between them, type first, lower case."""

    sign: str = "-"
    is_type_first: bool = False
    is_lower: bool = False

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        letters = "".join(LETTERS).lower() if self.is_lower else "".join(LETTERS)
        letter, sign = f"(?P<letter>[{letters}])", re.escape(self.sign)
        kind = r"(?P<kind>\S(?:.*\S)?)"
        return re.compile(f"{kind}{sign}{letter}" if self.is_type_first else letter + sign + kind)

    def parts(self, tag: str) -> tuple[str, str] | None:
        """Return the letter, a capital, and the type; None if the tag is written otherwise."""
        found = self._pattern.fullmatch(tag)
        return None if found is None else (found["letter"].upper(), found["kind"])

    def is_outside(self, tag: str) -> bool:
        return tag == bio.OUTSIDE or (self.is_lower and tag == bio.OUTSIDE.lower())

    def read(self, tag: str) -> str:
        """Return a tag as BIO and BIOES write it; one that does not fit as it is."""
        if self.is_outside(tag):
            return bio.OUTSIDE
        found = self.parts(tag)
        return tag if found is None else f"{LETTERS[found[0]]}-{found[1]}"


USUAL = SpanSpelling()
# Tried in this order after the usual one.
OTHERS = tuple(
    SpanSpelling(sign, is_type_first, is_lower)
    for is_type_first in (False, True)
    for is_lower in (False, True)
    for sign in SIGNS
    if SpanSpelling(sign, is_type_first, is_lower) != USUAL
)


def spelling_of(tags: Collection[str]) -> SpanSpelling | None:
    """Return how a file's tags write spans; None where they are not read as spans.

    Tags that BIO and BIOES already know decide alone, so that an odd one among them is an error.
    Any other spelling must fit all tags, O among them.
    """
    if bio.scheme_of(tags) != "plain" or _fits(USUAL, tags):
        return USUAL
    if set(tags) == {bio.OUTSIDE.lower()}:  # a small part without any span
        return SpanSpelling(is_lower=True)
    return next((one for one in OTHERS if _fits(one, tags)), None)


def _fits(spelling: SpanSpelling, tags: Collection[str]) -> bool:
    inside = [tag for tag in tags if not spelling.is_outside(tag)]
    found = [spelling.parts(tag) for tag in inside]
    return (
        len(inside) < len(tags)
        and all(found)
        and any(one is not None and one[0] in BEGINNING for one in found)
    )


def renamed(tags: Iterable[str]) -> dict[str, str]:
    """Return each tag of a file that BIO and BIOES write differently -> how they write it."""
    kinds = sorted(set(tags))
    spelling = spelling_of(kinds)
    if spelling is None:
        return {}
    return {tag: read for tag in kinds if (read := spelling.read(tag)) != tag}


def described(names: Mapping[str, str]) -> str:
    """Describe renamed tags in a few words, with one tag for each letter."""
    shown: dict[str, str] = {}
    for tag, read in names.items():
        shown.setdefault(read[0], f"{tag} as {read}")
    return ", ".join(shown[letter] for letter in "BIESO" if letter in shown)


def doubt(counts: Counter[str]) -> str | None:
    """Return a sentence on tags that look like spans and are not read as spans, else None.

    counts: how often each tag of a file occurs.
    """
    if bio.scheme_of(counts) != "plain":
        return None
    effect = "are learnt one by one, without entities and span F1"
    if pair := _begin_and_inside(counts):
        return (
            f"plain tags: {pair[0]} and {pair[1]} look like spans, but not all tags are written "
            f"so; they {effect}. Write them as B-TYPE, I-TYPE and O."
        )
    if {"B", "O"} <= set(counts) <= {*LETTERS, "O"} or {"B", "E", "S"} <= set(counts) <= {*LETTERS}:
        return (
            f"plain tags: {', '.join(sorted(counts))} have no type; they {effect}. Write B-TYPE, "
            "I-TYPE and O for spans, or, if they mark words of a text without spaces, one word a "
            'line with task.unit = "character".'
        )
    if any(re.fullmatch(r"\(\S+\*\)?", tag) for tag in counts) and "*" in counts:
        return f"plain tags: brackets like (PER* {effect}. Write B-TYPE, I-TYPE and O."
    return None


def io_notice(counts: Counter[str]) -> str | None:
    """Return a sentence on types without a letter beside O, which do not tell spans apart."""
    types = sorted(set(counts) - {bio.OUTSIDE})
    if (
        not types
        or bio.scheme_of(counts) != "plain"
        or counts[bio.OUTSIDE] < max(counts.values())
        or not counts[bio.OUTSIDE]
    ):
        return None
    named = f"{', '.join(types[:3])}{', ...' if len(types) > 3 else ''}"
    return (
        f"plain tags: {named} beside O are learnt one by one, without entities and span F1. Write "
        f"B-{types[0]} and I-{types[0]} for spans."
    )


def _begin_and_inside(tags: Collection[str]) -> tuple[str, str] | None:
    """Return a tag that seems to begin a span, and one of the same type that goes on with it."""
    known = {tag.upper(): tag for tag in tags}
    for tag in sorted(known):
        first, last = tag[:1], tag[-1:]
        if first == "B" and len(tag) > 2 and (other := f"I{tag[1:]}") in known:
            return known[tag], known[other]
        if (
            last == "B"
            and len(tag) > 2
            and tag[-2] in _LOOSE_SIGNS
            and (other := f"{tag[:-1]}I") in known
        ):
            return known[tag], known[other]
    return None
