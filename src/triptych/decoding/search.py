"""Search over any model with the face `encode`, `start`, `step`: greedy, beam, sampling.

The rows of one source stand together, so the model lets them share what it knows of the source. A source that has ended
leaves the batch, and what remains shrinks. Every decision is a row's or a source's own: an answer never depends on its
neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .hypothesis import Hypothesis, Step
from .sampling import draw, uniform
from .settings import DecodingSettings

Stop = Callable[[int, list[int]], bool]  # (index of the source, tokens so far) -> this answer is complete


@torch.inference_mode()
def search(model: Any, inputs: dict[str, Tensor], settings: DecodingSettings, *, begin: int, end: int,
           max_lengths: Sequence[int] | None = None, prefixes: Sequence[Sequence[int]] | None = None, stop: Stop | None = None,
           indices: Sequence[int] | None = None, on_event: Callable[[Step], None] | None = None) -> list[list[Hypothesis]]:  # fmt: skip
    """The n best answers of every source, best first.

    inputs: packed "source" (M,) with "source_lengths" (B,). max_lengths: tokens with the end, None: by `settings`. prefixes: tokens
    every answer must begin with. indices: what identifies a source for sampling, None: its place. stop: ends an answer
    early. on_event: is told every step (for pictures).
    """
    memory = model.encode(inputs)
    lengths = inputs["source_lengths"].tolist()
    longest = [settings.longest(length) for length in lengths] if max_lengths is None else list(max_lengths)
    forced = [list(prefix) for prefix in prefixes] if prefixes is not None else [[] for _ in lengths]
    longest = [max(most, len(prefix) + 1) for most, prefix in zip(longest, forced, strict=True)]
    if settings.temperature > 0 or settings.beams == 1:
        samples = settings.n_best if settings.temperature > 0 else 1
        run = _Rows(model, memory, settings, begin, end, np.array(longest), forced, samples, indices, stop, on_event)
    else:
        run = _Beams(model, memory, settings, begin, end, np.array(longest), forced, stop, on_event)
    while run.step():
        pass
    return run.answers()


def _force(logits: Tensor, step: int, rows: np.ndarray, forced: list[list[int]]) -> None:
    """Leave a row whose prefix goes on no other token than the prefix's. In place."""
    for row, source in enumerate(rows.tolist()):
        if step < len(forced[source]):
            wanted = logits[row, forced[source][step]].clone()
            logits[row] = float("-inf")
            logits[row, forced[source][step]] = wanted


