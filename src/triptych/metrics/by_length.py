"""Compute BLEU by length of the source, where models with a bottleneck fall behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bleu import bleu_of, bleu_statistics
from .bootstrap import ConfidenceInterval, interval

EDGES = (8, 12, 16, 20, 25)  # words: 1-8, 9-12, ..., 26 and more


@dataclass(frozen=True, slots=True)
class Bucket:
    """Hold the lines whose source has `first` to `last` words, and their corpus BLEU, 0 to 100.

    last: None if there is no upper end.
    """

    first: int
    last: int | None
    lines: int
    bleu: ConfidenceInterval

    @property
    def name(self) -> str:
        return f"{self.first}+" if self.last is None else f"{self.first}-{self.last}"


def length_of(text: str) -> int:
    """Count words; each Chinese or Japanese character counts as one."""
    ideographs = sum(
        "\u3040" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff" for character in text
    )
    return (
        len(
            "".join(
                " " if "\u3040" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" else c for c in text
            ).split()
        )
        + ideographs
    )


def bleu_by_length(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str],
    language: str = "",
    *,
    edges: Sequence[int] = EDGES,
    resamples: int = 1000,
    seed: int = 12345,
) -> list[Bucket]:
    """Compute BLEU and its 95 % interval in each length bucket that has lines, shortest first.

    The signature is that of `bleu`.
    """
    assert len(sources) == len(references), "expected one source for each reference"
    statistics = bleu_statistics(hypotheses, references, language)
    place = np.searchsorted(
        np.asarray(edges), [length_of(source) for source in sources], side="left"
    )
    found = []
    for number in sorted(set(place.tolist())):
        chosen = statistics[place == number]
        first = 1 if number == 0 else edges[number - 1] + 1
        last = edges[number] if number < len(edges) else None
        found.append(Bucket(first, last, len(chosen), interval(chosen, bleu_of, resamples, seed)))
    return found
