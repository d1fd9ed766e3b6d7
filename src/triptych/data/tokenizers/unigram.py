"""Learn a unigram vocabulary, the same to the last bit for the same texts.

The trainer of the library `tokenizers` walks hash tables whose order changes from process to
process, so its sums round differently and its prunings end differently. This one sums in a fixed
order: all segmentations of all words as flat arrays of edges, and expectation-maximisation over
them (Kudo 2018, section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LONGEST_PIECE = 16  # characters
# Characters. Longer words are learnt in parts, which keeps products of probabilities in range.
LONGEST_WORD = 40
MOST_WORDS = 200_000  # the most frequent; rarer words hardly change a count
KEPT = 0.75  # share of the pieces that survives a pruning, as in SentencePiece
SMALLEST_COUNT = 0.1  # keeps a probability for a character that is not used for now
# Taken out of every piece's probability while summing; about the cost of text.
NATS_A_CHARACTER = 3.0


@dataclass(frozen=True)
class Lattice:
    """Hold every place of every piece in every word as edges (word, start, end, piece).

    The edges are stored twice: by end and by start.
    """

    lengths: np.ndarray  # (W,)
    by_end: list[np.ndarray]  # for each end: (3, edges) word, start, piece
    by_start: list[np.ndarray]  # for each start: (3, edges) word, end, piece

    @classmethod
    def of(cls, words: Sequence[str], pieces: Mapping[str, int], whole: bool = True) -> Lattice:
        """Build the lattice of `words`.

        `whole` False leaves out the edge that is a whole word, to count the other ways to spell it.
        """
        edges: list[tuple[int, int, int, int]] = []
        for number, word in enumerate(words):
            for start in range(len(word)):
                for end in range(start + 1, min(len(word), start + LONGEST_PIECE) + 1):
                    piece = pieces.get(word[start:end])
                    if piece is not None and (whole or end - start < len(word)):
                        edges.append((number, start, end, piece))
        table = np.array(edges, dtype=np.int64).reshape(-1, 4).T
        lengths = np.array([len(word) for word in words], dtype=np.int64)
        longest = int(lengths.max(initial=0))
        return cls(
            lengths,
            [table[[0, 1, 3]][:, table[2] == end] for end in range(longest + 1)],
            [table[[0, 2, 3]][:, table[1] == start] for start in range(longest)],
        )

    def forward(self, weights: np.ndarray) -> np.ndarray:
        """Return the summed weight of all ways to spell a word's first characters: (L + 1, W)."""
        count = len(self.lengths)
        sums = np.zeros((len(self.by_end), count))
        sums[0] = 1.0
        for end in range(1, len(self.by_end)):
            word, start, piece = self.by_end[end]
            sums[end] = np.bincount(word, sums[start, word] * weights[piece], count)
        return sums

    def totals(self, weights: np.ndarray) -> np.ndarray:
        """Return the summed weight of all segmentations of each word: (W,)."""
        return self.forward(weights)[self.lengths, np.arange(len(self.lengths))]

    def expected(self, weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return how often each piece is used, over all segmentations: (P,).

        counts: the occurrences of each word, (W,).
        """
        before = self.forward(weights)
        totals = before[self.lengths, np.arange(len(self.lengths))]
        share = np.divide(counts, totals, out=np.zeros_like(totals), where=totals > 0)
        after = np.zeros_like(before)
        after[self.lengths, np.arange(len(self.lengths))] = 1.0
        used = np.zeros(len(weights))
        for start in range(len(self.by_start) - 1, -1, -1):
            word, end, piece = self.by_start[start]
            ways = weights[piece] * after[end, word]
            after[start] += np.bincount(word, ways, len(self.lengths))
            used += np.bincount(piece, ways * before[start, word] * share[word], len(weights))
        return used


def learn(words: Mapping[str, int], candidates: Sequence[str], size: int) -> dict[str, float]:
    """Return the log-probabilities of the `size` best of `candidates`, best first.

    words: word -> occurrences. Candidates of one character are never pruned; every character of
    every word must be among them.
    """
    names = [piece for piece in dict.fromkeys(candidates) if len(piece) <= LONGEST_PIECE]
    pieces = {piece: number for number, piece in enumerate(names)}
    frequent = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:MOST_WORDS]
    parts = [
        (word[at : at + LONGEST_WORD], count)
        for word, count in frequent
        for at in range(0, len(word), LONGEST_WORD)
    ]
    lattice, counts = (
        Lattice.of([part for part, _ in parts], pieces),
        np.array([count for _, count in parts], dtype=np.float64),
    )
    themselves = Lattice.of(names, pieces, whole=False)
    sizes = np.array([len(piece) for piece in names], dtype=np.int64)
    scale = np.exp(NATS_A_CHARACTER * sizes)

    probabilities = _normalised(
        _occurrences(lattice, counts, len(pieces)) * sizes, np.ones(len(pieces), dtype=bool)
    )
    alive = np.ones(len(pieces), dtype=bool)
    while True:
        for _ in range(2):
            used = lattice.expected(probabilities * scale, counts)
            probabilities = _normalised(used, alive)
        surplus = int(alive.sum()) - size
        prunable = np.flatnonzero(alive & (sizes > 1))
        if surplus <= 0 or not len(prunable):
            break
        # The loss of the texts' log-likelihood without a piece: each use of it is spelt with the
        # other pieces.
        instead = themselves.totals(probabilities * scale)[prunable]
        loss = used[prunable] * (
            np.log(probabilities[prunable] * scale[prunable]) - np.log(np.maximum(instead, 1e-300))
        )
        dropped = min(surplus, max(1, int(alive.sum() * (1 - KEPT))), len(prunable))
        alive[prunable[np.argsort(loss, kind="stable")[:dropped]]] = False
        probabilities = _normalised(used, alive)
    best = sorted(
        np.flatnonzero(alive).tolist(), key=lambda number: (-probabilities[number], names[number])
    )
    return {names[number]: float(np.log(probabilities[number])) for number in best}


def _occurrences(lattice: Lattice, counts: np.ndarray, size: int) -> np.ndarray:
    found = np.zeros(size)
    for word, _, piece in lattice.by_start:
        found += np.bincount(piece, counts[word], size)
    return found


def _normalised(used: np.ndarray, alive: np.ndarray) -> np.ndarray:
    held = np.where(alive, np.maximum(used, SMALLEST_COUNT), 0.0)
    return held / held.sum()
