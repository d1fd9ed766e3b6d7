"""Break lines at spaces, and between Chinese characters, which have none.

Rich breaks at spaces alone, so that a Chinese sentence with one space leaves a line half empty.
"""

from __future__ import annotations

import itertools
import re
import shutil
import unicodedata

CLOSING = "，。、；：！？）」』》〉…"  # begin no line
OPENING = "（「『《〈"  # end no line
WIDE = "\u2e80-\u9fff\uff00-\uffef"
# What stays on one line: spaces; a mark as [必填]; one wide character; or a run of others.
UNITS = re.compile(rf" +|\[[{WIDE}]+\]?|[{OPENING}]*(?:[{WIDE}]|[^ {WIDE}]+)[{CLOSING}]*")


def cells(text: str) -> int:
    """Return the columns that a text takes on a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def units(line: str) -> list[str]:
    """Split a line where it may be broken."""
    return UNITS.findall(line)


def breaks(line: str, width: int) -> list[int]:
    """Return the places where a line is broken to fit into a width, in terminal cells."""
    found: list[int] = []
    place = used = 0
    for one in units(line):
        wide = cells(one)
        if used and not one.isspace() and used + wide > width:
            found.append(place)
            used = 0
        used += wide
        place += len(one)
    return found


def wrapped(text: str) -> str:
    """Break the lines of a text to the width of the terminal."""
    width = shutil.get_terminal_size().columns
    lines: list[str] = []
    for line in text.split("\n"):
        places = [0, *breaks(line, width), len(line)]
        lines += [line[a:b].rstrip() for a, b in itertools.pairwise(places)]
    return "\n".join(lines)
