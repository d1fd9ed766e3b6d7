"""Decode with the scores of CTC beside those of attention, and align texts to sound.

A hypothesis of attention may skip or repeat a stretch of sound; CTC cannot, because its paths go
through all of it. Hori et al. 2017 (section 3.2) add to each token's log-probability that of its
CTC prefix: the paths that spell the text so far and anything after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..model.cache import Memory
from ..model.interface import AnyModel
from ..model.layout import PackedLayout
from .settings import DecodingSettings

NEVER = float("-inf")


@dataclass(slots=True)
class CtcMemory(Memory):
    """Hold the encoder's output with its CTC log-probabilities (B, S, V + 1), padded."""

    ctc: Tensor


@dataclass(slots=True)
class CtcPrefixes:
    """Hold the prefix of each row, as the log-probabilities of the paths that spell it.

    Args:
        sources: (B,) the row of `ctc` that each prefix is about.
        ctc: (R, S, V + 1) log-probabilities; the blank is the last.
        lengths: (R,) states of each source.
        paths: (B, S + 1, 2) those that end at each state, 0 before the first, with the last token
            or with the blank.
        last: (B,) the last token; V + 1 before the first.
        whole: (B,) log-probability of the prefix with anything after it.
    """

    sources: Tensor
    ctc: Tensor
    lengths: Tensor
    paths: Tensor
    last: Tensor
    whole: Tensor

    @staticmethod
    def empty(memory: CtcMemory, sources: Tensor) -> CtcPrefixes:
        """Return empty prefixes of some sources: all states may be blanks."""
        ctc = memory.ctc
        blanks = ctc[sources, :, -1].cumsum(1)  # (B, S)
        paths = ctc.new_full((sources.numel(), ctc.shape[1] + 1, 2), NEVER)
        paths[:, 0, 1] = 0.0
        paths[:, 1:, 1] = blanks
        none = torch.full_like(sources, ctc.shape[2])
        return CtcPrefixes(sources, ctc, memory.lengths, paths, none, ctc.new_zeros(len(sources)))

    def select(self, rows: Tensor) -> CtcPrefixes:
        return replace(
            self,
            sources=self.sources[rows],
            paths=self.paths[rows],
            last=self.last[rows],
            whole=self.whole[rows],
        )

    def join(self, other: CtcPrefixes) -> CtcPrefixes:
        """Return the rows of both, those of this one first."""
        states = max(self.ctc.shape[1], other.ctc.shape[1])
        one, two = self._padded(states), other._padded(states)
        return CtcPrefixes(
            torch.cat((one.sources, two.sources + one.ctc.shape[0])),
            *(
                torch.cat((getattr(one, name), getattr(two, name)))
                for name in ("ctc", "lengths", "paths", "last", "whole")
            ),
        )

    def _padded(self, states: int) -> CtcPrefixes:
        more = states - self.ctc.shape[1]
        pad = torch.nn.functional.pad
        ctc = pad(self.ctc, (0, 0, 0, more), value=NEVER)
        return replace(self, ctc=ctc, paths=pad(self.paths, (0, 0, 0, more), value=NEVER))

    def scores(self, end: int) -> Tensor:
        """Return log p(token | prefix) (B, V) of each next token; `end`: nothing follows."""
        ctc, paths = self.ctc[self.sources], self.paths  # (B, S, V + 1), (B, S + 1, 2)
        before = torch.logsumexp(paths, 2)[:, :-1]  # (B, S) any path that ended a state earlier
        inside = self._inside()  # (B, S)
        before = before.masked_fill(~inside, NEVER)
        found = torch.logsumexp(before[:, :, None] + ctc[:, :, :-1], 1)  # (B, V)
        # the last token again needs a blank between
        known = self.last < ctc.shape[2]
        last = self.last.clamp_max(ctc.shape[2] - 2)
        rows = torch.arange(len(last), device=last.device)
        apart = paths[:, :-1, 1].masked_fill(~inside, NEVER) + ctc[rows, :, last]  # (B, S)
        again = torch.logsumexp(apart, 1)
        found[rows, last] = torch.where(known, again, found[rows, last])
        ends = paths[rows, self.lengths[self.sources]]  # (B, 2)
        found[:, end] = torch.logsumexp(ends, 1)
        return found - self.whole[:, None]

    def extend(self, tokens: Tensor) -> CtcPrefixes:
        """Return the prefixes with one more token (B,) each."""
        ctc, paths = self.ctc[self.sources], self.paths
        rows = torch.arange(len(tokens), device=tokens.device)
        of_token, blank = ctc[rows, :, tokens], ctc[:, :, -1]  # (B, S)
        same = (tokens == self.last)[:, None]
        begins = torch.where(same, paths[:, :-1, 1], torch.logsumexp(paths[:, :-1], 2))  # (B, S)
        found = torch.full_like(paths, NEVER)
        on_token, on_blank = found[:, 0, 0], found[:, 0, 1]
        for state in range(ctc.shape[1]):
            on_blank = torch.logaddexp(on_token, on_blank) + blank[:, state]
            on_token = torch.logaddexp(on_token, begins[:, state]) + of_token[:, state]
            found[:, state + 1, 0], found[:, state + 1, 1] = on_token, on_blank
        started = (begins + of_token).masked_fill(~self._inside(), NEVER)
        whole = torch.logsumexp(started, 1)
        return replace(self, paths=found, last=tokens, whole=whole)

    def _inside(self) -> Tensor:
        """Return which states (B, S) belong to each row's source."""
        states = torch.arange(self.ctc.shape[1], device=self.ctc.device)
        return states < self.lengths[self.sources][:, None]


