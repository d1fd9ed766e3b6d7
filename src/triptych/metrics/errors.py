"""Count the errors of texts that were heard: word, character and syllable error rates.

The rate is the fewest insertions, deletions and substitutions of units that turn the hypotheses
into the references, divided by the units of all references, times 100; it can exceed 100. Words
are what white space separates. Characters are code points, without white space around a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_TONED = re.compile(r"[a-zü:êv]+[1-5]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Hold an error rate, 0 or more, and how it was counted."""

    value: float
    signature: str


def distance(found: Sequence[str], wanted: Sequence[str]) -> int:
    """Return the fewest insertions, deletions and substitutions between two sequences.

    See Levenshtein 1966.
    """
    if len(found) < len(wanted):
        found, wanted = wanted, found
    row = list(range(len(wanted) + 1))
    for number, one in enumerate(found, 1):
        corner, row[0] = row[0], number
        for place, other in enumerate(wanted, 1):
            best = corner if one == other else 1 + min(corner, row[place], row[place - 1])
            corner, row[place] = row[place], best
    return row[-1]


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> ErrorRate:
    """Compute the word error rate."""
    return ErrorRate(_rate(hypotheses, references, str.split), "words between white space, as is")


def cer(hypotheses: Sequence[str], references: Sequence[str]) -> ErrorRate:
    """Compute the character error rate."""
    rate = _rate(hypotheses, references, lambda text: list(text.strip()))
    return ErrorRate(rate, "code points, as is")


def ser(hypotheses: Sequence[str], references: Sequence[str], toneless: bool = False) -> ErrorRate:
    """Compute the error rate of toned syllables ("xue2 xi2"), with tones or without."""
    rate = _rate(hypotheses, references, _toneless if toneless else str.split)
    return ErrorRate(rate, f"syllables, {'without' if toneless else 'with'} tones")


def of_speech(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, ErrorRate]:
    """Return wer and cer, and ser and ser_toneless where the references are toned syllables."""
    if not references:
        return {}
    found = {"wer": wer(hypotheses, references), "cer": cer(hypotheses, references)}
    if are_syllables(references):
        found |= {
            "ser": ser(hypotheses, references),
            "ser_toneless": ser(hypotheses, references, toneless=True),
        }
    return found


def are_syllables(texts: Sequence[str]) -> bool:
    """Tell whether all words of all texts are syllables with a tone's number."""
    words = [word for text in texts for word in text.split()]
    return bool(words) and all(map(_TONED.fullmatch, words))


def _toneless(text: str) -> list[str]:
    return [word.rstrip("012345") for word in text.split()]


def _rate(
    hypotheses: Sequence[str], references: Sequence[str], units: Callable[[str], list[str]]
) -> float:
    errors = total = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        wanted = units(reference)
        errors, total = errors + distance(units(hypothesis), wanted), total + len(wanted)
    # without any unit, each one that was heard is an error
    return 100.0 * errors / max(1, total)
