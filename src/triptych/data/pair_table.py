"""Keep many pairs as arrays instead of objects: texts in one buffer, their ends, their lines.

A million pairs take the bytes of their texts and 24 bytes more each; a million Examples take ten
times as much. Imports no torch.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from .example import Example

TOGETHER = 2048  # texts that are decoded in one go


class TextColumn(Sequence[str]):
    """Hold texts one after the other, in UTF-8."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._ends = array("q", [0])

    def append(self, text: str) -> None:
        """Add a text."""
        self._raw += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._raw))

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
        return self._raw[self._ends[number] : self._ends[number + 1]].decode(
            "utf-8", "surrogatepass"
        )


class PairTable(Sequence[Example]):
    """Hold pairs of one file, or of two aligned ones, as a sequence of Examples.

    An Example is made each time that it is read, so one that is changed does not change the table.

    Args:
        name: The file that places name ("train.en:17").
        languages: The codes of source and target.
    """

    def __init__(self, name: str, languages: tuple[str | None, str | None] = (None, None)) -> None:
        self.languages = languages
        self._name = name
        self._source, self._target, self._lines = TextColumn(), TextColumn(), array("q")
        self._rows: np.ndarray | None = None  # None: all

    def append(self, source: str, target: str, line: int) -> None:
        """Add a pair from line `line`."""
        assert self._rows is None, "a choice of pairs does not grow"
        self._source.append(source)
        self._target.append(target)
        self._lines.append(line)

    def take(self, rows: np.ndarray) -> PairTable:
        """Return the pairs of these numbers, which share the texts with this table."""
        found = PairTable(self._name, self.languages)
        found._source, found._target, found._lines = self._source, self._target, self._lines
        found._rows = rows if self._rows is None else self._rows[rows]
        return found

    def texts(self, side: str) -> Iterator[str]:
        """Yield the texts of "source" or "target"."""
        column = self._source if side == "source" else self._target
        return map(column.at, self._numbers())

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
        return f"{self._name}:{self._lines[number]}"

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
                f"{self._name}:{self._lines[number]}",
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


def place_of(examples: Sequence[Example], row: int) -> str:
    """Return the place of an Example by its number."""
    return examples.place(row) if isinstance(examples, PairTable) else examples[row].place
