"""Give each Example the class by which a set is stratified, and share out what is held out."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

from .example import Example
from .formats.bio import OUTSIDE, parts

BANDS = 10  # of numbers, equally many texts in each
# A class of so many texts has at least one in the part.
FEWEST = {"test": 4, "validation": 8}


def strata_of(examples: Sequence[Example]) -> list[str]:
    """Return the class of each Example: its label, or the band of its number.

    Of several labels, or kinds of tags in a sentence, the rarest of the set counts. An Example
    without any has the class "".
    """
    numbers = sorted(one.value for one in examples if one.value is not None)
    names = [_names(example) for example in examples]
    counts = Counter(name for each in names for name in each)
    found: list[str] = []
    for example, each in zip(examples, names, strict=True):
        if example.value is not None:
            found.append(str(bisect_left(numbers, example.value) * BANDS // len(numbers)))
        else:
            found.append(min(each, key=lambda name: (counts[name], name), default=""))
    return found


def _names(example: Example) -> set[str]:
    if example.label is not None:
        return {example.label}
    if example.labels is not None:
        return set(example.labels)
    return {parts(tag)[1] or tag for tag in example.tags or ()} - {OUTSIDE}


def allotted(sizes: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, dict[str, int]]:
    """Return for each part how many texts of each class are held out for it.

    The total is the share of all texts; every class has its share rounded down, and the texts that
    are missing come from the classes with the largest remainders (Hamilton's method). Then a class
    of at least FEWEST[part] texts gets one where it has none. Half of every class stays in
    training, or what the shares leave, if that is less, and always one text.

    Args:
        sizes: Class -> number of texts.
        shares: Part -> share of all texts.
    """
    found: dict[str, dict[str, int]] = {}
    whole = sum(shares.values())
    left = {
        name: min(size - 1, max(size // 2, math.floor(whole * size)))
        for name, size in sizes.items()
    }
    for part, share in shares.items():
        counts = {name: min(int(share * size), left[name]) for name, size in sizes.items()}
        missing = round(share * sum(sizes.values())) - sum(counts.values())
        # Of equal remainders the larger class comes first, then the order of names decides.
        for name in sorted(sizes, key=lambda one: (-(share * sizes[one] % 1), -sizes[one], one)):
            if missing > 0 and counts[name] < left[name]:
                counts[name] += 1
                missing -= 1
        for name, size in sizes.items():
            if not counts[name] and size >= FEWEST.get(part, 1) and left[name]:
                counts[name] = 1
        left = {name: left[name] - counts[name] for name in sizes}
        found[part] = counts
    return found
