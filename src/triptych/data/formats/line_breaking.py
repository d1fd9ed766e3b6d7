"""Cut a text into lines of a given width, as even as they can be."""

from __future__ import annotations

import unicodedata
from functools import cache

MOST_ATOMS = 400  # words of a cue; lines of more are filled one after the other
NOT_FIRST = "，。、；：？！）」』】》〉…～·”’％,.;:?!)]}%"  # a line may not begin with these
NOT_LAST = "（「『【《〈“‘([{"  # nor end with these


def balanced(text: str, width: int, least: int = 1, before: int = 0, after: int = 0) -> list[str]:
    """`text` (not empty) in the fewest lines of at most `width` characters, at least `least` where
    it has the words, as even as they can be. A word longer than a line stands alone. before, after:
    room that is taken in the first line and in the last.
    """
    atoms = _atoms(text)
    sizes = tuple((len(atom), gap) for atom, gap in atoms)
    # one that fits nowhere would break all others
    if max(size for size, _ in sizes) > width or len(atoms) > MOST_ATOMS:
        return _filled(atoms, width, before)
    # a space is not shown at a line's end
    fewest = -(-(sum(map(sum, sizes)) + before + after) // (width + 1))
    for count in range(min(max(least, fewest, 1), len(atoms)), len(atoms) + 1):
        ends, longest = _even(sizes, count, before, after)
        if longest <= width or count == len(atoms):
            return [
                _text(atoms[start:end]) for start, end in zip((0, *ends[:-1]), ends, strict=True)
            ]
    raise AssertionError("a line for each word is the most")


def _even(
    atoms: tuple[tuple[int, int], ...], count: int, before: int, after: int
) -> tuple[tuple[int, ...], int]:
    """Where each of `count` lines ends, so that the longest is shortest, then the squares of
    lengths least; and the longest.
    """

    @cache
    def best(start: int, left: int) -> tuple[int, int, tuple[int, ...]]:
        if left == 1:
            size = length(start, len(atoms)) + after
            return size, size * size, (len(atoms),)
        found = None
        for end in range(start + 1, len(atoms) - left + 2):
            size = length(start, end)
            longest, squares, ends = best(end, left - 1)
            one = (max(size, longest), size * size + squares, (end, *ends))
            if found is None or one < found:
                found = one
            if size > found[0]:
                break
        assert found is not None, "there are at least as many words as lines"
        return found

    totals = [0]
    for size, gap in atoms:
        totals.append(totals[-1] + size + gap)

    def length(start: int, end: int) -> int:
        return totals[end] - totals[start] - atoms[start][1] + (before if start == 0 else 0)

    longest, _, ends = best(0, count)
    return ends, longest


def _filled(atoms: list[tuple[str, int]], width: int, before: int) -> list[str]:
    """Line after line as full as it gets."""
    lines: list[list[tuple[str, int]]] = []
    room = width - before
    for atom, gap in atoms:
        if lines and room - gap - len(atom) >= 0:
            lines[-1].append((atom, gap))
            room -= gap + len(atom)
        else:
            lines.append([(atom, gap)])
            room = width - len(atom) - (before if len(lines) == 1 else 0)
    return [_text(line) for line in lines]


def _text(atoms: list[tuple[str, int]]) -> str:
    return "".join((" " if gap and place else "") + atom for place, (atom, gap) in enumerate(atoms))


def _atoms(text: str) -> list[tuple[str, int]]:
    """What a line may end after, and whether a space stands before it: words, and single characters
    of writing without spaces, each with the signs that must not be parted from it.
    """
    found: list[tuple[str, int]] = []
    for word in text.split():
        gap = 1
        for piece in _pieces(word):
            found.append((piece, gap if found else 0))
            gap = 0
    return found


def _pieces(word: str) -> list[str]:
    pieces: list[str] = []
    for character in word:
        if pieces and (
            character in NOT_FIRST
            or pieces[-1][-1] in NOT_LAST
            or not (is_spaceless(character) or is_spaceless(pieces[-1][-1]))
        ):
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def is_east(text: str) -> bool:
    """Whether most letters are of a writing without spaces."""
    letters = [character for character in text if character.isalpha()]
    return 2 * sum(map(is_spaceless, letters)) > len(letters)


def is_spaceless(character: str) -> bool:
    """A full-width character that is not Korean, which has spaces."""
    return (
        unicodedata.east_asian_width(character) in "WF" and not 0xAC00 <= ord(character) <= 0xD7A3
    )
