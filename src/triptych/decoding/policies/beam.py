"""Beam search with K beams (Graves 2012; Sutskever et al. 2014, section 3.2).

At each step the 2K best continuations of a source are ranked, or (1 + E)K if E tokens end an
answer, so that K go on. Among the first K, those that end are finished; the first K that do not end
become the next beams. A source is complete as soon as K answers are finished, or at its maximum
length, where the first K candidates are returned as cut. CTranslate2 and fairseq use this rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ...model.typed import from_numpy, to_float_rows, to_floats, to_int_rows, to_ints
from ..hypothesis import Hypothesis, SearchStep
from ..settings import DecodingSettings
from .choose import Ends, Exact, LogitsView, is_end, repeats
from .constraints import constraints_of
from .joining import Joinable, Stop, are_alike, cat_wide, stops_of

NEVER = float("-inf")


class BeamPolicy:
    """Search with beams; it has the methods of `SamplingPolicy`.

    R sources are live; each has `width` rows: one at first, then K.
    """

    def __init__(
        self,
        settings: DecodingSettings,
        ends: Ends,
        longest: np.ndarray,
        prefixes: Sequence[Sequence[int]],
        prefix_scores: Tensor,
        names: np.ndarray,
        stop: Stop | None,
        on_event: Callable[[SearchStep], None] | None,
        uncounted: np.ndarray,
        before: Sequence[int] = (),
    ) -> None:
        self.settings, self.ends, self.on_event = settings, ends, on_event
        self.constrain = constraints_of(settings, ends)
        self.stops = stops_of(stop, len(longest))
        device, count, most = prefix_scores.device, len(longest), int(longest.max(initial=1))
        self.longest = longest  # (all sources,)
        self.sources = np.arange(count)  # (R,) alive
        self.written = np.array([len(prefix) for prefix in prefixes], dtype=np.int64)  # (R,)
        self.width = 1
        # (R * width, most)
        self.tokens = torch.full((count, most), ends[0], dtype=torch.int64, device=device)
        self.scores = torch.zeros(count, most, device=device)  # each token's log-probability
        self.scores[:, : prefix_scores.shape[1]] = prefix_scores
        for row, prefix in enumerate(prefixes):
            self.tokens[row, : len(prefix)] = torch.tensor(prefix, dtype=torch.int64)
        self.uncounted = uncounted  # (all sources,)
        self.before = torch.tensor(before, dtype=torch.int64, device=device)
        self.totals = self.scores.sum(1)[:, None]  # (R, width)
        if uncounted.any():
            place = np.arange(self.scores.shape[1])[None] >= uncounted[:, None]
            self.totals = (self.scores * from_numpy(place).to(device)).sum(1)[:, None]
        self.found: list[list[Hypothesis]] = [[] for _ in longest]
        self.number_found = np.zeros(count, dtype=np.int64)
        self.early = bool((self.written < uncounted + settings.min_length).any())
        self.number = 0

    @property
    def first(self) -> Tensor:
        """Return the source (B,) that each row begins from."""
        return torch.arange(len(self.longest))

    @property
    def count(self) -> int:
        return len(self.sources) * self.width

    def choose(
        self, logits: Tensor, exact: Exact | None = None
    ) -> tuple[Tensor, Tensor | None, list[int]]:
        """Choose tokens by logits (count, V), which are changed in place.

        Returns:
            The tokens to feed next, the rows to keep and the sources that are complete.
        """
        if self.constrain is not None:
            first, so_far = (
                each.repeat(self.width) for each in (self.uncounted[self.sources], self.written)
            )
            self.constrain(logits, self.tokens, first, so_far)
        view = LogitsView(logits)
        if self.constrain is None:
            view.suppress(self.settings.suppress_tokens)
        if self.early:
            young = self.written < self.uncounted[self.sources] + self.settings.min_length
            self.early = bool(young.any())
            for end in self.ends:
                view.forbid(end, from_numpy(young).to(logits.device).repeat_interleave(self.width))
        if self.settings.no_repeat_ngram_size:
            first, so_far = (from_numpy(each).to(logits.device).repeat_interleave(self.width)
                             for each in (self.uncounted[self.sources], self.written))  # fmt: skip
            written = self.tokens[:, : int(self.written.max())]
            again = repeats(
                written, first, so_far, self.settings.no_repeat_ngram_size, self.ends, self.before
            )
            view.forbid_each(*again, len(self.ends))
        wide = min((1 + len(self.ends)) * self.settings.beams, self.width * logits.shape[1])
        if exact is not None:  # of a row at most K go on, and one ends with each end token
            view.refine(exact, wide if self.width == 1 else self.settings.beams + len(self.ends))
        norms = view.norms
        assert norms is not None, "LogitsView was made with norms"
        totals, rows, tokens, values = view.best_of_beams(
            self.totals.view(-1) - norms, self.width, wide
        )
        return self._advance(totals, rows, tokens, values - norms[rows])

    def _advance(
        self, totals: Tensor, rows: Tensor, tokens: Tensor, each: Tensor
    ) -> tuple[Tensor, Tensor, list[int]]:
        wide, device = self.settings.beams, totals.device
        rank = torch.arange(tokens.shape[1], device=device)
        full = self.written + 1 >= self.longest[self.sources]
        ends, usable = is_end(tokens, self.ends), totals > NEVER
        closing = usable & (rank < wide) & (ends | from_numpy(full).to(device)[:, None])
        dead = ends | ~usable
        order = (rank + dead * tokens.shape[1]).argsort(-1)[:, :wide]  # (R, K) the first that go on
        # With fewer continuations than beams, the last is repeated with a score of minus infinity.
        if order.shape[1] < wide:
            order = torch.cat((order, order[:, -1:].expand(-1, wide - order.shape[1])), 1)
        kept = totals.gather(1, order).masked_fill(dead.gather(1, order), NEVER)
        kept[:, min(tokens.shape[1], wide) :] = NEVER
        if self.on_event is not None:
            self._report(totals, rows, tokens, closing, order, kept > NEVER, full)
        if bool(closing.any()):
            self._finish(closing, rows, tokens, each, totals)
        rows = rows.gather(1, order).view(-1)
        at = (
            torch.arange(rows.numel(), device=device),
            from_numpy(np.repeat(self.written, wide)).to(device),
        )
        self.tokens, self.scores = self.tokens[rows], self.scores[rows]
        self.tokens[at], self.scores[at] = (
            tokens.gather(1, order).view(-1),
            each.gather(1, order).view(-1),
        )
        self.totals, self.width, self.number = kept, wide, self.number + 1
        self.written += 1
        if any(self.stops):
            self._apply_stop()
        over = full | self._is_over(wide)
        # Only here can all beams of a source have ended.
        if any(self.stops) or tokens.shape[1] < (1 + len(self.ends)) * wide:
            over |= (self.totals == NEVER).all(1).cpu().numpy()
        ended = self.sources[over].tolist()
        return *self._shrink(rows, ~over), ended

    def _is_over(self, wide: int) -> np.ndarray:
        """Tell for each live source whether it has its answers: as many as beams.

        Without early_stopping the best live beam must also rank below all of them, as the answer
        that it is now.
        """
        over = self.number_found[self.sources] >= wide
        if self.settings.early_stopping or not over.any():
            return over
        lengths = self.written - self.uncounted[self.sources]
        live = to_floats(self.totals[:, 0])
        for place in np.flatnonzero(over).tolist():
            found = self.found[int(self.sources[place])]
            scores = sorted((one.score for one in found), reverse=True)
            best = live[place] / float(lengths[place]) ** self.settings.length_penalty
            over[place] = best <= scores[wide - 1]
        return over

    def _shrink(self, rows: Tensor, keep: np.ndarray) -> tuple[Tensor, Tensor]:
        """Go on with the sources to `keep`; `rows` holds the state's row of each live beam."""
        if not keep.all():
            stay = from_numpy(np.flatnonzero(keep)).to(rows.device)
            beams = (
                stay[:, None] * self.width + torch.arange(self.width, device=rows.device)
            ).view(-1)
            rows, self.tokens, self.scores, self.totals = (
                rows[beams],
                self.tokens[beams],
                self.scores[beams],
                self.totals[stay],
            )
            self.sources, self.written = self.sources[keep], self.written[keep]
        last = from_numpy(np.repeat(self.written, self.width)).to(rows.device) - 1
        return self.tokens.gather(1, last[:, None])[:, 0], rows

    def _finish(
        self, closing: Tensor, rows: Tensor, tokens: Tensor, each: Tensor, totals: Tensor
    ) -> None:
        """Record the continuations that are complete answers."""
        place = to_ints(closing.nonzero()[:, 0])
        before = rows[closing]
        columns = (
            to_int_rows(self.tokens[before]),
            to_float_rows(self.scores[before]),
            to_ints(tokens[closing]),
            to_floats(each[closing]),
            to_floats(totals[closing]),
            place,
        )
        for ids, scores, token, last, total, source in zip(*columns, strict=True):
            length = int(self.written[source])
            ended = token in self.ends
            ids = ids[:length] if ended else [*ids[:length], token]
            self._add(int(self.sources[source]), ids, [*scores[:length], last], total, ended)

    def _apply_stop(self) -> None:
        for place, source in enumerate(self.sources.tolist()):
            length, stop = int(self.written[place]), self.stops[source]
            if stop is None or length >= self.longest[source]:
                continue
            for beam in range(self.width):
                row, total = place * self.width + beam, float(self.totals[place, beam])
                if total > NEVER and stop(ids := to_ints(self.tokens[row, :length])):
                    self._add(source, ids, to_floats(self.scores[row, :length]), total, True)
                    self.totals[place, beam] = NEVER

    def _add(
        self, source: int, tokens: list[int], each: list[float], total: float, finished: bool
    ) -> None:
        score = total / (len(each) - int(self.uncounted[source])) ** self.settings.length_penalty
        self.found[source].append(Hypothesis(tokens, score, total, each, finished))
        self.number_found[source] += 1

    def is_like(self, other: Joinable) -> bool:
        """Tell whether the sources of the other policy can be joined to these."""
        return are_alike(self, other)

    def prune(self) -> list[int]:
        """Forget sources that have no row left, and return those that are kept, in order."""
        kept: list[int] = self.sources.tolist()
        self.longest, self.uncounted = self.longest[kept], self.uncounted[kept]
        self.number_found = self.number_found[kept]
        self.found, self.stops = [self.found[i] for i in kept], [self.stops[i] for i in kept]
        self.sources = np.arange(len(kept))
        return kept

    def join(self, other: BeamPolicy) -> None:
        """Add the sources of another policy of like settings, past its first step, after these."""
        assert self.width == other.width, "both have as many rows for a source"
        self.sources = np.concatenate((self.sources, len(self.longest) + other.sources))
        for name in ("longest", "written", "uncounted", "number_found"):
            setattr(self, name, np.concatenate((getattr(self, name), getattr(other, name))))
        self.tokens = cat_wide(self.tokens, other.tokens, self.ends[0])
        self.scores = cat_wide(self.scores, other.scores, 0)
        self.totals = torch.cat((self.totals, other.totals))
        self.found, self.stops = self.found + other.found, self.stops + other.stops
        self.early = self.early or other.early

    def settled(self, source: int) -> list[int]:
        """Return the beginning of a source's best answer that can no longer change.

        It is what the live beams and the best finished answer have in common: no other can win.
        """
        place = int(np.flatnonzero(self.sources == source)[0])
        rows = slice(place * self.width, (place + 1) * self.width)
        live = [
            tokens
            for tokens, total in zip(
                to_int_rows(self.tokens[rows, : self.written[place]]),
                to_floats(self.totals[place]),
                strict=True,
            )
            if total > NEVER
        ]
        found = [self._ranked(source)[0].tokens] if self.found[source] else []
        return common_prefix([*live, *found])

    def drop(self, sources: Sequence[int]) -> Tensor | None:
        """Drop `sources` and return the rows to keep, or None for all."""
        keep = ~np.isin(self.sources, sources)
        if keep.all():
            return None
        return self._shrink(torch.arange(self.count, device=self.tokens.device), keep)[1]

    def _report(
        self,
        totals: Tensor,
        rows: Tensor,
        tokens: Tensor,
        closing: Tensor,
        order: Tensor,
        alive: Tensor,
        full: np.ndarray,
    ) -> None:
        assert self.on_event is not None
        kept = torch.zeros_like(closing).scatter_(1, order, alive)
        fate: list[str] = []
        for source, flags in enumerate(
            zip(
                to_int_rows(closing),
                to_int_rows(kept),
                to_int_rows(is_end(tokens, self.ends)),
                strict=True,
            )
        ):
            for closes, lives, ends in zip(*flags, strict=True):
                lives = lives and not full[source]
                fate.append(
                    ("finished" if ends else "cut") if closes else "kept" if lives else "pruned"
                )
        sources: list[int] = np.repeat(self.sources, tokens.shape[1]).tolist()
        parents = rows - torch.arange(0, self.count, self.width, device=rows.device)[:, None]
        parent, token = (to_ints(x.reshape(-1)) for x in (parents, tokens))
        total = to_floats(totals.reshape(-1))
        self.on_event(SearchStep(self.number, sources, parent, token, total, fate))

    def answer(self, source: int) -> list[Hypothesis]:
        """Return the n best answers, best first.

        Finished ones come before cut ones, unless early_stopping is off.
        """
        return self._ranked(source)[: self.settings.n_best]

    def _ranked(self, source: int) -> list[Hypothesis]:
        apart = self.settings.early_stopping
        return sorted(self.found[source], key=lambda one: (apart and not one.finished, -one.score))


def common_prefix(several: Sequence[list[int]]) -> list[int]:
    """Return the longest common prefix of several lists."""
    if not several:
        return []
    first, last = min(several), max(several)  # of sorted lists, the first and the last differ first
    size = next(
        (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    return first[:size]
