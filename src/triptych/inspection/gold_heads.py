"""Compare the heads of a model with the gold heads of a treebank (Clark et al. 2019, section 4.1).

For each attention head: of how many words is the most attended other word the gold head? A head
that always looks one word back or ahead is right for many relations, so that is the baseline.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from .cells import TokenCell
from .sites import Site

ALL = "all"  # every word but the roots
OFFSETS = (-1, 1)  # of the baselines


@dataclass(frozen=True, slots=True)
class GoldHeads:
    """Hold how often each head finds the gold heads of words.

    Args:
        sites: The heads (H,).
        relations: ALL, then each relation, the most frequent first (R,).
        counts: Words of each relation (R,); roots have no head and are left out.
        shares: Of them, those whose most attended word is the gold head (R, H), 0 to 1.
        offsets: Offset -> the same for a head that always looks at the word there (R,).
        sentences: How many were measured.
        left_out: How many were not, because the tokens do not spell the words.
    """

    sites: list[Site]
    relations: list[str]
    counts: list[int]
    shares: np.ndarray
    offsets: dict[int, np.ndarray]
    sentences: int
    left_out: int = 0

    def best(self, row: int) -> tuple[Site, float]:
        """Return the head that finds the most of a relation, and its share."""
        place = int(self.shares[row].argmax())
        return self.sites[place], float(self.shares[row, place])

    def baseline(self, row: int) -> tuple[int, float]:
        """Return the better offset of a relation, and its share."""
        offset = max(self.offsets, key=lambda one: self.offsets[one][row])
        return offset, float(self.offsets[offset][row])

    def to_json(self) -> dict[str, Any]:
        """Return everything for JSON; shares have six digits."""
        return {
            "sites": [str(one) for one in self.sites],
            "relations": self.relations,
            "counts": self.counts,
            "shares": np.round(self.shares, 6).tolist(),
            "offsets": {
                f"{one:+d}": np.round(row, 6).tolist() for one, row in self.offsets.items()
            },
            "sentences": self.sentences,
            "left_out": self.left_out,
        }


class Counts:
    """Count how often heads find the gold heads, sentence by sentence.

    Args:
        sites: The heads, in the order of the weights.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        self.sites = list(sites)
        self.found: dict[str, np.ndarray] = {}  # relation -> (H,) words found
        self.at_offset: dict[str, np.ndarray] = {}  # relation -> (O,)
        self.words: dict[str, int] = {}
        self.sentences = self.left_out = 0

    def add(self, weights: np.ndarray, heads: Sequence[int], relations: Sequence[str]) -> None:
        """Count one sentence.

        Args:
            weights: Between its words (H, W, W), as `between_words` gives them.
            heads: The number of each word's head, 1 for the first word, 0 for the root.
            relations: The name of each word's relation; subtypes count with their type.
        """
        looked = most_attended(weights)  # (H, W)
        for word, (head, relation) in enumerate(zip(heads, relations, strict=True)):
            if head == 0:
                continue
            right = looked[:, word] == head - 1
            near = np.array([word + offset == head - 1 for offset in OFFSETS])
            for name in (ALL, relation.partition(":")[0]):
                self.found[name] = self.found.get(name, 0) + right.astype(np.int64)
                self.at_offset[name] = self.at_offset.get(name, 0) + near.astype(np.int64)
                self.words[name] = self.words.get(name, 0) + 1
        self.sentences += 1

    def result(self) -> GoldHeads:
        """Return the shares."""
        names = sorted(self.words, key=lambda name: (name != ALL, -self.words[name], name))
        counts = [self.words[name] for name in names]
        by = np.array(counts)[:, None]
        shares = np.stack([self.found[name] for name in names]) / by
        near = np.stack([self.at_offset[name] for name in names]) / by
        offsets = {offset: near[:, place] for place, offset in enumerate(OFFSETS)}
        return GoldHeads(self.sites, names, counts, shares, offsets, self.sentences, self.left_out)


def most_attended(weights: np.ndarray) -> np.ndarray:
    """Return the other word that each word gives the most weight (H, W, W) -> (H, W).

    -1 where it gives none to any, like the first word of a causal mask.
    """
    others = weights.copy()
    places = np.arange(weights.shape[-1])
    others[:, places, places] = 0
    return np.where(others.max(-1) > 0, others.argmax(-1), -1)


def between_words(weights: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Turn weights between tokens (L, H, T, T) into weights between words (L * H, W, W).

    Of a word of several tokens, what its tokens receive is added up, and what they give is
    averaged (Clark et al. 2019, section 4.1).
    """
    flat = weights.reshape(-1, *weights.shape[-2:])
    received = np.stack([flat[..., list(group)].sum(-1) for group in groups], -1)
    return np.stack([received[:, list(group)].mean(1) for group in groups], 1)


def words_of(
    cells: Sequence[TokenCell], text: str, spans: Sequence[tuple[int, int]]
) -> list[list[int]] | None:
    """Return the tokens of each word; None where the tokens do not spell the text.

    Spaces, case and accents do not count, because some tokenizers drop them. A token that holds
    parts of two words belongs to both.

    Args:
        cells: The tokens.
        text: The sentence.
        spans: [start, end) characters of each word in it.
    """
    owner: list[int] = []  # the cell of each letter
    spelled = ""
    for number, cell in enumerate(cells):
        plain = _plain(cell.text)
        spelled += plain
        owner += [number] * len(plain)
    letters = [_plain(one) for one in text]
    if spelled != "".join(letters):
        return None
    starts = [0, *accumulate(map(len, letters))]  # the first letter of each character
    groups = [
        [token for number in dict.fromkeys(owner[starts[start] : starts[end]])
         for token in cells[number].tokens]
        for start, end in spans
    ]  # fmt: skip
    return groups if groups and all(groups) else None


def _plain(text: str) -> str:
    """Return letters without case, accents and spaces."""
    found = unicodedata.normalize("NFKD", text.casefold())
    return "".join(
        one for one in found if not one.isspace() and unicodedata.category(one) not in ("Mn", "Cf")
    )
