"""Compute confidence intervals and compare systems by bootstrap resampling (Koehn 2004)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

StatisticsScorer = Callable[
    [np.ndarray], np.ndarray
]  # statistics summed over lines (..., S) -> scores (...)
CHUNK = 4_000_000  # resampled line numbers in memory at a time


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """Hold the score on the whole set, and the bounds of 95 % of the resampled scores."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compare two systems on the same lines, resampled together.

    difference: second minus first. second_better: share (0-100 %) of the resamples in which the
        second scores higher (Koehn 2004).
    p_value: how often resamples differ by more than their own mean difference and the whole set's
        together, as sacreBLEU's paired bootstrap counts it; 1 for systems that never differ.
    """

    first: ConfidenceInterval
    second: ConfidenceInterval
    difference: ConfidenceInterval
    second_better: float
    p_value: float
    resamples: int
    seed: int

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def interval(
    statistics: np.ndarray, score: StatisticsScorer, resamples: int = 1000, seed: int = 12345
) -> ConfidenceInterval:
    """Compute the 95 % interval of one system.

    statistics: of each line, (lines, S), like `bleu.bleu_statistics`.
    """
    return between(float(score(statistics.sum(0))), score(_sums([statistics], resamples, seed)[0]))


def compare(
    first: np.ndarray,
    second: np.ndarray,
    score: StatisticsScorer,
    resamples: int = 1000,
    seed: int = 12345,
) -> Comparison:
    """Compare two systems by a paired bootstrap of statistics (lines, S) of the same lines."""
    assert first.shape == second.shape, "both systems must answer the same lines"
    whole = [float(score(one.sum(0))) for one in (first, second)]
    return compared(whole, [score(sums) for sums in _sums([first, second], resamples, seed)], seed)


def compared(whole: Sequence[float], drawn: Sequence[np.ndarray], seed: int) -> Comparison:
    """Compare two systems by their scores on the whole set and on the same resamples (resamples,).

    Resamples without a score for one of them are left out.
    """
    gain, gains = whole[1] - whole[0], drawn[1] - drawn[0]
    gains = gains[~np.isnan(gains)]
    sizes, resamples = np.abs(gains), len(gains)
    chance = (sizes - sizes.mean() > abs(gain)) | ~sizes.any()
    return Comparison(
        first=between(whole[0], drawn[0]),
        second=between(whole[1], drawn[1]),
        difference=between(gain, gains),
        second_better=100.0 * float((gains > 0).mean()),
        p_value=float((chance.sum() + 1) / (resamples + 1)),
        resamples=resamples,
        seed=seed,
    )


def redrawn(
    score: Callable[[list[int]], Mapping[str, float]], count: int, resamples: int, seed: int = 1
) -> dict[str, np.ndarray]:
    """Resample metrics that are not a sum over lines, with replacement (Efron 1979).

    `score` gets the resampled places. Returns (resamples,) for each metric; NaN where a resample
    has no such score, like the F1 of a type that is not in it.
    """
    generator, drawn = np.random.default_rng(seed), dict[str, np.ndarray]()
    for number in range(resamples):
        for key, value in score(generator.integers(0, count, count).tolist()).items():
            drawn.setdefault(key, np.full(resamples, np.nan))[number] = value
    return drawn


def mean(sums: np.ndarray) -> np.ndarray:
    """Score a mean over lines from statistics (lines, 2) of [points, 1], as 0 to 100."""
    return 100.0 * sums[..., 0] / sums[..., 1]


def exact_statistics(hypotheses: list[str], references: list[str]) -> np.ndarray:
    """Return the statistics of exact match for `mean`, (lines, 2)."""
    return np.array(
        [[a.strip() == b.strip(), 1] for a, b in zip(hypotheses, references, strict=True)],
        dtype=np.int64,
    )


def between(value: float, drawn: np.ndarray) -> ConfidenceInterval:
    """Return `value` with the bounds of the central 95 % of `drawn` (resamples,), without NaN."""
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return ConfidenceInterval(value, float(low), float(high))


def _sums(systems: list[np.ndarray], resamples: int, seed: int) -> list[np.ndarray]:
    """Sum each system's lines over resamples: (resamples, S), the same lines for every system."""
    generator, lines = np.random.default_rng(seed), len(systems[0])
    rows = max(1, CHUNK // max(1, lines))
    parts: list[list[np.ndarray]] = [[] for _ in systems]
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, lines, (min(rows, resamples - start), lines))
        # (rows, lines)
        times = np.stack([np.bincount(row, minlength=lines) for row in drawn]).astype(np.float64)
        for part, statistics in zip(parts, systems, strict=True):
            part.append(times @ statistics)
    return [np.concatenate(part) for part in parts]
