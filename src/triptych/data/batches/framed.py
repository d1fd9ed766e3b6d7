"""Make encoded pairs of the ids of many texts at once, without an object for each.

Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .encoded_table import EncodedTable

Ids = tuple[np.ndarray, np.ndarray]  # of all texts one after the other, and where those of each end


@dataclass(frozen=True, slots=True)
class Frame:
    """Hold the tokens around the ids of a pair's texts, the same for all pairs.

    source = before_source ids after_source; target = begin ids; tokens = the same without the first
    of `begin`, and then `end`.
    """

    before_source: list[int]
    after_source: list[int]
    begin: list[int]
    end: int


def framed(
    sources: Ids, targets: Ids, frame: Frame, longest: int
) -> tuple[EncodedTable, np.ndarray]:
    """Return the encoded pairs, and (pairs,) bool: which have no side of more than `longest`."""
    arrays = [
        _around(sources, frame.before_source, frame.after_source),
        _around(targets, frame.begin, []),
        _around(targets, frame.begin[1:], [frame.end]),
    ]
    sizes = [np.diff(ends, prepend=0) for _, ends in arrays]
    kept = (sizes[0] <= longest) & (sizes[1] <= longest)
    if not kept.all():
        arrays = [
            (ids[np.repeat(kept, each)], np.cumsum(each[kept]))
            for (ids, _), each in zip(arrays, sizes, strict=True)
        ]
    return EncodedTable.of_arrays((["source", "target"], ["tokens"]), arrays), kept


def _around(ids: Ids, before: list[int], after: list[int]) -> Ids:
    """Return the ids with tokens before and after those of each text."""
    flat, ends = ids
    more, texts = len(before) + len(after), np.arange(len(ends))
    until = ends + more * (texts + 1)
    found = np.empty(len(flat) + more * len(ends), dtype=np.int64)
    moved = np.repeat(more * texts + len(before), np.diff(ends, prepend=0))
    found[np.arange(len(flat)) + moved] = flat
    begins = np.concatenate([[0], until[:-1]]) if len(ends) else until
    for number, token in enumerate(before):
        found[begins + number] = token
    for number, token in enumerate(after, -len(after)):
        found[until + number] = token
    return found, until
