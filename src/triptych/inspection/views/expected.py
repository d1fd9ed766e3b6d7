"""Hold what a language model expected after each token, and how surprising each token was.

Plain values; imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """Hold a possible next token: its label, its probability, and whether it is the actual one."""

    label: str
    probability: float
    is_actual: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """Add up several tokens.

    Args:
        tokens: How many.
        bytes: Their length in UTF-8.
        nats: The sum of -log p, without the end token's.
        end_nats: -log p of the end of the text after them, where it was computed.
    """

    tokens: int
    bytes: int
    nats: float
    end_nats: float | None = None

    @property
    def bits_per_byte(self) -> float | None:
        return self.nats / math.log(2) / self.bytes if self.bytes else None

    @property
    def perplexity(self) -> float | None:
        return math.exp(min(self.nats / self.tokens, 700.0)) if self.tokens else None

    def to_json(self) -> dict[str, object]:
        return {
            "tokens": self.tokens,
            "bytes": self.bytes,
            "nats": self.nats,
            "end_nats": self.end_nats,
            "bits_per_byte": self.bits_per_byte,
            "perplexity": self.perplexity,
        }


@dataclass(frozen=True, slots=True)
class Expected:
    """Hold the expectations for the cells of a Trace's source, begin token first.

    Args:
        nats: -log p of each cell, its tokens' added up; None where nothing predicts it (begin).
        choices: What may follow each cell, likeliest first. The actual token is among them, and
            last if it was not likely.
        written: The first cell that the model generated; the number of cells where there is none.
        given: The total of the given text, over every window of a long text.
        own: The total of what the model generated.
    """

    nats: list[float | None]
    choices: list[list[TokenChoice]]
    written: int
    given: Total
    own: Total

    def to_json(self) -> dict[str, object]:
        return {
            "nats": [None if value is None else round(value, 6) for value in self.nats],
            "choices": [
                [
                    [one.label, float(f"{one.probability:.6g}"), int(one.is_actual)]
                    for one in several
                ]
                for several in self.choices
            ],
            "written": self.written,
            "given": self.given.to_json(),
            "own": self.own.to_json(),
        }


def ranked(
    ids: Sequence[int],
    probabilities: Sequence[float],
    actual: tuple[int, float] | None,
    labels: Callable[[Sequence[int]], Sequence[str]],
    actual_label: str | None = None,
) -> list[TokenChoice]:
    """Return the likeliest next tokens together with the actual one.

    Args:
        ids: Tokens, likeliest first.
        probabilities: Of these tokens.
        actual: The actual token and its probability.
        labels: Returns what to print for tokens side by side.
        actual_label: What to print for the actual token instead of its own label.
    """
    shown = list(zip(ids, probabilities, strict=True))
    if actual is not None and actual[0] not in ids:
        shown.append(actual)
    printed = labels([number for number, _ in shown])
    found = [TokenChoice(label, probability, actual is not None and number == actual[0])
             for label, (number, probability) in zip(printed, shown, strict=True)]  # fmt: skip
    return [
        TokenChoice(f"{one.label} → {actual_label}", one.probability, True)
        if one.is_actual and actual_label
        else one
        for one in found
    ]
