"""Decode speculatively: a draft proposes tokens, and the model checks them in one step.

Greedy answers are those of the model alone, up to ties. Draws have exactly its distribution: a
token drawn from q is kept with probability min(1, p / q), and otherwise one is drawn from
max(0, p - q), normalised. Temperature, top-k, top-p and min-p apply to both p and q. A token that
was proposed for certain has q = 1 (Leviathan et al. 2023; Chen et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack, cast

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..model.interface import AnyModel, DecoderState, ExactModel
from ..model.typed import from_numpy, to_int_rows, to_ints
from .drafts import ACCEPTED, WRITTEN, Drafted, Proposal, Session
from .hypothesis import Hypothesis
from .policies.choose import Ends, LogitsView, log_norms, repeat_less
from .policies.constraints import constraints_of
from .policies.distribution import distribution, invert, uniform
from .policies.sampling_policy import RERANK_TOP_K, SamplingPolicy
from .reading import positions
from .settings import DecodingSettings
from .steps import AdmitOptions, Decoding, Policy


class Speculation:
    """Decode one group of sources, several tokens a step; it has the methods of `Decoding`."""

    def __init__(self, drafted: Drafted, *, begin: int, end: int | Ends) -> None:
        self.drafted, self.begin = drafted, begin
        self.begins: Sequence[int] = ()  # the first token of each source
        # It reads the prompts and writes each row's first token.
        self.inner = Decoding(drafted.model, begin=begin, end=end)
        self.room = positions(drafted.model)
        self.session: Session | None = None

    @property
    def live(self) -> int:
        return self.inner.live

    @property
    def groups(self) -> list[Policy]:
        return self.inner.groups

    @property
    def _group(self) -> SamplingPolicy:
        group = self.inner.groups[0]
        assert isinstance(group, SamplingPolicy), "beams are refused"
        return group

    @property
    def answers(self) -> dict[int, list[Hypothesis]]:
        return self.inner.answers

    @torch.inference_mode()
    def admit(
        self,
        inputs: dict[str, Tensor],
        settings: DecodingSettings,
        **options: Unpack[AdmitOptions],
    ) -> list[int]:
        """Admit sources once, as `Decoding.admit` does.

        Raises:
            UsageError: The settings ask for what a draft does not support: beams, `compile` or
                `no_repeat_ngram_size`, or tokens by their place.
        """
        assert self.session is None and options.get("on_event") is None, (
            "a draft takes one group, and reports no steps"
        )
        if settings.beams > 1:
            raise UsageError(
                "Beam search follows several answers at once, but a draft proposes one: give "
                "--decoding.beams 1, or no draft."
            )
        if settings.compile:
            raise UsageError(
                "decoding.compile is for one token at a time: give --decoding.compile false, or "
                "no draft."
            )
        if settings.no_repeat_ngram_size:
            raise UsageError(
                "decoding.no_repeat_ngram_size needs every token before the next is written: "
                "give --decoding.no_repeat_ngram_size 0, or no draft."
            )
        if constraints_of(settings, self.inner.ends):
            raise UsageError(
                "first_tokens, begin_suppress_tokens and timestamps of decoding need every token "
                "before the next is written: give no draft."
            )
        numbers = self.inner.admit(inputs, settings, **options)
        begins, prefixes = options.get("begins"), options.get("prefixes")
        self.begins = [self.begin] * len(numbers) if begins is None else begins
        if self.live:
            group = self._group
            several = [list[int]() for _ in numbers] if prefixes is None else prefixes
            self.session = self.drafted.draft.open(
                inputs, group.source[group.alive], several, self.begins, settings
            )
            self._keep(group, ~group.done[group.alive])
        return numbers

    @torch.inference_mode()
    def step(self) -> list[int]:
        """Check drafts in every row, which adds one token or more to each.

        Returns:
            The numbers of the sources whose answers are now complete.
        """
        group = self._group
        assert self.session is not None, "admitted"
        device, written, alive = group.tokens.device, group.written[group.alive], group.alive
        texts = [
            [self.begins[int(group.source[row])], *to_ints(group.tokens[row, : group.written[row]])]
            for row in alive.tolist()
        ]
        most = np.minimum(group.longest[alive] - written - 1, group.settings.draft_tokens)
        if self.room is not None:  # by the longest row
            most = np.minimum(most, self.room - 1 - int(written.max()))
        proposal = self.session.propose(texts, most.clip(0), group.names[alive])
        drafted = proposal.tokens.to(device)
        # (B, K + 1)
        fed = torch.cat((torch.tensor([text[-1:] for text in texts], device=device), drafted), 1)
        logits, state = self.drafted.model.step(fed, self.inner.state)
        self.inner.state = state
        judge = _draws if group.settings.temperature > 0 else _best
        tokens, scores, accepted = judge(
            self.drafted.model, state, group, logits, drafted, proposal
        )
        kept = _write(group, tokens, scores, accepted)
        self.drafted.tally.add(
            len(alive), int(proposal.counts.sum()), int(np.minimum(accepted, kept).sum())
        )
        over = [int(source) for source in np.unique(group.source[alive[group.done[alive]]])
                if group.done[source * group.width : (source + 1) * group.width].all()]  # fmt: skip
        ended = self.inner.collect(group, self.inner.numbers[0], over)
        if bool((kept < fed.shape[1]).any()):  # keep all but the last token in the state
            self.inner.state = state.truncate(
                from_numpy(group.written[alive]).to(device), alone=True
            )
        self._keep(group, ~group.done[alive])
        return ended

    def _keep(self, group: SamplingPolicy, going: np.ndarray) -> None:
        """Go on with the rows where `going` (B,) is true."""
        if going.all():
            return
        count, rows = group.count, from_numpy(np.flatnonzero(going))
        group.alive = group.alive[going]
        self.inner.last = [rows]  # not used again here
        self.inner.select([(0, count, rows)])
        if self.live and self.session is not None:
            self.session.keep(rows)


# tokens (B, K + 1) and their log-probabilities; how many drafts are accepted (B,)
Judged = tuple[Tensor, Tensor | None, np.ndarray]


def _best(
    model: AnyModel,
    state: DecoderState,
    group: SamplingPolicy,
    logits: Tensor,
    drafted: Tensor,
    proposal: Proposal,
) -> Judged:
    """Accept drafts as long as each is the most probable token at its position."""
    shape, own, places = logits.shape[:2], logits.flatten(0, 1), _places(group, logits)
    used = _less_repeated(group, own, drafted, places)
    view = LogitsView(used, group.settings.scores and used is own)
    view.suppress(group.settings.suppress_tokens)
    if group.early:
        young = _young(group, places)
        for end in group.ends:
            view.forbid(end, young)
    states: Tensor | None = getattr(state, "last", None)
    if states is not None and used is own:
        exact = cast(ExactModel, model)
        view.refine(lambda tokens: exact.exact_logits(states, tokens), RERANK_TOP_K)
    chosen, values = view.best()
    scores = None
    if view.norms is not None:
        scores = (values - view.norms).view(shape)
    elif group.settings.scores:
        scores = (own.gather(1, chosen[:, None])[:, 0].float() - log_norms(own)).view(shape)
    chosen = chosen.view(shape)
    return chosen, scores, _leading((chosen[:, :-1] == drafted).cpu().numpy(), proposal.counts)


def _draws(
    model: AnyModel,
    state: DecoderState,
    group: SamplingPolicy,
    logits: Tensor,
    drafted: Tensor,
    proposal: Proposal,
) -> Judged:
    """Accept drafts by chance (Chen et al. 2023, algorithm 2)."""
    (count, steps, vocabulary), own, places = (
        logits.shape,
        logits.flatten(0, 1),
        _places(group, logits),
    )
    norms = log_norms(own) if group.settings.scores else None
    used = _less_repeated(group, own, drafted, places)
    LogitsView(used, False).suppress(group.settings.suppress_tokens)
    if group.early:
        used[:, list(group.ends)] = used[:, list(group.ends)].masked_fill(
            _young(group, places)[:, None], float("-inf")
        )
    p, q = distribution(used, group.settings).view(count, steps, vocabulary), proposal.probabilities
    of_p = p[:, :-1].gather(2, drafted[:, :, None])[:, :, 0]  # (B, K)
    of_q = torch.ones_like(of_p) if q is None else q.gather(2, drafted[:, :, None])[:, :, 0]
    names, written, seed = group.names[group.alive], group.written[group.alive], group.settings.seed
    uniforms = np.stack(
        [uniform(seed, names, written + (place + ACCEPTED)) for place in range(steps)], 1
    )[:, :-1]
    accepted = _leading(
        (from_numpy(uniforms).to(of_p.device) * of_q < of_p).cpu().numpy(), proposal.counts
    )
    rows, last = torch.arange(count, device=p.device), from_numpy(accepted).to(p.device)
    weights = p[rows, last]  # (B, V) where a draft was rejected, or after the last one
    rejected = from_numpy(np.flatnonzero(accepted < proposal.counts)).to(p.device)
    if rejected.numel():
        weights[rejected] = _left_over(
            weights[rejected], drafted[rejected, last[rejected]], q, rejected, last[rejected]
        )
    final = invert(weights, uniform(seed, names, written + (accepted + WRITTEN)))
    tokens = torch.cat((drafted, final[:, None]), 1)
    tokens[rows, last] = final
    scores = (
        None
        if norms is None
        else (own.gather(1, tokens.view(-1, 1))[:, 0].float() - norms).view(count, steps)
    )
    return tokens, scores, accepted


def _places(group: SamplingPolicy, logits: Tensor) -> Tensor:
    """Return the position (B * T,) of the token that each of the logits (B, T, V) predicts."""
    written = from_numpy(group.written[group.alive]).to(logits.device)
    return (written[:, None] + torch.arange(logits.shape[1], device=logits.device)).view(-1)


def _young(group: SamplingPolicy, places: Tensor) -> Tensor:
    """Tell for each position (B * T,) whether the end is not allowed yet."""
    least = from_numpy(group.least[group.alive]).to(places.device)
    young = places < least.repeat_interleave(places.numel() // group.count)
    group.early = bool(young.any())
    return young


def _less_repeated(group: SamplingPolicy, own: Tensor, drafted: Tensor, places: Tensor) -> Tensor:
    """Return the logits (B * T, V) after the repetition penalty; `own` itself if there is none.

    At each position the drafts before it count as repeated too.
    """
    if group.settings.repetition_penalty == 1:
        return own
    alive, steps = from_numpy(group.alive).to(own.device), drafted.shape[1] + 1
    written = places.view(-1, steps)[:, :1]
    seen = torch.cat((group.tokens[alive, : int(written.max())], torch.zeros_like(drafted)), 1)
    seen = seen.scatter(1, written + torch.arange(steps - 1, device=own.device), drafted)
    return repeat_less(
        own, seen.repeat_interleave(steps, 0), places, group.settings.repetition_penalty
    )


def _left_over(
    p: Tensor, proposed: Tensor, q: Tensor | None, rows: Tensor, places: Tensor
) -> Tensor:
    """Return max(0, p - q), not normalised; p itself if rounding leaves only zeros."""
    less = (
        p.scatter(1, proposed[:, None], 0.0) if q is None else (p - q[rows, places]).clamp_min(0.0)
    )
    return torch.where(less.sum(-1, keepdim=True) > 0, less, p)


def _leading(agreed: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Count in each row of (B, K) bool how many of the first `counts` are true before a false."""
    meant = np.arange(agreed.shape[1], dtype=np.int64)[None] < counts[:, None]
    return np.cumprod(agreed & meant, axis=1).sum(1).astype(np.int64)