@dataclass(slots=True)
class CtcState:
    """Keep the decoder's state of B rows with their CTC prefixes."""

    inner: Any
    prefixes: CtcPrefixes
    is_first: bool = True  # nothing but the begin token is to be read
    last: Tensor | None = None  # logits are not computed again

    @property
    def lengths(self) -> Tensor:
        return self.inner.lengths

    def select(self, rows: Tensor) -> CtcState:
        return replace(self, inner=self.inner.select(rows), prefixes=self.prefixes.select(rows))

    def join(self, other: CtcState) -> CtcState:
        assert self.is_first == other.is_first, "both have read their begin token"
        return replace(
            self, inner=self.inner.join(other.inner), prefixes=self.prefixes.join(other.prefixes)
        )

    def truncate(self, lengths: Tensor, alone: bool = False) -> CtcState:
        raise NotImplementedError("CTC prefixes are not shortened")


class CtcModel:
    """Write with the scores of attention and CTC: a `Model` around another.

    The logits are log-probabilities, (1 - weight) of attention and `weight` of CTC. As their sum
    over tokens is below 1, the begin token, which is never written, has the rest: so no search
    normalises them again.
    """

    def __init__(self, model: Any, head: Any, weight: float, begin: int, end: int) -> None:
        self.model, self.head, self.weight = model, head, weight
        self.begin, self.end = begin, end

    @property
    def config(self) -> Any:
        return self.model.config

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        return self.model.parameters(recurse)

    def encode(self, inputs: dict[str, Tensor]) -> CtcMemory:
        memory: Memory = self.model.encode(inputs)
        rows: PackedLayout = memory.rows
        padded = rows.pad(self.head.log_probabilities(memory.states))
        return CtcMemory(memory.states, rows, padded)

    def start(self, memory: Memory | None, rows: Tensor | int) -> CtcState:
        assert isinstance(memory, CtcMemory), "CTC reads a source"
        sources = torch.arange(rows) if isinstance(rows, int) else rows
        sources = sources.to(memory.ctc.device)
        return CtcState(self.model.start(memory, rows), CtcPrefixes.empty(memory, sources))

    def step(self, tokens: Tensor, state: CtcState) -> tuple[Tensor, CtcState]:
        assert tokens.shape[1] == 1, "tokens are read one at a time"
        logits, inner = self.model.step(tokens, state.inner)
        prefixes = state.prefixes
        if not state.is_first:
            prefixes = prefixes.extend(tokens[:, 0])
        heard = prefixes.scores(self.end)  # (B, V)
        written = torch.log_softmax(logits[:, 0].float(), -1)
        both = torch.where(heard == NEVER, NEVER, (1 - self.weight) * written + self.weight * heard)
        both[:, self.begin] = NEVER
        rest = (1 - both.exp().sum(-1)).clamp_min(1e-30).log()
        both[:, self.begin] = rest
        return both[:, None], CtcState(inner, prefixes, False)


