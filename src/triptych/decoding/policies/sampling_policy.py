"""Search greedily or by sampling; every row is independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ...model.typed import from_numpy, to_float_rows, to_floats, to_int_rows, to_ints
from ..hypothesis import Hypothesis, SearchStep
from ..settings import DecodingSettings
from .choose import Ends, Exact, LogitsView, is_end, log_norms, repeat_less, repeats
from .constraints import constraints_of
from .distribution import draw, uniform
from .joining import Joinable, OwnStop, Stop, are_alike, cat_wide, stops_of

RERANK_TOP_K = 3  # best tokens of a row whose rounded logits are computed again
DEAD_SHARE = 0.1  # finished rows are removed once they are this share of all rows
# what is held of each row, beside tokens and scores
ROWS = ("longest", "names", "seeds", "written", "finished", "done", "uncounted", "least")


class SamplingPolicy:
    """Choose the next token of `count` rows, and which rows to go on with.

    Rows of one source are its draws. Row numbers never change; `alive` holds those that are still
    computed, of which the `done` ones wait to be removed.
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
        """Begin with the given prefixes.

        `uncounted` is, for each source, how many tokens of its prefix do not count in scores and
        lengths; `before` is that of `search`.
        """
        self.settings, self.ends, self.on_event = settings, ends, on_event
        self.constrain = constraints_of(settings, ends)
        self.stops: list[OwnStop | None] = stops_of(stop, len(longest))
        samples = max(settings.n_best, settings.samples) if settings.temperature > 0 else 1
        self.width, device = samples, prefix_scores.device
        self.source: np.ndarray = np.repeat(np.arange(len(longest)), samples)
        self.longest = longest[self.source]
        self.names = names[self.source] * 1_000_003 + np.tile(np.arange(samples), len(longest))
        self.seeds = np.full(len(self.source), settings.seed % 2**63, dtype=np.uint64)
        count, most, given = len(self.source), int(longest.max(initial=1)), prefix_scores.shape[1]
        # One column more than is needed: a full row that is still computed writes there.
        self.tokens = torch.full((count, most + 1), ends[0], dtype=torch.int64, device=device)
        self.scores = torch.zeros(count, most + 1, device=device)
        self.scores[:, :given] = prefix_scores[from_numpy(self.source).to(device)]
        for row, source in enumerate(self.source.tolist() if given else ()):
            self.tokens[row, : len(prefixes[source])] = torch.tensor(
                prefixes[source], dtype=torch.int64
            )
        sources: list[int] = self.source.tolist()
        self.written = np.array([len(prefixes[source]) for source in sources], dtype=np.int64)
        self.finished, self.done = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        self.alive = np.arange(count)
        self.uncounted, self.before = (
            uncounted[self.source],
            torch.tensor(before, dtype=torch.int64, device=device),
        )
        self.least = self.uncounted + settings.min_length  # tokens before the end is allowed
        self.early = bool((self.written < self.least).any())
        self.number = 0
        self.room: int | None = None  # positions of the model, past which no row may be computed
        self.lingered = 0  # steps for which finished rows have been computed on

    @property
    def first(self) -> Tensor:
        """Return the source (B,) that each row begins from."""
        return from_numpy(self.source)

    @property
    def count(self) -> int:
        return len(self.alive)

    def choose(
        self, logits: Tensor, exact: Exact | None = None
    ) -> tuple[Tensor, Tensor | None, list[int]]:
        """Choose tokens by logits (count, V), which are changed in place.

        Returns:
            The tokens to feed next, the rows to keep (None: all) and the sources that are complete.
        """
        settings, alive, device = self.settings, from_numpy(self.alive), logits.device
        own = None
        # The penalty decides what is written, but scores are those of the model.
        if settings.repetition_penalty != 1:
            own, logits, exact = logits, self._repeat_less(logits), None
        places = self.written[self.alive]
        if self.constrain is not None:
            rows = self.tokens[alive.to(device)]
            self.constrain(logits, rows, self.uncounted[self.alive], places)
        view = LogitsView(logits, settings.scores and own is None)
        if self.constrain is None:
            view.suppress(settings.suppress_tokens)
        if self.early:
            young = places < self.least[self.alive]
            self.early = bool(young.any())
            for end in self.ends:
                view.forbid(end, from_numpy(young).to(device))
        if settings.no_repeat_ngram_size:
            own_first, so_far = (
                from_numpy(each).to(device) for each in (self.uncounted[self.alive], places)
            )
            written = self.tokens[alive.to(device), : int(places.max())]
            again = repeats(
                written, own_first, so_far, settings.no_repeat_ngram_size, self.ends, self.before
            )
            view.forbid_each(*again, len(self.ends))
        if settings.temperature > 0:
            chosen = draw(
                logits, settings, uniform(self.seeds[self.alive], self.names[self.alive], places)
            )
            values = logits.gather(1, chosen[:, None])[:, 0].float()
        else:
            if exact is not None:
                view.refine(exact, RERANK_TOP_K)
            chosen, values = view.best()
        at = (alive.to(device), from_numpy(places).to(device))
        self.tokens[at] = chosen
        if own is not None and settings.scores:
            self.scores[at] = own.gather(1, chosen[:, None])[:, 0].float() - log_norms(own)
        if view.norms is not None:
            self.scores[at] = values - view.norms
        return self._close(chosen)

    def _repeat_less(self, logits: Tensor) -> Tensor:
        written = from_numpy(self.written[self.alive]).to(logits.device)
        seen = self.tokens[
            from_numpy(self.alive).to(logits.device),
            : int(written.max()) if written.numel() else 0,
        ]
        return repeat_less(logits, seen, written, self.settings.repetition_penalty)

    def _close(self, chosen: Tensor) -> tuple[Tensor, Tensor | None, list[int]]:
        ended, going = is_end(chosen, self.ends).cpu().numpy(), ~self.done[self.alive]
        self.written[self.alive[going]] += 1
        if any(self.stops):
            for place in np.flatnonzero(going & ~ended):
                row = int(self.alive[place])
                if stop := self.stops[int(self.source[row])]:
                    ended[place] = stop(to_ints(self.tokens[row, : self.written[row]]))
        if self.on_event is not None:
            self._report(chosen, ended, going)
        self.number += 1
        closing = going & (ended | (self.written[self.alive] >= self.longest[self.alive]))
        if not closing.any() and not self.lingered:
            return chosen, None, []
        rows = self.alive[closing]
        self.finished[rows], self.done[rows] = ended[closing], True
        over = [
            int(s)
            for s in np.unique(self.source[rows])
            if self.done[s * self.width : (s + 1) * self.width].all()
        ]
        keep = self._keep()
        if keep is None:
            return chosen, None, over
        self.alive = self.alive[keep]
        rows_kept = from_numpy(keep).to(chosen.device)
        return chosen[rows_kept], rows_kept, over

    def _keep(self) -> np.ndarray | None:
        """Return the places of `alive` to go on with, or None if too few rows have ended."""
        going = ~self.done[self.alive]
        many = going.sum() > (1 - DEAD_SHARE) * len(going)
        if many and self.room is not None and not going.all():
            longest = int(self.written[self.alive][~going].max())
            many = longest + self.lingered < self.room
        self.lingered = 0 if not many or going.all() else self.lingered + 1
        return None if many else np.flatnonzero(going)

    def is_like(self, other: Joinable) -> bool:
        """Tell whether the sources of the other policy can be joined to these."""
        return are_alike(self, other)

    def prune(self) -> list[int]:
        """Forget sources that have no row left, and return those that are kept, in order."""
        held = ~self.done
        held[self.alive] = True
        kept = held.reshape(-1, self.width).any(1)
        if not kept.all():
            rows = np.repeat(kept, self.width)
            at = from_numpy(np.flatnonzero(rows)).to(self.tokens.device)
            self.alive = (np.cumsum(rows) - 1)[self.alive]
            for name in ROWS:
                setattr(self, name, getattr(self, name)[rows])
            self.tokens, self.scores = self.tokens[at], self.scores[at]
            going: list[int] = np.flatnonzero(kept).tolist()
            self.stops = [self.stops[place] for place in going]
            self.source = np.repeat(np.arange(len(going)), self.width)
        return np.flatnonzero(kept).tolist()

    def join(self, other: SamplingPolicy) -> None:
        """Add the sources of another policy of like settings after those of this one."""
        own = len(self.source)
        self.alive = np.concatenate((self.alive, own + other.alive))
        self.source = np.concatenate((self.source, own // self.width + other.source))
        for name in ROWS:
            setattr(self, name, np.concatenate((getattr(self, name), getattr(other, name))))
        self.tokens = cat_wide(self.tokens, other.tokens, self.ends[0])
        self.scores = cat_wide(self.scores, other.scores, 0)
        self.stops, self.early = self.stops + other.stops, self.early or other.early

    def settled(self, source: int) -> list[int]:
        """Return the tokens of a source's first draw, which no longer change."""
        return to_ints(self.tokens[source * self.width, : int(self.written[source * self.width])])

    def drop(self, sources: Sequence[int]) -> Tensor | None:
        """Drop `sources` and return the rows to keep, or None for all."""
        self.done |= np.isin(self.source, sources)
        keep = self._keep()
        if keep is not None:
            self.alive = self.alive[keep]
        return None if keep is None else from_numpy(keep)

    def _report(self, chosen: Tensor, ended: np.ndarray, going: np.ndarray) -> None:
        assert self.on_event is not None
        shown = self.alive[going]
        full = self.written[shown] >= self.longest[shown]
        total = self.scores[from_numpy(shown)].cumsum(1)
        total = total.gather(1, from_numpy(self.written[shown] - 1).to(total.device)[:, None])[:, 0]
        fate = np.where(ended[going], "finished", np.where(full, "cut", "kept")).tolist()
        parent = (shown % self.width).tolist()
        tokens = to_ints(chosen[from_numpy(going)])
        self.on_event(
            SearchStep(
                self.number, self.source[shown].tolist(), parent, tokens, to_floats(total), fate
            )
        )

    def answer(self, source: int) -> list[Hypothesis]:
        """Return the best draws of a source, without duplicates if more are drawn than kept."""
        rows = slice(source * self.width, (source + 1) * self.width)
        found: list[Hypothesis] = []
        for row, tokens, scores in zip(
            range(rows.start, rows.stop),
            to_int_rows(self.tokens[rows]),
            to_float_rows(self.scores[rows]),
            strict=True,
        ):
            length, uncounted = int(self.written[row]), int(self.uncounted[row])
            each, ids = scores[:length] if self.settings.scores else [], tokens[:length]
            total = float(sum(each[uncounted:]))
            ids = ids[:-1] if ids[-1] in self.ends else ids
            score = total / (length - uncounted) ** self.settings.length_penalty
            found.append(Hypothesis(ids, score, total, each, bool(self.finished[row])))
        found.sort(key=lambda one: (not one.finished, -one.score))
        if self.settings.samples > self.settings.n_best:
            first: dict[tuple[int, ...], Hypothesis] = {}
            for one in found:
                first.setdefault(tuple(one.tokens), one)
            found = list(first.values())
        return found[: self.settings.n_best]
