"""Break a text into lines of a given width, as even as possible."""

from __future__ import annotations

import unicodedata
from functools import cache

MOST_ATOMS = 400  # words of a cue; longer texts are filled line by line
NOT_FIRST = "，。、；：？！）」』】》〉…～·”’％,.;:?!)]}%"  # a line may not begin with these
NOT_LAST = "（「『【《〈“‘([{"  # a line may not end with these


def balanced(text: str, width: int, least: int = 1, before: int = 0, after: int = 0) -> list[str]:
    """Break `text` (not empty) into the fewest lines of at most `width` characters, evenly.

    A word longer than a line is a line of its own.

    Args:
        text: The text.
        width: The most characters of a line.
        least: The fewest lines, if the text has as many words.
        before: Room that is taken in the first line, in characters.
        after: Room that is taken in the last line, in characters.
    """
    atoms = _atoms(text)
    sizes = tuple((len(atom), gap) for atom, gap in atoms)
    # A word that fits nowhere would make all other breaks worse.
    if max(size for size, _ in sizes) > width or len(atoms) > MOST_ATOMS:
        return _filled(atoms, width, before)
    # A space at a line's end is not shown.
    fewest = -(-(sum(map(sum, sizes)) + before + after) // (width + 1))
    for count in range(min(max(least, fewest, 1), len(atoms)), len(atoms) + 1):
        ends, longest = _even(sizes, count, before, after)
        if longest <= width or count == len(atoms):
            return [
                _text(atoms[start:end]) for start, end in zip((0, *ends[:-1]), ends, strict=True)
            ]
    raise AssertionError("one line for each word always suffices")


def _even(
    atoms: tuple[tuple[int, int], ...], count: int, before: int, after: int
) -> tuple[tuple[int, ...], int]:
    """Return the end of each of `count` lines, and the length of the longest line.

    The longest line is as short as possible, then the sum of squared lengths is least.
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
    """Fill line after line."""
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
    """Return the units that a line may end after, and the spaces (0 or 1) before them.

    They are words, and single characters of scripts without spaces, each with the punctuation that
    must stay beside it.
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
    """Tell whether most letters belong to a script without spaces."""
    letters = [character for character in text if character.isalpha()]
    return 2 * sum(map(is_spaceless, letters)) > len(letters)


def is_spaceless(character: str) -> bool:
    """Tell whether a character is full-width and not Korean, which is written with spaces."""
    return (
        unicodedata.east_asian_width(character) in "WF" and not 0xAC00 <= ord(character) <= 0xD7A3
    )
