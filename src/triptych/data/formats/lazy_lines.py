"""Keep the lines of a file as its bytes, and decode them as they are read.

A list of a million lines takes three times the memory of the file. Imports no torch.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

TOGETHER = 2048  # lines that are decoded in one go
PIECE_BYTES = 1 << 22


class LazyLines(Sequence[str]):
    """Hold the lines of UTF-8 text, without their ends.

    raw: ends with the last line's text or its line end.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._returns = b"\r" in raw
        found = [
            np.flatnonzero(np.frombuffer(raw[begin : begin + PIECE_BYTES], np.uint8) == 10) + begin
            for begin in range(0, len(raw), PIECE_BYTES)
        ]
        last = [] if not raw or raw.endswith(b"\n") else [len(raw)]
        self._ends = np.concatenate([*found, np.array(last, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), TOGETHER):
            yield from self._between(first, min(first + TOGETHER, len(self)))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            if step != 1:
                return [self[number] for number in range(first, last, step)]
            return self._between(first, last) if last > first else []
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(index)
        return self._between(number, number + 1)[0]

    def _between(self, first: int, last: int) -> list[str]:
        begin = int(self._ends[first - 1]) + 1 if first else 0
        lines = self._raw[begin : int(self._ends[last - 1])].decode("utf-8").split("\n")
        return [line.removesuffix("\r") for line in lines] if self._returns else lines


def is_plain(raw: bytes) -> bool:
    """Tell whether nothing of a file has to be mended or refused: it is UTF-8 without marks.

    A file without line feeds is left to others, because carriage returns may end its lines.
    """
    return b"\n" in raw and b"\0" not in raw and b"\xef\xbb\xbf" not in raw and is_utf8(raw)


def is_utf8(raw: bytes) -> bool:
    """Tell whether bytes are UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for begin in range(0, len(raw), PIECE_BYTES):
            decoder.decode(raw[begin : begin + PIECE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
