"""Keep many pairs as arrays instead of objects: texts in one buffer, their ends, their lines.

A million pairs take the bytes of their texts and 24 bytes more each; a million Examples take ten
times as much. Imports no torch.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from . import text_blocks
from .example import Example

TOGETHER = 2048  # texts that are decoded in one go


class TextColumn(Sequence[str]):
    """Hold texts one after the other, in UTF-8.

    raw, ends: the texts to begin with, as `text_blocks.packed` gives them.
    """

    def __init__(self, raw: bytes = b"", ends: bytes = b"") -> None:
        self._raw = bytearray(raw)
        self._ends = array("q", [0])
        self._ends.frombytes(ends)

    def append(self, text: str) -> None:
        """Add a text."""
        self._raw += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._raw))

    def extend(self, texts: Sequence[str]) -> None:
        """Add texts."""
        raw, ends = text_blocks.packed(texts)
        before = len(self._raw)
        self._raw += raw
        self._ends.frombytes((np.frombuffer(ends, np.int64) + before).tobytes())

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.at(index % len(self))

    def at(self, number: int) -> str:
        """Return a text by its number from 0."""
        return self.raw(number).decode("utf-8", "surrogatepass")

    def raw(self, number: int) -> bytearray:
        """Return the bytes of a text by its number from 0."""
        return self._raw[self._ends[number] : self._ends[number + 1]]

    def packed(self, first: int, last: int) -> list[bytes]:
        """Return the texts with the numbers [first, last) as `text_blocks.packed` does."""
        ends = np.frombuffer(self._ends, np.int64)[first : last + 1]
        begin, end = int(ends[0]), int(ends[-1])
        return [bytes(self._raw[begin:end]), (ends[1:] - begin).tobytes()]


class PairTable(Sequence[Example]):
    """Hold pairs of one file, or of two aligned ones, as a sequence of Examples.

    An Example is made each time that it is read, so one that is changed does not change the table.

    Args:
        name: The file that places name ("train.en:17").
        languages: The codes of source and target.
    """

    def __init__(self, name: str, languages: tuple[str | None, str | None] = (None, None)) -> None:
        self.name, self.languages = name, languages
        self._source, self._target, self._lines = TextColumn(), TextColumn(), array("q")
        self._rows: np.ndarray | None = None  # None: all

    def append(self, source: str, target: str, line: int) -> None:
        """Add a pair from line `line`."""
        assert self._rows is None, "a choice of pairs does not grow"
        self._source.append(source)
        self._target.append(target)
        self._lines.append(line)

    def extend(self, sources: Sequence[str], targets: Sequence[str], lines: Sequence[int]) -> None:
        """Add pairs from lines."""
        assert self._rows is None, "a choice of pairs does not grow"
        self._source.extend(sources)
        self._target.extend(targets)
        self._lines.extend(lines)

    def take(self, rows: np.ndarray) -> PairTable:
        """Return the pairs of these numbers, which share the texts with this table."""
        found = PairTable(self.name, self.languages)
        found._source, found._target, found._lines = self._source, self._target, self._lines
        found._rows = rows if self._rows is None else self._rows[rows]
        return found

    def texts(self, side: str) -> Iterator[str]:
        """Yield the texts of "source" or "target"."""
        column = self._source if side == "source" else self._target
        return map(column.at, self._numbers())

    def packed(self, side: str, first: int, last: int) -> list[bytes]:
        """Return the texts of a side of the rows [first, last) as `text_blocks.packed` does."""
        column = self._source if side == "source" else self._target
        if self._rows is None:
            return column.packed(first, last)
        raw = [column.raw(number) for number in self._rows[first:last].tolist()]
        return [b"".join(raw), np.cumsum([*map(len, raw)], dtype=np.int64).tobytes()]

    def parts(self, first: int, last: int) -> list[bytes]:
        """Return the rows [first, last) as `of_parts` takes them."""
        rows = np.frombuffer(self._lines, np.int64)
        lines = rows[first:last] if self._rows is None else rows[self._rows[first:last]]
        sides = [self.packed(side, first, last) for side in ("source", "target")]
        return [*sides[0], *sides[1], lines.tobytes()]

    @classmethod
    def of_parts(
        cls, name: str, languages: tuple[str | None, str | None], parts: Sequence[bytes]
    ) -> PairTable:
        """Return the table of the rows that `parts` gave."""
        found = cls(name, languages)
        found._source, found._target = TextColumn(*parts[:2]), TextColumn(*parts[2:4])
        found._lines.frombytes(parts[4])
        return found

    def place(self, row: int) -> str:
        """Return the place of a pair by its number from 0."""
        return self._place(self._number(row))

    def _numbers(self) -> Iterator[int]:
        if self._rows is None:
            yield from range(len(self._lines))
            return
        for first in range(0, len(self._rows), TOGETHER):
            yield from self._rows[first : first + TOGETHER].tolist()

    def _number(self, row: int) -> int:
        return row if self._rows is None else int(self._rows[row])

    def _place(self, number: int) -> str:
        return f"{self.name}:{self._lines[number]}"

    def _example(self, number: int) -> Example:
        source, target = self.languages
        return Example(
            self._source.at(number), self._target.at(number), source, target, self._place(number)
        )

    def __len__(self) -> int:
        return len(self._lines if self._rows is None else self._rows)

    def __iter__(self) -> Iterator[Example]:
        source, target = self.languages
        for number in self._numbers():
            yield Example(
                self._source.at(number),
                self._target.at(number),
                source,
                target,
                f"{self.name}:{self._lines[number]}",
            )

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> PairTable: ...

    def __getitem__(self, index: int | slice) -> Example | PairTable:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(index)
        return self._example(self._number(row))

    def __eq__(self, other: object) -> bool:
        """Compare with any sequence of Examples."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            one == two for one, two in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Sequence[Example]) -> Sequence[Example]:
        """Return this table's pairs, then those of another sequence."""
        if isinstance(other, PairTable) and other._source is self._source:
            every = np.arange(len(self._lines))
            rows = [every if one._rows is None else one._rows for one in (self, other)]
            whole = self.take(np.empty(0, dtype=np.int64))
            whole._rows = np.concatenate(rows)
            return whole
        return [*self, *other]


