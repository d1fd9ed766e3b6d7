"""The results of a search, and the events of its steps. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Hold one answer.

    Where a prefix is a prompt and not part of the answer, only `tokens` and the token
    log-probabilities include it.

    Args:
        tokens: Ids without begin and end, with a forced prefix.
        score: log_probability / length ** length_penalty.
        log_probability: Nats, end included, by the model's own distribution.
        token_log_probabilities: Nats of each token, then of the end if it was written.
        finished: False if the answer was cut at the maximum length.
    """

    tokens: list[int]
    score: float
    log_probability: float
    token_log_probabilities: list[float] = field(default_factory=list[float])
    finished: bool = True


@dataclass(frozen=True, slots=True)
class SearchStep:
    """Hold one step of a search: its candidates, for a trace.

    Args:
        number: Of the step.
        source: Index in the batch of each candidate.
        parent: The beam that each candidate extends.
        token: The token that each candidate adds.
        log_probability: Nats of each whole candidate.
        fate: "kept", "finished", "cut" (at the maximum length) or "pruned". Kept candidates of a
            source become its beams in this order.
    """

    number: int
    source: list[int]
    parent: list[int]
    token: list[int]
    log_probability: list[float]
    fate: list[str]