def with_ctc(
    model: AnyModel, head: Any, settings: DecodingSettings, begin: int, end: int
) -> tuple[Any, DecodingSettings]:
    """Return what decodes with the CTC scores of a head, and the settings that go with it."""
    if not settings.ctc_weight:
        return model, settings
    never = sorted({*(settings.suppress_tokens or ()), begin})
    changed = replace(settings, suppress_tokens=never, ctc_weight=0.0)
    return CtcModel(model, head, settings.ctc_weight, begin, end), changed


# Reading and aligning -----------------------------------------------------------------------------


def greedy(log_probabilities: NDArray[np.floating[Any]]) -> list[int]:
    """Return the text of the best path through (S, V + 1): no blanks, no repetitions."""
    best = log_probabilities.argmax(1)
    blank = log_probabilities.shape[1] - 1
    changes = np.flatnonzero(np.diff(best, prepend=-1))
    return [int(best[place]) for place in changes if best[place] != blank]


def align(
    log_probabilities: NDArray[np.floating[Any]], tokens: Sequence[int]
) -> list[tuple[int, int]] | None:
    """Return the states [first, last) of each token on the best path that spells the text.

    Viterbi over the tokens with blanks between them (Graves et al. 2006, section 4.1). Tokens
    occupy disjoint runs of states in order. None if there are too few states.
    """
    if not tokens:
        return []
    scores = np.asarray(log_probabilities, dtype=np.float64)
    labels = np.full(2 * len(tokens) + 1, scores.shape[1] - 1)
    labels[1::2] = tokens
    may_skip = np.zeros(len(labels), dtype=bool)  # the blank between two different tokens
    may_skip[3::2] = labels[3::2] != labels[1:-2:2]
    best = np.full(len(labels), NEVER)
    best[:2] = scores[0, labels[:2]]
    came = np.zeros((len(scores), len(labels)), dtype=np.int64)
    for state in range(1, len(scores)):
        one = np.concatenate(([NEVER], best[:-1]))
        two = np.where(may_skip, np.concatenate(([NEVER, NEVER], best[:-2])), NEVER)
        options = np.stack((best, one, two))
        came[state] = options.argmax(0)
        best = options.max(0) + scores[state, labels]
    place = len(labels) - 1 if best[-1] >= best[-2] else len(labels) - 2
    if best[place] == NEVER:
        return None
    path = np.empty(len(scores), dtype=np.int64)
    for state in range(len(scores) - 1, -1, -1):
        path[state] = place
        place -= came[state, place]
    runs = [np.flatnonzero(path == 2 * number + 1) for number in range(len(tokens))]
    return [(int(run[0]), int(run[-1]) + 1) for run in runs]


def warp(weights: NDArray[np.floating[Any]]) -> list[tuple[int, int]]:
    """Return the states [first, last) of each token by its cross-attention weights (T, S).

    Dynamic time warping: the path from the first token and state to the last ones, forward only,
    with the most weight.
    """
    tokens, states = weights.shape
    cost = np.full((tokens + 1, states + 1), np.inf)
    cost[0, 0] = 0.0
    came = np.zeros((tokens + 1, states + 1), dtype=np.int64)
    for token in range(1, tokens + 1):
        for state in range(1, states + 1):
            options = (
                cost[token - 1, state - 1],
                cost[token, state - 1],
                cost[token - 1, state],
            )
            came[token, state] = best = int(np.argmin(options))
            cost[token, state] = options[best] - weights[token - 1, state - 1]
    found = [[states, 0] for _ in range(tokens)]
    token, state = tokens, states
    while token and state:
        run = found[token - 1]
        run[0], run[1] = min(run[0], state - 1), max(run[1], state)
        step = came[token, state]
        token, state = token - (step != 1), state - (step != 2)
    return [(int(first), int(last)) for first, last in found]
