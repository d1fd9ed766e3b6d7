"""Forbid tokens by their place in an answer, and let times between pieces of text rise.

A model of speech writes its own language and task first, then times as tokens of their own around
each piece of text (Radford et al. 2023, section 2.3). What is forbidden has no probability: scores
are those of the tokens that may be written.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...model.typed import from_numpy
from ..settings import DecodingSettings
from .choose import Ends

NEVER = float("-inf")


class Constraints:
    """Apply `first_tokens`, `begin_suppress_tokens` and `timestamps` to logits.

    With them, `suppress_tokens` too: the first tokens may be among those.
    """

    def __init__(self, settings: DecodingSettings, ends: Ends) -> None:
        self.first = settings.first_tokens or []
        self.not_first = settings.begin_suppress_tokens or []
        self.never = settings.suppress_tokens or []
        self.times, self.ends = settings.timestamps, ends

    def __call__(
        self, logits: Tensor, tokens: Tensor, begins: np.ndarray, written: np.ndarray
    ) -> None:
        """Change logits (B, V) in place.

        Args:
            logits: Of the next token of each row.
            tokens: (B, L) written so far, and anything after that.
            begins: (B,) where each row's answer begins in `tokens`.
            written: (B,) where it ends so far.
        """
        place = written - begins  # (B,)
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for number, allowed in enumerate(self.first):
            rows = _rows(place == number, logits)
            if rows.numel():
                chosen = torch.tensor(allowed, device=logits.device)
                kept.append((rows, chosen, logits[rows[:, None], chosen]))
        if self.never:
            logits.index_fill_(1, torch.tensor(self.never, device=logits.device), NEVER)
        for rows, chosen, values in kept:  # of which some are otherwise suppressed
            logits[rows] = NEVER
            logits[rows[:, None], chosen] = values
        begins = begins + len(self.first)
        rows = _rows(written == begins, logits)
        if self.not_first and rows.numel():
            logits[rows[:, None], torch.tensor(self.not_first, device=logits.device)] = NEVER
        if self.times is not None:
            rows = _rows(written >= begins, logits)
            if rows.numel() == logits.shape[0]:
                self._order(logits, tokens, begins, written, self.times)
            elif rows.numel():
                some = rows.cpu().numpy()
                part = logits[rows]
                self._order(part, tokens[rows], begins[some], written[some], self.times)
                logits[rows] = part

    def _order(
        self,
        logits: Tensor,
        tokens: Tensor,
        begins: np.ndarray,
        written: np.ndarray,
        times: dict[str, int],
    ) -> None:
        """Let times come in pairs that never fall, beginning with one."""
        device, first = logits.device, times["first"]
        begin, end = (from_numpy(one).to(device) for one in (begins, written))
        if "without" in times:
            logits[:, times["without"]] = NEVER
        text, clock = logits[:, :first], logits[:, first:]  # views
        place = torch.arange(tokens.shape[1], device=device)
        inside = (place >= begin[:, None]) & (place < end[:, None])
        is_time = inside & (tokens >= first)
        last, before = (
            is_time.gather(1, (end - back)[:, None].clamp_min(0))[:, 0] & (end - begin >= back)
            for back in (1, 2)
        )
        single = last & (end - begin >= 2) & ~before  # a time that closes a piece of text
        pair = last & ~single
        clock.masked_fill_(pair[:, None], NEVER)
        # After a closing time comes the next piece's or the end; the end is behind all text.
        logits[:, : self.ends[0]].masked_fill_(single[:, None], NEVER)
        some = is_time.any(1)
        latest = tokens.gather(1, (is_time * (place + 1)).argmax(1, keepdim=True))[:, 0] - first
        least = torch.where(some, latest + (~single).long(), 0)
        numbers = torch.arange(clock.shape[1], device=device)
        clock.masked_fill_(numbers < least[:, None], NEVER)
        new = end == begin
        text.masked_fill_(new[:, None], NEVER)
        if "latest_first" in times:
            late = numbers > times["latest_first"]
            clock.masked_fill_(new[:, None] & late, NEVER)
        # A time is written where all times together are more probable than any token of text.
        together = torch.logsumexp(clock.float(), -1)
        text.masked_fill_((together > text.amax(-1).float())[:, None], NEVER)


def constraints_of(settings: DecodingSettings, ends: Ends) -> Constraints | None:
    """Return what applies the settings, or None if none of them is given."""
    if settings.first_tokens or settings.begin_suppress_tokens or settings.timestamps:
        return Constraints(settings, ends)
    return None


def _rows(chosen: np.ndarray, logits: Tensor) -> Tensor:
    return from_numpy(np.flatnonzero(chosen)).to(logits.device)
