"""Read, repair and convert spans that are written as one tag for each word: BIO and BIOES.

BIO is from Ramshaw & Marcus 1995. A tag is "O", or a letter and a type: "B-PER" begins a span and
"I-PER" continues it; in BIOES "E-" ends a span and "S-" is a span of one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

Scheme = Literal["bio", "bioes", "plain"]
OUTSIDE = "O"
_TAG = re.compile(r"([BIES])-(\S(?:.*\S)?)")


def is_tag(tag: str) -> bool:
    return tag == OUTSIDE or _TAG.fullmatch(tag) is not None


def scheme_of(tags: Iterable[str]) -> Scheme:
    """Return the scheme of a set of tags: plain where no tag begins or continues a span."""
    letters = {tag[0] for tag in tags if _TAG.fullmatch(tag)}
    if not letters & {"B", "I", "S"}:
        return "plain"
    return "bioes" if letters & {"E", "S"} else "bio"


def parts(tag: str) -> tuple[str, str]:
    """Split "B-PER" into ("B", "PER"); a tag outside all spans gives ("O", "")."""
    found = _TAG.fullmatch(tag)
    return (found[1], found[2]) if found else (OUTSIDE, "")


def follows(before: str | None, after: str | None, scheme: Scheme) -> bool:
    """Tell whether `after` may follow `before`; None is the border of the sentence."""
    if scheme == "plain":
        return True
    left, left_type = parts(before) if before is not None else (OUTSIDE, "")
    right, right_type = parts(after) if after is not None else (OUTSIDE, "")
    if scheme == "bio":
        return right != "I" or (left in "BI" and left_type == right_type)
    if left in "BI":  # an open span must go on
        return right in "IE" and left_type == right_type
    return right not in "IE"


def broken(tags: Sequence[str], scheme: Scheme) -> list[int]:
    """Return the places of tags that cannot follow the tag before them.

    The number of tags is among them if the last tag leaves a span open.
    """
    line: list[str | None] = [None, *tags, None]
    return [
        place for place in range(len(tags) + 1) if not follows(line[place], line[place + 1], scheme)
    ]


def spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return (type, first word, word after the last) of each span, read as conlleval reads them.

    A tag that continues no span begins one.
    """
    found: list[tuple[str, int, int]] = []
    start, kind, before = 0, "", OUTSIDE
    for place, tag in enumerate([*tags, OUTSIDE]):
        letter, now = parts(tag)
        goes_on = letter in "IE" and before in "BI" and now == kind
        if before != OUTSIDE and not goes_on:
            found.append((kind, start, place))
        if letter != OUTSIDE and not goes_on:
            start, kind = place, now
        before = letter
    return found


def written(found: Iterable[tuple[str, int, int]], length: int, scheme: Scheme) -> list[str]:
    """Write the tags of `length` words with these spans."""
    tags = [OUTSIDE] * length
    for kind, first, last in found:
        tags[first:last] = [f"B-{kind}", *[f"I-{kind}"] * (last - first - 1)]
        if scheme == "bioes":
            tags[last - 1] = f"{'E' if last - first > 1 else 'S'}-{kind}"
    return tags


def converted(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Convert spans to another scheme, repairing broken ones; plain tags stay as they are."""
    return list(tags) if scheme == "plain" else written(spans(tags), len(tags), scheme)
