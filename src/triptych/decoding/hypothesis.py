"""What a search gives back, and what it can tell on the way. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One answer. tokens: without begin and end. log_probability: nats, the end included; score: as the search ranked it.

    finished: it ended by itself; False: it was cut at the maximum length.
    """

    tokens: list[int]
    score: float
    log_probability: float
    token_log_probabilities: list[float] = field(default_factory=list)  # one a token, then the end's where it has one
    finished: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a search, for a trace: row for row what was looked at.

    source: index in the batch of each candidate; parent: the beam it grew from; token; log_probability of the whole;
    fate: "kept", "finished" or "pruned".
    """

    number: int
    source: list[int]
    parent: list[int]
    token: list[int]
    log_probability: list[float]
    fate: list[str]
