"""What a model that writes expected after each token, and how much each token surprised it. Plain
values; imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """One next token: what to print for it, its probability, and whether it is the one that
    came.
    """

    label: str
    probability: float
    is_actual: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """Of several tokens together. nats: -log p added up, without the end's; end_nats: of the end of
    the text after them, where it was looked at; bytes: of their UTF-8.
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

    def to_json(self) -> dict[str, Any]:
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
    """Over the cells of a Trace's source, begin first.

    nats: of each cell, its tokens' added up; None where nothing foretold it (begin). choices: what
    may come after each cell, likeliest first; what came stands among them, last where it was not
    likely. written: the first cell that the model wrote itself, their number where there is none.
    given, own: all that was given and all that it wrote, of every window of a long text.
    """

    nats: list[float | None]
    choices: list[list[TokenChoice]]
    written: int
    given: Total
    own: Total

    def to_json(self) -> dict[str, Any]:
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
    """The likeliest next tokens with the one that came. ids, probabilities: likeliest first;
    actual: that token and its probability;
    labels: what to print for tokens side by side; actual_label: what to print for it instead of its
        own label.
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
