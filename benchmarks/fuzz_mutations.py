"""Damage files the way editors, exports, interrupted copies and other programs do.

Each mutation takes the bytes of a file and a random generator and gives other bytes. Those of lines
work on cells, columns and the order of lines; those of bytes know nothing of what the file holds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from fuzz_values import BYTES, NUMBERS, TEXTS

Mutation = Callable[[bytes, random.Random], bytes]

MOST = 3  # mutations of one file
LARGEST = 2_000_000  # bytes of a mutated file: time goes into many files, not into large ones


def encoded(text: str) -> bytes:
    """Give UTF-8 in which half a surrogate pair is written too, as some programs do."""
    return text.encode("utf-8", "surrogatepass")


def decoded(content: bytes) -> str:
    """Give a text of any bytes."""
    return content.decode("utf-8", "surrogateescape")


# Bytes --------------------------------------------------------------------------------------------


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randint(0, len(content))
    most = rng.choice((1, 4, 40, 400, 40_000))
    return start, min(len(content), start + rng.randint(0, most))


def flip(content: bytes, rng: random.Random) -> bytes:
    """Change single bits."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 30)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def delete(content: bytes, rng: random.Random) -> bytes:
    """Leave out a piece."""
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def duplicate(content: bytes, rng: random.Random) -> bytes:
    """Write a piece several times."""
    start, end = _span(content, rng)
    return content[:start] + content[start:end] * rng.choice((2, 2, 3, 50)) + content[end:]


def move(content: bytes, rng: random.Random) -> bytes:
    """Write a piece at another place."""
    start, end = _span(content, rng)
    rest = content[:start] + content[end:]
    place = rng.randint(0, len(rest))
    return rest[:place] + content[start:end] + rest[place:]


def truncate(content: bytes, rng: random.Random) -> bytes:
    """Cut the file off."""
    return content[: rng.randint(0, len(content))]


def insert(content: bytes, rng: random.Random) -> bytes:
    """Insert marks, controls, bytes that are no UTF-8, or odd texts."""
    for _ in range(rng.choice((1, 1, 3))):
        place = rng.choice((0, len(content), rng.randint(0, len(content))))
        piece = rng.choice((rng.choice(BYTES), encoded(rng.choice(TEXTS))))
        content = content[:place] + piece + content[place:]
    return content


def whole(content: bytes, rng: random.Random) -> bytes:
    """Replace or re-encode the whole file."""
    text = content.decode("utf-8", "replace")
    made: tuple[Callable[[], bytes], ...] = (
        lambda: b"",
        lambda: b"\n" * rng.choice((1, 1000)),
        lambda: b" \t\r\n",
        lambda: b"\x00" * rng.choice((1, 4096)),
        lambda: b"\xef\xbb\xbf",
        lambda: content + content,
        lambda: text.encode("utf-16"),
        lambda: text.encode("utf-16-le"),
        lambda: text.encode("latin-1", "replace"),
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content.replace(b"\n", b"\r"),
        lambda: content.replace(b"\n", b""),
        lambda: content.replace(b"\n", b"\n\n"),
        lambda: rng.randbytes(rng.choice((1, 100, 5000))),
    )
    return rng.choice(made)()


# Lines and cells ----------------------------------------------------------------------------------


def _separator(line: str) -> str:
    return max(("\t", ",", ";", " "), key=line.count)


def cell(content: bytes, rng: random.Random) -> bytes:
    """Put something odd in a cell, or exchange, delete, repeat cells of a line."""
    lines = decoded(content).split("\n")
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(lines))
        sign = _separator(lines[place])
        cells = lines[place].split(sign)
        here, there = rng.randrange(len(cells)), rng.randrange(len(cells))
        what = rng.randrange(6)
        if what == 0:
            cells[here], cells[there] = cells[there], cells[here]
        elif what == 1:
            del cells[here]
        elif what == 2:
            cells.insert(here, cells[there])
        else:
            cells[here] = rng.choice(TEXTS)
        lines[place] = sign.join(cells)
    return encoded_again("\n".join(lines))


def column(content: bytes, rng: random.Random) -> bytes:
    """Exchange, delete, repeat or fill a column of all lines; or change the sign between them."""
    lines = decoded(content).split("\n")
    sign = _separator(max(lines, key=len))
    here, there, what, filled = (
        rng.randrange(4),
        rng.randrange(4),
        rng.randrange(5),
        rng.choice(TEXTS),
    )
    other = rng.choice(("\t", ",", ";", " ", "  ", "|", "\x1f"))
    changed = []
    for line in lines:
        cells = line.split(sign)
        if what < 4 and len(cells) > max(here, there):
            if what == 0:
                cells[here], cells[there] = cells[there], cells[here]
            elif what == 1:
                del cells[here]
            elif what == 2:
                cells.insert(here, cells[there])
            else:
                cells[here] = filled
        changed.append((other if what == 4 else sign).join(cells))
    return encoded_again("\n".join(changed))


def order(content: bytes, rng: random.Random) -> bytes:
    """Repeat, delete, exchange, reverse or shuffle lines, or insert odd ones."""
    lines = decoded(content).split("\n")
    what, place, other = rng.randrange(8), rng.randrange(len(lines)), rng.randrange(len(lines))
    if what == 0:
        lines.insert(other, lines[place])
    elif what == 1:
        del lines[place]
    elif what == 2:
        lines[place], lines[other] = lines[other], lines[place]
    elif what == 3:
        lines = lines[::-1]
    elif what == 4:
        rng.shuffle(lines)
    elif what == 5:
        lines.insert(place, rng.choice(TEXTS))
    elif what == 6:
        lines[place] = lines[place] * rng.choice((2, 300))
    else:  # one line, very often
        lines[place:place] = [lines[other]] * rng.choice((3, 100, 2000))
    return encoded_again("\n".join(lines))


def number(content: bytes, rng: random.Random) -> bytes:
    """Replace a number by another, or turn a range round."""
    text = decoded(content)
    found = list(re.finditer(r"(\d+)(-(\d+))?", text))
    if not found:
        return content
    at = rng.choice(found)
    one = at[0]
    if at[2] and rng.random() < 0.5:
        new = f"{at[3]}-{at[1]}"
    else:
        new = rng.choice(NUMBERS).format(one, int(one[:9].split("-")[0]) + 1)
    return encoded_again(text[: at.start()] + new + text[at.end() :])


def encoded_again(text: str) -> bytes:
    """Give the bytes of `decoded`, with surrogates that were put in written as some programs do."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"".join(_character(one) for one in text)


def _character(one: str) -> bytes:
    escaped = "\udc80" <= one <= "\udcff"
    return one.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")


ANY: tuple[Mutation, ...] = (flip, delete, duplicate, move, truncate, insert, whole)
LINES: tuple[Mutation, ...] = (
    *ANY,
    cell,
    cell,
    cell,
    cell,
    column,
    column,
    order,
    order,
    number,
    number,
)


def mutated(content: bytes, mutations: tuple[Mutation, ...], rng: random.Random) -> bytes:
    """Give `content` after one to MOST of `mutations`."""
    for _ in range(rng.choice((1, 1, 2, MOST))):
        content = rng.choice(mutations)(content, rng)[:LARGEST]
    return content
