"""Decode all admitted sources together, one token at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Required, TypedDict, Unpack, cast

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..model.interface import AnyModel, DecoderState, ExactModel
from ..model.transformer import Transformer
from ..model.typed import to_ints
from .compiled import compile_step
from .hypothesis import Hypothesis, SearchStep
from .policies.beam import BeamPolicy
from .policies.choose import Ends, Exact
from .policies.joining import Stop
from .policies.sampling_policy import SamplingPolicy
from .prompts import read_ends, reads_ends
from .reading import longest_answers, positions, read
from .settings import DecodingSettings

Policy = SamplingPolicy | BeamPolicy
Kept = tuple[
    int, int, Tensor | None
]  # a group's first row, number of rows, rows that go on (None: all)


class AdmitOptions(TypedDict, total=False):
    """Optional arguments of `Decoding.admit`, described at `search`."""

    max_lengths: Sequence[int] | None
    prefixes: Sequence[Sequence[int]] | None
    stop: Stop | None
    indices: Sequence[int] | None
    on_event: Callable[[SearchStep], None] | None
    counted: bool
    before: Sequence[int]
    begins: Sequence[int] | None


class AdmitArguments(AdmitOptions):
    """All arguments of `Decoding.admit`."""

    inputs: Required[dict[str, Tensor]]
    settings: Required[DecodingSettings]


class Entering(NamedTuple):
    """Describe one source to admit: its settings, its options, and the length of its source."""

    settings: DecodingSettings
    options: AdmitOptions
    source_length: int | None = None


class Decoding:
    """Decode groups of sources, which may join and leave at any step.

    Each group has its own settings. `answers` holds what is complete, by the number that `admit`
    returned; the caller takes it out.
    """

    def __init__(self, model: AnyModel, *, begin: int, end: int | Ends) -> None:
        self.model, self.begin, self.ends = (
            model,
            begin,
            (end,) if isinstance(end, int) else tuple(end),
        )
        self.groups: list[Policy] = []
        self.numbers: list[list[int]] = []  # the number of each group's sources
        self.state: DecoderState | None = None
        self.last: list[Tensor] = []  # the tokens of each group to feed next
        self.answers: dict[int, list[Hypothesis]] = {}
        self.admitted = 0

    @property
    def live(self) -> int:
        """Return how many rows the next step will compute."""
        return sum(group.count for group in self.groups)

    @torch.inference_mode()
    def admit(
        self,
        inputs: dict[str, Tensor],
        settings: DecodingSettings,
        **options: Unpack[AdmitOptions],
    ) -> list[int]:
        """Admit sources and write their first token; the arguments are those of `search`.

        Returns:
            A number for each source.
        """
        settings.check()
        if settings.compile:
            compile_step(self.model, settings)
        sources = to_ints(inputs["source_lengths"]) if "source_lengths" in inputs else None
        prefixes = _prefixes(sources, options)
        if not prefixes:
            return []
        longest = self._longest(settings, sources, prefixes, options)
        begins = options.get("begins") or [self.begin] * len(prefixes)
        scored = options.get("counted", True) or options.get("on_event")
        logits, state, scores, states = self._read(inputs, prefixes, begins, scored)
        group = self._policy(settings, longest, prefixes, scores, options)
        return self._start(group, self._numbered(len(prefixes)), logits, state, states)

    @torch.inference_mode()
    def enter(self, state: DecoderState, sources: Sequence[Entering]) -> list[int]:
        """Admit sources that have been read already, all but the last token of each prefix.

        That token is read with the next step of all rows, or at once where a source has several
        rows. All groups must have as many rows for a source. Prefixes are not scored.

        Args:
            state: With a row for each source.
            sources: In any mixture of settings.

        Returns:
            A number for each source.
        """
        alike: list[tuple[Policy, list[int]]] = []  # with the places of its sources
        last: list[int] = []
        for place, (settings, options, length) in enumerate(sources):
            settings.check()
            ((prefix,), lengths) = _prefixes([0], options), None if length is None else [length]
            longest = self._longest(settings, lengths, [prefix], options)
            last.append([*(options.get("begins") or [self.begin]), *prefix][-1])
            scores = torch.zeros(1, len(prefix), device=state.lengths.device)
            group = self._policy(settings, longest, [prefix], scores, options)
            for own, places in alike:
                if own.is_like(group):
                    own.join(group)  # type: ignore[arg-type]
                    places.append(place)
                    break
            else:
                alike.append((group, [place]))
        numbers = self._numbered(len(sources))
        for group, places in alike:
            rows = torch.tensor(places, device=state.lengths.device)
            part = state if len(alike) == 1 else state.select(rows)
            fed = torch.tensor(last, device=rows.device)[rows]
            own_numbers = [numbers[place] for place in places]
            if group.width == 1 and group.settings.beams == 1:
                self._join(group, own_numbers, part, fed)
            else:
                logits, part = self.model.step(fed[:, None], part)
                states: Tensor | None = getattr(part, "last", None)
                self._start(group, own_numbers, logits[:, 0], part, states)
        return numbers

    def _longest(
        self,
        settings: DecodingSettings,
        sources: list[int] | None,
        prefixes: list[list[int]],
        options: AdmitOptions,
    ) -> np.ndarray:
        """Return the most tokens of each answer (B,).

        Raises UsageError for prefixes that hold an end, or leave nothing to write.
        """
        # A prompt may hold ends: of earlier turns of a conversation.
        if sources is not None and any(end in one for one in prefixes for end in self.ends):
            raise UsageError("A forced prefix must not hold the end token.")
        lengths = [len(prefix) for prefix in prefixes] if sources is None else sources
        return longest_answers(self.model, settings, lengths, prefixes, options.get("max_lengths"))

    def _policy(
        self,
        settings: DecodingSettings,
        longest: np.ndarray,
        prefixes: list[list[int]],
        scores: Tensor,
        options: AdmitOptions,
    ) -> Policy:
        """Return what chooses the tokens of sources whose prefixes have these scores (B, P)."""
        indices, counted = options.get("indices"), options.get("counted", True)
        uncounted = [0 if counted else len(prefix) for prefix in prefixes]
        policy = BeamPolicy if settings.beams > 1 else SamplingPolicy
        found = policy(
            settings,
            self.ends,
            longest,
            prefixes,
            scores,
            np.arange(len(longest)) if indices is None else np.asarray(indices),
            options.get("stop"),
            options.get("on_event"),
            np.array(uncounted, dtype=np.int64),
            options.get("before", ()),
        )
        if isinstance(found, SamplingPolicy):
            found.room = positions(self.model)
        return found

    def _numbered(self, count: int) -> list[int]:
        """Return numbers for new sources."""
        self.admitted += count
        return list(range(self.admitted - count, self.admitted))

    def _read(
        self,
        inputs: dict[str, Tensor],
        given: list[list[int]],
        begins: Sequence[int],
        scored: object,
    ) -> tuple[Tensor, DecoderState, Tensor, Tensor | None]:
        """Read what is given of each source's answer.

        Returns:
            Logits (B, V), the state, log-probabilities (B, P) of what was given (zeros unless they
            are `scored`), and the last states (B, D) where the logits were rounded.
        """
        if not scored and isinstance(self.model, Transformer) and reads_ends(self.model):
            rows = [[begin, *prefix] for begin, prefix in zip(begins, given, strict=True)]
            logits, state = read_ends(self.model, rows)
            width = max(map(len, given))
            return logits, state, torch.zeros(len(given), width, device=logits.device), state.last
        memory = self.model.encode(inputs) if "source_lengths" in inputs else None
        logits, found, scores = read(self.model, memory, given, begins)
        is_whole = scores.shape[1] == 0
        return logits, found, scores, getattr(found, "last", None) if is_whole else None

    def _start(
        self,
        group: Policy,
        numbers: list[int],
        logits: Tensor,
        state: DecoderState,
        states: Tensor | None,
    ) -> list[int]:
        """Write the first token of a new group, whose sources have these numbers."""
        settings = group.settings
        # Every draw has its own row from the start.
        if settings.temperature > 0 and max(settings.n_best, settings.samples) > 1:
            rows = group.first.to(logits.device)
            logits, state, states = (
                logits[rows],
                state.select(rows),
                None if states is None else states[rows],
            )
        chosen, rows, over = group.choose(logits, self._exact(states, 0, logits.shape[0]))
        self.collect(group, numbers, over)
        if group.count:
            self._join(group, numbers, state if rows is None else state.select(rows), chosen)
        return numbers

    def _join(self, group: Policy, numbers: list[int], state: DecoderState, last: Tensor) -> None:
        """Go on with the rows of a new group too, as part of a group that is like it."""
        self.state = state if self.state is None else self.state.join(state)
        place = next((i for i, one in enumerate(self.groups) if one.is_like(group)), None)
        if place is None:
            self.groups.append(group)
            self.numbers.append(numbers)
            self.last.append(last)
            return
        own = self.groups[place]
        if place < len(self.groups) - 1:  # its rows stand together
            before = sum(one.count for one in self.groups[: place + 1])
            order = torch.arange(self.live, device=last.device)
            new = torch.arange(self.live, self.live + group.count, device=last.device)
            self.state = self.state.select(torch.cat((order[:before], new, order[before:])))
        assert type(own) is type(group), "like policies are of one class"
        self.numbers[place] = [self.numbers[place][i] for i in own.prune()] + numbers
        own.join(group)  # type: ignore[arg-type]
        self.last[place] = torch.cat((self.last[place], last))

    @torch.inference_mode()
    def step(self) -> list[int]:
        """Write one token in every row.

        Returns:
            The numbers of the sources whose answers are now complete.
        """
        tokens = self.last[0] if len(self.last) == 1 else torch.cat(self.last)
        logits, self.state = self.model.step(tokens[:, None], self.state)
        parts = [(group, group.count) for group in self.groups]
        states: Tensor | None = getattr(self.state, "last", None)
        kept: list[Kept] = []
        ended: list[int] = []
        start = 0
        for place, (group, count) in enumerate(parts):
            self.last[place], rows, over = group.choose(
                logits[start : start + count, 0], self._exact(states, start, count)
            )
            kept.append((start, count, rows))
            ended += self.collect(group, self.numbers[place], over)
            start += count
        self.select(kept)
        return ended

    def _exact(self, states: Tensor | None, start: int, count: int) -> Exact | None:
        """Return a function of the exact logits of some rows, or None if they were not rounded."""
        if states is None:
            return None
        own = states[start : start + count]
        exact = cast(ExactModel, self.model)  # every model that keeps its last states is one
        return lambda tokens: exact.exact_logits(own, tokens)

    @torch.inference_mode()
    def drop(self, sources: Sequence[int]) -> None:
        """Drop sources that are being decoded: they get no answer."""
        kept: list[Kept] = []
        start = 0
        for place, group in enumerate(self.groups):
            count, rows = (
                group.count,
                group.drop([i for i, one in enumerate(self.numbers[place]) if one in sources]),
            )
            kept.append((start, count, rows))
            self.last[place] = self.last[place] if rows is None else self.last[place][rows]
            start += count
        self.select(kept)

    def collect(self, group: Policy, numbers: list[int], over: list[int]) -> list[int]:
        """Keep the answers of a group's sources `over`; return their numbers."""
        for source in over:
            self.answers[numbers[source]] = group.answer(source)
        return [numbers[source] for source in over]

    def settled(self, number: int) -> list[int]:
        """Return the beginning of a live source's answer that can no longer change."""
        for group, numbers in zip(self.groups, self.numbers, strict=True):
            if number in numbers:
                return group.settled(numbers.index(number))
        raise AssertionError("the source is being decoded")

    def select(self, kept: list[Kept]) -> None:
        """Go on with the rows that are kept in each group."""
        if not self.live:
            self.groups, self.numbers, self.last, self.state = [], [], [], None
            return
        if any(rows is not None for _, _, rows in kept):
            device = self.last[0].device
            whole = [
                start + (torch.arange(n, device=device) if rows is None else rows.to(device))
                for start, n, rows in kept
            ]
            assert self.state is not None, "a live group has a state"
            self.state = self.state.select(whole[0] if len(whole) == 1 else torch.cat(whole))
            going = [place for place, group in enumerate(self.groups) if group.count]
            self.groups, self.numbers = (
                [self.groups[i] for i in going],
                [self.numbers[i] for i in going],
            )
            self.last = [self.last[i] for i in going]


def _prefixes(sources: list[int] | None, options: AdmitOptions) -> list[list[int]]:
    """Return the prefix of each source, which may be empty."""
    given = options.get("prefixes")
    if given is None:
        return [[] for _ in sources or ()]
    return [list(prefix) for prefix in given]
