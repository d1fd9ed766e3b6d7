"""Place numbers on an axis: its ends, its ticks and their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MARGIN = 0.04  # share of an axis beyond the smallest and the largest number
LEAST_SPAN = 0.01  # of the largest number: smaller differences are not drawn large
WHOLE = 100.0  # a percentage is at most this
FEW_DECADES = 1.5  # on a logarithmic axis of less, ticks are between the powers of ten too


@dataclass(frozen=True)
class Scale:
    """Map numbers to pixels.

    Args:
        low: The number at `start`.
        high: The number at `end`, above `low`.
        start: A pixel.
        end: A pixel.
        log: Equal distances are equal factors.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, number: float) -> float:
        low, high, value = self.low, self.high, number
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(number)
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)

    def ticks(self, most: int = 5, whole: bool = False) -> list[float]:
        """Return round numbers between the ends; `whole`: no fractions."""
        if self.log and len(found := _decades(self.low, self.high, most)) > 1:
            return found
        step = _round_step((self.high - self.low) / most)
        if whole and step < 5:
            step = 5.0 if step > 2 else max(1.0, step)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(place * step, 12) for place in range(first, last + 1)]


def scale_of(
    values: Sequence[float], start: float, end: float, *, log: bool = False, zero: bool = False
) -> Scale:
    """Return a scale that holds all `values`.

    Args:
        values: At least one number; positive ones for a logarithmic scale.
        start: The pixel of the low end.
        end: The pixel of the high end.
        log: The scale is logarithmic.
        zero: A linear scale begins at 0 if no number is negative.
    """
    low, high = min(values), max(values)
    if log:
        margin = max(MARGIN * math.log10(high / low), 0.02)
        return Scale(low / 10**margin, high * 10**margin, start, end, True)
    least, most = low, high
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # a constant
        low, high = low - 0.1 * abs(low), high + 0.1 * (abs(high) or 10)
    short = LEAST_SPAN * max(abs(low), abs(high)) - (high - low)
    if short > 0:
        low, high = low - short / 2, high + short / 2
    # Neither below zero nor above a hundred percent, where no number is.
    low, high = (0.0 if low < 0 <= least else low), (WHOLE if most == WHOLE else high)
    margin = MARGIN * (high - low)
    bottom = 0.0 if least >= 0 and (zero or low < margin) else low - margin
    return Scale(bottom, high + margin, start, end)


def labels(numbers: Sequence[float]) -> list[str]:
    """Return the labels of an axis, all in the unit of the largest number: 5k, 10k, 15k."""
    largest = max(map(abs, numbers), default=0.0)
    small = min((abs(number) for number in numbers if number), default=1.0)
    if largest >= 1e10 or small < 1e-3 or len(numbers) < 2:
        return ["0" if number == 0 else label(number, largest) for number in numbers]
    size, letter = next(
        (one for one in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if largest >= max(one[0], 1e4)),
        (1.0, ""),
    )
    gap = min(abs(one - other) for one, other in pairwise(numbers)) / size
    decimals = next(
        places
        for places in range(12)
        if places == 11
        or all(abs(round(one / size, places) - one / size) < gap / 100 for one in numbers)
    )
    return ["0" if one == 0 else f"{_fixed(one / size, decimals)}{letter}" for one in numbers]


def _fixed(number: float, decimals: int) -> str:
    """Return a number with at most so many decimals, without zeros at the end."""
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def label(number: float, largest: float | None = None) -> str:
    """Return a number in few characters: 1,500, 20k, 1.5M, 0.002, 6e-4.

    `largest` chooses the unit; None: the number itself.
    """
    size = abs(number) if largest is None else largest
    if size >= 1e10:
        return f"{number:.3g}".replace("e+", "e")
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            return f"{number / (1e3 if letter == 'k' else unit):.4g}{letter}"
    if size >= 1000:
        return f"{number:,.0f}"
    if 0 < abs(number) < 1e-3:
        mantissa, exponent = f"{number:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{number:.4g}"


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 or 10 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= least * (1 - 1e-9))


def _decades(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first) / most))
    factors = (1,) if math.log10(high / low) > FEW_DECADES else (1, 2, 5)
    found = [
        factor * 10.0**power
        for power in range(first, last + 1, every)
        for factor in factors
        if low <= factor * 10.0**power <= high
    ]
    return found
