"""Shorten labels to their space so that two that differ are still told apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

DOTS = "…"
BEFORE = 3  # characters shown before the first difference


def shortened(labels: Sequence[str], most: int) -> list[str]:
    """Return each label in at most `most` characters, white space as single spaces.

    A long label loses its middle, because names often differ at the end. If several become the
    same, each shows the part where it differs from the others, and a number is the last resort.
    """
    whole = [" ".join(label.split()) or label for label in labels]
    found = [middle_cut(label, most) for label in whole]
    for several in _alike(found, whole):
        first = _first_difference([whole[place] for place in several])
        for place in several:
            found[place] = _from(whole[place], max(1, first - BEFORE), most)
    for several in _alike(found, whole):
        for number, place in enumerate(several, 1):
            found[place] = f"{found[place]} ({number})"
    return found


def middle_cut(label: str, most: int) -> str:
    """Return a label in at most `most` characters, without its middle if it is longer."""
    if len(label) <= most:
        return label
    end = (most - 1) // 2
    return f"{label[: most - 1 - end]}{DOTS}{label[len(label) - end :]}"


def _alike(shown: Sequence[str], whole: Sequence[str]) -> list[list[int]]:
    """Return the places of labels that are printed alike though they differ, in groups."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(shown):
        places[text].append(place)
    return [several for several in places.values() if len({whole[place] for place in several}) > 1]


def _first_difference(labels: Sequence[str]) -> int:
    shortest = min(len(label) for label in labels)
    for place in range(shortest):
        if len({label[place] for label in labels}) > 1:
            return place
    return shortest


def _from(label: str, start: int, most: int) -> str:
    rest = label[start:]
    return DOTS + (rest if len(rest) < most else f"{rest[: most - 2]}{DOTS}")
