"""Rank passages by BM25 over postings that may be mapped from the disk.

A term is known by a hash of 64 bits, so that opening an index reads no vocabulary.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from ..search_index import terms

K1, B = 1.2, 0.75  # as the BM25 in memory
# Of a term that no passage holds, in a coverage; measured in docs/decisions/033.
UNKNOWN_WEIGHT = 0.5
MOST = np.iinfo(np.uint16).max  # of a term's occurrences in a passage that are counted
PASSAGES_COUNTED = 20_000  # together, which bounds the memory
Array = np.ndarray[Any, np.dtype[Any]]


def term_key(term: str) -> int:
    """Return 64 bits that stand for a term."""
    return int.from_bytes(blake2b(term.encode("utf-8", "replace"), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class Postings:
    """Hold which terms occur in which passages, and how often.

    Args:
        terms: (V,) uint64, ascending.
        starts: (V + 1,) int64; the postings of term v are starts[v] to starts[v + 1].
        places: (N,) int32, the passages, ascending within a term.
        counts: (N,) uint16, the occurrences there.
        lengths: (P,) int32, terms of each passage.
    """

    terms: Array
    starts: Array
    places: Array
    counts: Array
    lengths: Array

    def entries(self) -> tuple[Array, Array, Array]:
        """Return (term, passage, count) of every posting, (N,) each."""
        return np.repeat(self.terms, np.diff(self.starts)), self.places, self.counts


Entries = tuple[Array, Array, Array]


def count_terms(
    texts: Sequence[str], done: Callable[[float], object] | None = None
) -> tuple[Entries, Array]:
    """Count the terms of passages.

    Args:
        texts: The passages.
        done: Receives how many were counted, some at a time.

    Returns:
        (term, passage, count) of every posting, and (P,) int32 the terms of each passage.
    """
    parts: list[Entries] = []
    lengths: list[Array] = []
    for first in range(0, len(texts), PASSAGES_COUNTED):
        some = texts[first : first + PASSAGES_COUNTED]
        (keys, places, counts), long = _counted(some)
        parts.append((keys, places + np.int32(first), counts))
        lengths.append(long)
        if done is not None:
            done(float(len(some)))
    return _together(parts), _concatenated(lengths, np.int32)


def _counted(texts: Sequence[str]) -> tuple[Entries, Array]:
    numbers: dict[str, int] = {}
    found, lengths = array("q"), np.zeros(len(texts), dtype=np.int32)
    for place, text in enumerate(texts):
        here = terms(text)
        lengths[place] = len(here)
        found.extend(numbers.setdefault(term, len(numbers)) for term in here)
    owners = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    # One number for a term and a passage, so that one sort counts both.
    pairs = np.frombuffer(found, dtype=np.int64) * len(texts) + owners
    several, counts = np.unique(pairs, return_counts=True)
    hashes = np.fromiter(map(term_key, numbers), dtype=np.uint64, count=len(numbers))
    size = max(1, len(texts))
    return (
        hashes[several // size],
        (several % size).astype(np.int32),
        np.minimum(counts, MOST).astype(np.uint16),
    ), lengths


def _concatenated(parts: Sequence[Array], kind: Any) -> Array:
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.zeros(0, dtype=kind)


def _together(parts: Sequence[Entries]) -> Entries:
    kinds = (np.uint64, np.int32, np.uint16)
    keys, places, counts = (
        _concatenated([part[column] for part in parts], kind) for column, kind in enumerate(kinds)
    )
    return keys, places, counts


def postings_of(parts: Iterable[Entries], lengths: Array) -> Postings:
    """Return the postings of all `parts` together, sorted by term and passage."""
    keys, places, counts = _together(list(parts))
    order = np.lexsort((places, keys))
    keys = keys[order]
    begins = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else []
    return Postings(
        keys[begins] if len(keys) else keys,
        np.concatenate((begins, [len(keys)])).astype(np.int64),
        places[order],
        counts[order],
        lengths.astype(np.int32, copy=False),
    )


def moved(entries: Entries, places: Array) -> Entries:
    """Return the postings of passages that have a new place.

    places: (P,) the new place of each old passage, -1 for one that is gone.
    """
    keys, old, counts = entries
    new = places[old]
    kept = new >= 0
    return keys[kept], new[kept].astype(np.int32), counts[kept]


class MappedBM25:
    """Rank passages by Okapi BM25 (Robertson & Zaragoza 2009, section 3.3)."""

    def __init__(self, postings: Postings) -> None:
        self.postings = postings
        lengths = np.asarray(postings.lengths, dtype=np.float64)
        self.size = len(lengths)
        mean = max(1.0, float(lengths.mean()) if self.size else 1.0)
        self._norms = (K1 * (1 - B + B * lengths / mean)).astype(np.float32)

    def scores(self, question: str) -> Array:
        """Return (P,) float32; 0 for a passage that shares no term with the question."""
        scores = np.zeros(self.size, dtype=np.float32)
        held = self.postings
        for term, times in Counter(terms(question)).items():
            slot = self._slot(term_key(term))
            if slot is None:
                continue
            places, often = held.places[slice(*slot)], held.counts[slice(*slot)].astype(np.float32)
            weight = times * self._weight(len(places)) * (K1 + 1)
            scores[places] += weight * often / (often + self._norms[places])
        return scores

    def coverage(self, text: str, wanted: Sequence[int], without: str = "") -> list[float]:
        """Return for each of the `wanted` passages which share of a text's terms it holds, 0 to 1.

        Rare terms weigh more, as in BM25.

        Args:
            text: A question or an answer.
            wanted: The passages, (K,).
            without: The terms of this text do not count, unless there are no others.
        """
        held, asked = self.postings, set(terms(text))
        asked = asked - set(terms(without)) or asked
        whole, shares = 0.0, [0.0] * len(wanted)
        for key in map(term_key, asked):
            slot = self._slot(key)
            places = held.places[slice(*slot)] if slot else held.places[:0]
            weight = self._weight(len(places)) * (1.0 if slot else UNKNOWN_WEIGHT)
            whole += weight
            inside = np.searchsorted(places, wanted).tolist()
            for number, (place, passage) in enumerate(zip(inside, wanted, strict=True)):
                if place < len(places) and int(places[place]) == passage:
                    shares[number] += weight
        return [share / whole if whole else 0.0 for share in shares]

    def _slot(self, key: int) -> tuple[int, int] | None:
        """Return where the postings of a term begin and end; None if no passage holds it."""
        held = self.postings
        place = int(np.searchsorted(held.terms, np.uint64(key)))
        if place == len(held.terms) or int(held.terms[place]) != key:
            return None
        return int(held.starts[place]), int(held.starts[place + 1])

    def _weight(self, holding: int) -> float:
        """Return the inverse document frequency of a term that so many passages hold."""
        return math.log(1 + (self.size - holding + 0.5) / (holding + 0.5))
