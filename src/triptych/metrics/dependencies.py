"""Score parts of speech and dependency trees on given words as the CoNLL 2018 shared task does.

Zeman et al. 2018, section 5.1: every word counts, punctuation too; UAS compares the head, LAS head
and relation without its subtype (the part after ":"). On given words precision and recall are
equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import DataError

SIGNATURE = "CoNLL 2018|gold words|punctuation counts|subtypes do not"


class Tagged(NamedTuple):
    """Hold one sentence: upos, heads (0: the root) and relations, one for each word."""

    upos: Sequence[str]
    heads: Sequence[int]
    relations: Sequence[str]


def attachment(predicted: Sequence[Tagged | None], gold: Sequence[Tagged]) -> dict[str, float]:
    """Compute {"las", "uas", "upos"} in percent over all words.

    A sentence without a prediction (None) is wrong in every word. Raises DataError if a sentence's
    numbers of words differ, or if there is no word at all.
    """
    words, upos, heads, both = 0, 0, 0, 0
    for number, (one, right) in enumerate(zip(predicted, gold, strict=True), 1):
        words += len(right.heads)
        if one is None:
            continue
        if len(one.heads) != len(right.heads):
            raise DataError(
                f"Sentence {number} has {len(right.heads)} words but its prediction has "
                f"{len(one.heads)}; both must have the same words."
            )
        upos += sum(a == b for a, b in zip(one.upos, right.upos, strict=True))
        for place, head in enumerate(right.heads):
            if one.heads[place] == head:
                heads += 1
                both += universal(one.relations[place]) == universal(right.relations[place])
    if words == 0:
        raise DataError("There is no word to score: all sentences are empty.")
    return {"las": 100.0 * both / words, "uas": 100.0 * heads / words, "upos": 100.0 * upos / words}


def universal(relation: str) -> str:
    """Return the relation without its subtype: "acl:relcl" -> "acl"."""
    return relation.split(":", 1)[0]
