"""Cut long inputs into overlapping windows that cover every token."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np


def starts(length: int, room: int, stride: int) -> list[int]:
    """Return the starts of windows of `room` tokens, `stride` apart, that cover `length` tokens.

    The last window ends at the last token.
    """
    assert 0 < stride <= room, "a stride longer than the window would skip tokens"
    if length <= room:
        return [0]
    count = 1 + math.ceil((length - room) / stride)
    return [min(number * stride, length - room) for number in range(count)]


def windows_of_text(ids: np.ndarray, *, window: int, stride: int) -> Iterator[tuple[np.ndarray]]:
    """Yield parts of `ids` of at most `window` - 2 tokens, which leaves room for begin and end."""
    for first in starts(len(ids), window - 2, min(stride, window - 2)):
        yield (ids[first : first + window - 2],)


def windows_of_pair(
    one: np.ndarray, other: np.ndarray, *, window: int, stride: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield parts of both texts, at most `window` - 3 tokens together, that cover every token.

    A text that takes less than half of the room is kept whole; else both advance together, each at
    the same share of its length.
    """
    room = window - 3
    if len(one) + len(other) <= room:
        yield one, other
        return
    half = room // 2
    if len(one) <= half:
        rooms = len(one), room - len(one)
    elif len(other) <= half:
        rooms = room - len(other), len(other)
    else:
        rooms = half, room - half
    places = [starts(len(ids), size, max(1, min(size, stride * size // window))) if size else [0]
              for ids, size in zip((one, other), rooms, strict=True)]  # fmt: skip
    count = max(map(len, places))
    for number in range(count):
        first, second = (
            place[round(number * (len(place) - 1) / (count - 1))] if count > 1 else 0
            for place in places
        )
        yield one[first : first + rooms[0]], other[second : second + rooms[1]]
