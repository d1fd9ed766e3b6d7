"""Keep encoded examples as flat arrays of ids instead of objects. Imports no torch."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from .encoded import AXES, Encoded

TOGETHER = 1 << 14  # pieces whose arrays are joined to one


@dataclass(slots=True)
class _Flat:
    """Hold one array of many pieces: their ids one after the other, and where each ends."""

    ids: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> _Flat:
        return cls.packed(np.concatenate(arrays), np.cumsum([0, *map(len, arrays)]))

    @classmethod
    def packed(cls, whole: np.ndarray, ends: np.ndarray) -> _Flat:
        """Keep ids in the smallest type that holds them."""
        least, most = (int(whole.min()), int(whole.max())) if len(whole) else (0, 0)
        kinds = (np.uint16, np.int32)
        kind = next((one for one in kinds if np.iinfo(one).min <= least and
                     most <= np.iinfo(one).max), np.int64)  # fmt: skip
        return cls(whole.astype(kind, copy=False), ends)

    def row(self, number: int, kind: np.dtype) -> np.ndarray:
        return self.ids[int(self.ends[number]) : int(self.ends[number + 1])].astype(kind)


class EncodedTable(Sequence[list[Encoded]]):
    """Hold what each example was encoded to, which may be several pieces.

    Pieces are kept flat where all have the same arrays, of whole numbers in one dimension, and
    nothing else; a piece with anything more, like features or offsets, is kept as it is. A piece
    is made each time that it is read, so one that is changed does not change the table.
    """

    def __init__(self) -> None:
        self._ends = array("q", [0])  # of each example, in pieces
        self._names: tuple[list[str], list[str]] | None = None
        self._kinds: list[np.dtype] = []
        self._pending: list[list[np.ndarray]] = []
        self._groups: list[list[_Flat]] = []  # by group of pieces, then by array
        self._firsts: list[int] = []  # the first piece of each group
        self._kept: dict[int, Encoded] = {}
        self._unseen: dict[int, int] = {}
        self._examples = array("q")  # of each piece

    def append(self, pieces: Sequence[Encoded]) -> None:
        """Add what an example was encoded to."""
        for one in pieces:
            self._add(one)
        self._ends.append(len(self._examples))

    def _add(self, one: Encoded) -> None:
        arrays = [*one.inputs.values(), *one.targets.values()]
        is_flat = one.offsets is None and one.metadata is None and not one.begins
        if is_flat and self._names is None and all(_is_ids(each) for each in arrays):
            self._names, self._kinds = ([*one.inputs], [*one.targets]), [a.dtype for a in arrays]
        if (
            is_flat
            and self._names is not None
            and [*one.inputs] == self._names[0]
            and [*one.targets] == self._names[1]
            and [each.dtype for each in arrays] == self._kinds
            and all(each.ndim == 1 for each in arrays)
        ):
            self._pending.append(arrays)
            if one.unseen:
                self._unseen[len(self._examples)] = one.unseen
        else:
            self._kept[len(self._examples)] = one
            self._pending.append([np.empty(0, dtype=kind) for kind in self._kinds])
        self._examples.append(one.index)
        if len(self._pending) == TOGETHER:
            self._join()

    def _join(self) -> None:
        """Make one array of the pending ones of each name."""
        if not self._pending:
            return
        whole = [one for one in self._pending if len(one) == len(self._kinds)]
        if len(whole) < len(self._pending):  # kept before the first flat one
            empty = [np.empty(0, dtype=kind) for kind in self._kinds]
            self._pending = [one or empty for one in self._pending]
        self._firsts.append(len(self._examples) - len(self._pending))
        self._groups.append([_Flat.of(each) for each in zip(*self._pending, strict=True)])
        self._pending = []

    def to_parts(self) -> list[bytes] | None:
        """Return what `of_parts` takes; None if a piece is kept as it is."""
        self._join()
        if self._kept:
            return None
        header = {"names": self._names, "kinds": [str(one) for one in self._kinds],
                  "unseen": [*self._unseen.items()], "firsts": self._firsts,
                  "arrays": [[str(flat.ids.dtype) for flat in group]
                             for group in self._groups]}  # fmt: skip
        flats = [flat for group in self._groups for flat in group]
        arrays = [raw.tobytes() for flat in flats for raw in (flat.ids, flat.ends)]
        own = [self._ends.tobytes(), self._examples.tobytes()]
        return [json.dumps(header).encode(), *own, *arrays]

    @classmethod
    def of_arrays(
        cls, names: tuple[list[str], list[str]], arrays: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> EncodedTable:
        """Return a table of examples of one piece each.

        names: of inputs and targets. arrays: of each, the ids of all pieces one after the other,
        and where those of each end.
        """
        found, count = cls(), len(arrays[0][1])
        if count:
            found._names, found._kinds = names, [ids.dtype for ids, _ in arrays]
            found._firsts = [0]
            found._groups = [[_Flat.packed(ids, np.append(0, ends)) for ids, ends in arrays]]
        found._ends = array("q", range(count + 1))
        found._examples = array("q", range(count))
        return found

    @classmethod
    def of_parts(cls, parts: Sequence[bytes]) -> EncodedTable:
        """Return the table that `to_parts` was given for."""
        found, header = cls(), json.loads(parts[0])
        found._ends, found._examples = array("q", parts[1]), array("q", parts[2])
        found._names = header["names"] and (header["names"][0], header["names"][1])
        found._kinds = [np.dtype(kind) for kind in header["kinds"]]
        found._unseen, found._firsts = dict(header["unseen"]), header["firsts"]
        pending = iter(parts[3:])
        found._groups = [
            [
                _Flat(np.frombuffer(next(pending), kind), np.frombuffer(next(pending), np.int64))
                for kind in kinds
            ]
            for kinds in header["arrays"]
        ]
        return found

    def extend(self, other: EncodedTable) -> None:
        """Add the examples of another table after those of this one."""
        is_alike = (other._names, other._kinds) == (self._names, self._kinds)
        if self._kept or other._kept or not (is_alike or self._names is None):
            for number in range(len(other)):
                pieces = other[number]
                for one in pieces:
                    one.index += len(self) - number
                self.append(pieces)
            return
        self._join()
        other._join()
        before, examples = len(self._examples), len(self)
        self._names, self._kinds = other._names, other._kinds
        self._firsts += [first + before for first in other._firsts]
        self._groups += other._groups
        self._unseen |= {number + before: count for number, count in other._unseen.items()}
        self._examples.extend(number + examples for number in other._examples)
        self._ends.extend(end + before for end in other._ends[1:])

    def longest(self, name: str) -> int:
        """Return the length of the longest array `name` ("source" or "target"), 0 without any."""
        self._join()
        kept = [len(one.inputs[name]) for one in self._kept.values() if name in one.inputs]
        return max([0, *kept, *(int(each.max()) for each in self._sizes(name) if len(each))])

    @property
    def lengths(self) -> np.ndarray:
        """Return the input tokens of each piece: (pieces,)."""
        self._join()
        found = np.zeros(len(self._examples), dtype=np.int64)
        for name in AXES:
            sizes = self._sizes(name)
            found += np.concatenate(sizes) if sizes else 0
        for number, one in self._kept.items():
            found[number] = one.length
        return found

    def _sizes(self, name: str) -> list[np.ndarray]:
        """Return the lengths of the input `name` of the pieces of each group, if there is one."""
        if self._names is None or name not in self._names[0]:
            return []
        place = self._names[0].index(name)
        return [np.diff(group[place].ends) for group in self._groups]

    @property
    def empty(self) -> list[int]:
        """Return the numbers of the examples that gave no piece."""
        return np.flatnonzero(np.diff(self._ends) == 0).tolist()

    @property
    def unseen(self) -> list[int]:
        """Return the tokens that were left out of each example of which any were."""
        kept = {number: one.unseen for number, one in self._kept.items() if one.unseen}
        counts: dict[int, int] = {}
        for number, count in sorted((self._unseen | kept).items()):
            counts[self._examples[number]] = counts.get(self._examples[number], 0) + count
        return list(counts.values())

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> list[Encoded]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[Encoded]]: ...

    def __getitem__(self, index: int | slice) -> list[Encoded] | list[list[Encoded]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(index)
        return [self._piece(number) for number in range(self._ends[row], self._ends[row + 1])]

    def _piece(self, number: int) -> Encoded:
        kept = self._kept.get(number)
        if kept is not None:
            return kept
        assert self._names is not None, "a piece is flat or kept"
        self._join()
        group = bisect_right(self._firsts, number) - 1
        row = number - self._firsts[group]
        columns = zip(self._groups[group], self._kinds, strict=True)
        arrays = [flat.row(row, kind) for flat, kind in columns]
        inputs, targets = self._names
        return Encoded(
            dict(zip(inputs, arrays, strict=False)),
            dict(zip(targets, arrays[len(inputs) :], strict=True)),
            self._examples[number],
            unseen=self._unseen.get(number, 0),
        )


def _is_ids(values: np.ndarray) -> bool:
    return values.ndim == 1 and values.dtype.kind in "iu"