class _Rows:
    """Greedy search and sampling: every row goes its own way. B rows are alive; `rows` names them among all."""

    def __init__(self, model: Any, memory: Any, settings: DecodingSettings, begin: int, end: int, longest: np.ndarray,
                 forced: list[list[int]], samples: int, indices: Sequence[int] | None, stop: Stop | None,
                 on_event: Callable[[Step], None] | None) -> None:  # fmt: skip
        self.model, self.settings, self.end, self.forced, self.stop, self.on_event = model, settings, end, forced, stop, on_event
        self.source = np.repeat(np.arange(len(longest)), samples)  # of all rows
        self.longest, self.samples, self.begin = longest[self.source], samples, begin
        names = np.arange(len(longest)) if indices is None else np.asarray(indices)
        self.names = names[self.source] * 1_000_003 + np.tile(np.arange(samples), len(longest))
        self.state = model.start(memory, torch.from_numpy(self.source))
        count, most = len(self.source), int(self.longest.max(initial=1))
        self.tokens = torch.full((count, most), end, dtype=torch.int64)
        self.scores = torch.zeros(count, most)
        self.lengths = np.zeros(count, dtype=np.int64)  # tokens of a finished row, its end included
        self.finished = np.zeros(count, dtype=bool)  # ended by itself
        self.rows = np.arange(count)  # alive, or waiting to be dropped
        self.done = np.zeros(count, dtype=bool)
        self.has_prefix = any(forced)
        self.number = 0

    def step(self) -> bool:
        """One token for every row; False when none is left."""
        if not len(self.rows) or self.done[self.rows].all():
            return False
        rows, place = torch.from_numpy(self.rows), self.number
        last = torch.full((len(self.rows), 1), self.begin) if place == 0 else self.tokens[rows, place - 1][:, None]
        logits, self.state = self.model.step(last, self.state)
        logits = logits[:, -1]
        norm = torch.logsumexp(logits.float(), -1)
        if place < self.settings.min_length:
            logits[:, self.end] = float("-inf")
        if self.has_prefix:
            _force(logits, place, self.source[self.rows], self.forced)
        if self.settings.temperature > 0:
            chosen = draw(logits, self.settings, uniform(self.settings.seed, self.names[self.rows], place))
        else:
            chosen = logits.argmax(-1)
        self.tokens[rows, place] = chosen
        self.scores[rows, place] = logits.gather(1, chosen[:, None])[:, 0].float() - norm
        self.number += 1
        self._close(chosen.numpy())
        return True

    def _close(self, chosen: np.ndarray) -> None:
        ended, open_ = chosen == self.end, ~self.done[self.rows]
        if self.stop is not None:
            for place in np.flatnonzero(open_ & ~ended):
                row = int(self.rows[place])
                ended[place] = self.stop(int(self.source[row]), self.tokens[row, : self.number].tolist())
        full = self.number >= self.longest[self.rows]
        if self.on_event is not None:
            self._tell(chosen, ended, open_)
        closing = self.rows[(ended | full) & open_]
        self.lengths[closing] = self.number
        self.finished[self.rows[ended & open_]] = True
        self.done[closing] = True
        alive = ~self.done[self.rows]
        if alive.any() and alive.sum() <= 0.9 * len(self.rows):  # worth the copy
            self.state = self.state.select(torch.from_numpy(np.flatnonzero(alive)))
            self.rows = self.rows[alive]

    def _tell(self, chosen: np.ndarray, ended: np.ndarray, open_: np.ndarray) -> None:
        assert self.on_event is not None
        shown = self.rows[open_]
        total = self.scores[torch.from_numpy(shown), : self.number].sum(1).tolist()
        fate = np.where(ended[open_], "finished", "kept").tolist()
        self.on_event(Step(self.number - 1, self.source[shown].tolist(), [0] * len(shown), chosen[open_].tolist(), total, fate))

    def answers(self) -> list[list[Hypothesis]]:
        found: list[list[Hypothesis]] = [[] for _ in range(len(self.source) // self.samples)]
        tokens, scores = self.tokens.tolist(), self.scores.tolist()
        for row, source in enumerate(self.source.tolist()):
            length = int(self.lengths[row])
            ids, each = tokens[row][:length], scores[row][:length]
            if ids and ids[-1] == self.end:
                ids = ids[:-1]
            total = float(sum(each))
            score = total / max(1, length) ** self.settings.length_penalty
            found[source].append(Hypothesis(ids, score, total, each, bool(self.finished[row])))
        return [sorted(group, key=lambda one: -one.score) for group in found]


class _Beams:
    """Beam search. Of a source's 2K best continuations, those among the first K that end are finished, and the first K
    that go on live; a source is complete when K are finished or its maximum length is reached."""

    def __init__(self, model: Any, memory: Any, settings: DecodingSettings, begin: int, end: int, longest: np.ndarray,
                 forced: list[list[int]], stop: Stop | None, on_event: Callable[[Step], None] | None) -> None:  # fmt: skip
        self.model, self.settings, self.end, self.forced, self.stop, self.on_event = model, settings, end, forced, stop, on_event
        self.longest = longest
        self.sources = np.arange(len(longest))  # R alive
        self.state = model.start(memory, torch.arange(len(longest)))
        self.beams = 1  # rows a source, K from the second step on
        self.last = torch.full((len(longest), 1), begin)
        self.totals = torch.zeros(len(longest), 1)  # (R, beams)
        self.tokens = torch.empty(len(longest), 0, dtype=torch.int64)  # (R * beams, steps)
        self.history = torch.empty(len(longest), 0)  # (R * beams, steps) totals after each token
        self.found: list[list[Hypothesis]] = [[] for _ in longest]
        self.has_prefix = any(forced)
        self.number = 0

    def step(self) -> bool:
        if not len(self.sources):
            return False
        logits, self.state = self.model.step(self.last, self.state)
        logits = logits[:, -1]
        norm = torch.logsumexp(logits.float(), -1, keepdim=True)
        if self.number < self.settings.min_length:
            logits[:, self.end] = float("-inf")
        if self.has_prefix:
            _force(logits, self.number, np.repeat(self.sources, self.beams), self.forced)
        wide, alive = self.settings.beams, len(self.sources)
        values, tokens = logits.topk(min(2 * wide, logits.shape[1]), -1)
        totals = (self.totals.view(-1, 1) + (values.float() - norm)).view(alive, -1)  # (R, beams * 2K)
        totals, places = totals.topk(min(2 * wide, totals.shape[1]), -1)
        parents = places // tokens.shape[1]  # (R, 2K) beam each grew from
        tokens = tokens.view(alive, -1).gather(1, places)
        self._advance(totals, parents, tokens)
        return True

    def _advance(self, totals: Tensor, parents: Tensor, tokens: Tensor) -> None:
        wide, alive = self.settings.beams, len(self.sources)
        self.number += 1
        ends = tokens == self.end
        rank = torch.arange(tokens.shape[1])
        usable = totals > float("-inf")
        closing = ends & (rank < wide) & usable
        goes_on = ~ends & usable
        order = torch.where(goes_on, rank, rank + tokens.shape[1]).argsort(-1)[:, :wide]  # first K that go on
        kept_totals = totals.gather(1, order).masked_fill(~goes_on.gather(1, order), float("-inf"))
        rows = (torch.arange(alive)[:, None] * self.beams + parents.gather(1, order)).view(-1)
        kept_tokens = tokens.gather(1, order)
        if self.on_event is not None:
            self._tell(totals, parents, tokens, closing, order)
        self._finish(closing, totals, parents)
        full = self.longest[self.sources] <= self.number
        self.tokens = torch.cat((self.tokens[rows], kept_tokens.view(-1, 1)), 1)
        self.history = torch.cat((self.history[rows], kept_totals.view(-1, 1)), 1)
        self.totals = kept_totals
        if self.stop is not None:
            self._ask()
        over = np.array([full[i] or len(self.found[s]) >= wide for i, s in enumerate(self.sources.tolist())])
        dead = (self.totals == float("-inf")).all(1).numpy()
        for place in np.flatnonzero(full & (np.array([len(self.found[s]) for s in self.sources]) < wide)):
            self._cut(int(place))
        self._shrink(rows, ~(over | dead))

    def _shrink(self, rows: Tensor, keep: np.ndarray) -> None:
        """Go on with the sources to `keep`; rows: where every live beam stands in the state."""
        wide = self.settings.beams
        if keep.all():
            self.state = self.state.select(rows)
        elif keep.any():
            stay = torch.from_numpy(np.flatnonzero(keep))
            beams = (stay[:, None] * wide + torch.arange(wide)).view(-1)
            self.state = self.state.select(rows[beams])
            self.tokens, self.history, self.totals = self.tokens[beams], self.history[beams], self.totals[stay]
        self.sources = self.sources[keep]
        self.beams, self.last = wide, self.tokens[:, -1:]

    def _finish(self, closing: Tensor, totals: Tensor, parents: Tensor) -> None:
        for place, rank in closing.nonzero().tolist():
            source = int(self.sources[place])
            if len(self.found[source]) >= self.settings.beams:
                continue
            row = place * self.beams + int(parents[place, rank])
            self._add(source, self.tokens[row].tolist(), [*self.history[row].tolist(), float(totals[place, rank])], True)

    def _cut(self, place: int) -> None:
        """The maximum length is reached: what still lives is given back as cut."""
        source = int(self.sources[place])
        for beam in range(self.settings.beams):
            row = place * self.settings.beams + beam
            if len(self.found[source]) < self.settings.beams and float(self.totals[place, beam]) > float("-inf"):
                self._add(source, self.tokens[row].tolist(), self.history[row].tolist(), False)

    def _ask(self) -> None:
        assert self.stop is not None
        for place, source in enumerate(self.sources.tolist()):
            for beam in range(self.settings.beams):
                row = place * self.settings.beams + beam
                if float(self.totals[place, beam]) > float("-inf") and self.stop(source, self.tokens[row].tolist()):
                    self._add(source, self.tokens[row].tolist(), self.history[row].tolist(), True)
                    self.totals[place, beam] = float("-inf")

    def _add(self, source: int, tokens: list[int], history: list[float], finished: bool) -> None:
        each = [after - before for after, before in zip(history, [0.0, *history], strict=False)]
        score = history[-1] / len(history) ** self.settings.length_penalty
        self.found[source].append(Hypothesis(tokens, score, history[-1], each, finished))

    def _tell(self, totals: Tensor, parents: Tensor, tokens: Tensor, closing: Tensor, order: Tensor) -> None:
        assert self.on_event is not None
        kept = torch.zeros_like(closing).scatter_(1, order, True)
        fate = [("finished" if c else "kept" if k else "pruned") for c, k in zip(closing.view(-1).tolist(), kept.view(-1).tolist(), strict=True)]
        sources = np.repeat(self.sources, tokens.shape[1]).tolist()
        flat = (x.reshape(-1).tolist() for x in (parents, tokens, totals))
        self.on_event(Step(self.number - 1, sources, *flat, fate))  # type: ignore[arg-type]

    def answers(self) -> list[list[Hypothesis]]:
        """Best first. An answer that ended comes before one that was cut."""
        return [sorted(group, key=lambda one: (not one.finished, -one.score))[: self.settings.n_best] for group in self.found]


@torch.inference_mode()
def force(model: Any, inputs: dict[str, Tensor], targets: Tensor) -> list[list[float]]:
    """Log-probabilities (nats) of given answers, token by token.

    inputs: as for `model(**inputs)`, with packed "target" (begin and tokens); targets: packed (N,) tokens and end.
    """
    log_probabilities = model.project(model(**inputs)).float().log_softmax(-1)
    each = log_probabilities.gather(1, targets[:, None])[:, 0]
    return [part.tolist() for part in each.split(inputs["target_lengths"].tolist())]