def _write(
    group: SamplingPolicy, tokens: Tensor, scores: Tensor | None, accepted: np.ndarray
) -> np.ndarray:
    """Write the accepted drafts and the token after them into each row, and mark finished rows.

    A row ends at its end token, a stop string or its maximum length.

    Returns:
        How many tokens each row got.
    """
    alive, kept = group.alive, np.zeros(group.count, dtype=np.int64)
    for place, (row, several) in enumerate(zip(alive.tolist(), to_int_rows(tokens), strict=True)):
        start = int(group.written[row])
        several = several[: min(int(accepted[place]) + 1, int(group.longest[row]) - start)]
        group.tokens[row, start : start + len(several)] = tokens[place, : len(several)]
        if scores is not None:
            group.scores[row, start : start + len(several)] = scores[place, : len(several)]
        size, ended = _ending(group, row, start, several)
        kept[place] = size
        group.written[row] = start + size
        group.finished[row] = ended
        group.done[row] = ended or start + size >= group.longest[row]
    return kept


def _ending(group: SamplingPolicy, row: int, start: int, several: list[int]) -> tuple[int, bool]:
    """Return how many of these tokens are kept, and whether the last of them ends the answer."""
    stop = group.stops[int(group.source[row])]
    before = to_ints(group.tokens[row, :start]) if stop is not None else []
    for size, token in enumerate(several, 1):
        if token in group.ends:
            return size, True
        if stop is not None and stop([*before, *several[:size]]):
            return size, True
    return len(several), False