def chosen(examples: Sequence[Example], rows: np.ndarray) -> Sequence[Example]:
    """Return the Examples of these numbers, as a table where they are one."""
    if isinstance(examples, PairTable):
        return examples.take(rows)
    return [examples[row] for row in rows.tolist()]


def values_of(examples: Sequence[Example], field: str) -> Iterable[object]:
    """Return the values of a field; of a table its column, or one value that all rows have."""
    if not isinstance(examples, PairTable):
        return [getattr(one, field) for one in examples]
    if field in ("source", "target"):
        return examples.texts(field)
    source, target = examples.languages
    languages = {"source_language": source, "target_language": target}
    return [languages.get(field)] if len(examples) else []


def packed_blocks(examples: Sequence[Example], sides: Sequence[str]) -> Iterator[list[bytes]]:
    """Yield the texts of the sides of some Examples at a time, packed, one side after the other."""
    for first in range(0, len(examples), text_blocks.TOGETHER):
        last = min(first + text_blocks.TOGETHER, len(examples))
        if isinstance(examples, PairTable):
            found = [examples.packed(side, first, last) for side in sides]
        else:
            block = examples[first:last]
            found = [text_blocks.packed([str(getattr(one, side) or "") for one in block])
                     for side in sides]  # fmt: skip
        yield [part for parts in found for part in parts]


def lengths_of(examples: Sequence[Example], side: str) -> np.ndarray:
    """Return the characters of a side of each Example: (examples,) int64."""
    found = [np.empty(0, dtype=np.int64)]
    for raw, ends in packed_blocks(examples, (side,)):
        begins = (np.frombuffer(raw, np.uint8) & 0xC0) != 0x80  # of characters
        counts = np.concatenate([[0], np.cumsum(begins, dtype=np.int64)])[
            np.frombuffer(ends, np.int64)
        ]
        found.append(np.diff(counts, prepend=0))
    return np.concatenate(found)


def place_of(examples: Sequence[Example], row: int) -> str:
    """Return the place of an Example by its number."""
    return examples.place(row) if isinstance(examples, PairTable) else examples[row].place
