"""What a search gives back, and what it can tell on the way. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One answer. tokens: without begin and end, with a forced prefix; log_probability: nats, the
    end included, by the model's own distribution whatever drew it; score: log_probability / length
    ** length_penalty; finished: False when cut at the maximum length. Where a prefix is a prompt
    and not part of the answer, only the token log-probabilities still hold it.
    """

    tokens: list[int]
    score: float
    log_probability: float
    # one a token, then the end's where it has one
    token_log_probabilities: list[float] = field(default_factory=list[float])
    finished: bool = True


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One step of a search, for a trace: row for row what was looked at.

    source: index in the batch of each candidate; parent: the beam it grew from; token;
        log_probability of the whole;
    fate: "kept", "finished", "cut" (at the maximum length) or "pruned". Kept candidates of a source
        become its beams in this order.
    """

    number: int
    source: list[int]
    parent: list[int]
    token: list[int]
    log_probability: list[float]
    fate: list[str]
