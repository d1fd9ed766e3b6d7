"""Summarise the scores of several runs: mean and sample standard deviation."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

Spread = dict[str, float | None]


def spread(runs: Sequence[Mapping[str, float]]) -> tuple[Spread, Spread]:
    """Return the mean and the sample standard deviation (n - 1) of each score.

    A score that some run lacks, or that is not finite in one, has neither (None); of a single run
    there is no deviation.

    Args:
        runs: The scores of each run.
    """
    names = dict.fromkeys(name for run in runs for name in run)
    values = {name: [run.get(name) for run in runs] for name in names}
    means: Spread = {}
    deviations: Spread = {}
    for name, each in values.items():
        known = [value for value in each if value is not None and abs(value) < float("inf")]
        is_whole = len(known) == len(runs)
        means[name] = statistics.fmean(known) if is_whole else None
        deviations[name] = statistics.stdev(known) if is_whole and len(known) > 1 else None
    return means, deviations
