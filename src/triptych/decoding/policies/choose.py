"""Find the best tokens of a whole batch in few passes over the vocabulary.

On a CPU `topk` and `argmax` over thousands of columns cost as much as a layer of a small model. The
maximum of each block of columns costs a tenth of that, and the best tokens lie in the best blocks,
so only these are searched. The result is exact.

Logits in bfloat16 have eight bits, and their rounding can decide between tokens with similar
logits. For the few tokens that can be chosen, logits are computed again in fp32 (`refine`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...model.typed import split

Exact = Callable[[Tensor], Tensor]  # tokens (B, C) -> their exact logits in fp32
Ends = Sequence[int]  # the tokens that end an answer, one or more

BLOCK = 16  # columns of logits that share one maximum
SMALL = 1024  # vocabularies below this are searched directly
CHUNK = 1 << 18  # logits processed together: they stay in the second-level cache


def is_end(tokens: Tensor, ends: Ends) -> Tensor:
    """Tell for each of `tokens` whether it ends an answer."""
    found = tokens == ends[0]
    for end in ends[1:]:
        found = found | (tokens == end)
    return found


class LogitsView:
    """Search logits (B, V) for the best tokens.

    `norms` (B,) fp32 make logit - norm a log-probability; they are None if not wanted.
    """

    def __init__(self, logits: Tensor, with_norms: bool = True) -> None:
        self.logits, self.vocabulary = logits, logits.shape[1]
        self.near: tuple[Tensor, Tensor] | None = None  # tokens (B, C) and their exact logits
        by_blocks = self.vocabulary >= SMALL and logits.device.type == "cpu"
        self.columns = self.vocabulary // BLOCK if by_blocks else 0
        self.peaks: Tensor | None = None  # (B, columns) fp32, the largest of each block
        if not by_blocks:
            self.norms = torch.logsumexp(logits.float(), -1) if with_norms else None
            return
        norms: list[Tensor] = []
        peaks: list[Tensor] = []
        for chunk in split(logits, max(1, CHUNK // self.vocabulary)):
            chunk = chunk.float()
            peaks.append(self._blocks(chunk).amax(1))
            if with_norms:  # log_softmax is one fused pass, logsumexp four
                norms.append(chunk.amax(-1) - torch.log_softmax(chunk, -1).amax(-1))
        self.peaks = torch.cat(peaks)
        self.norms = torch.cat(norms) if with_norms else None

    def _blocks(self, logits: Tensor) -> Tensor:
        """View (B, V) as (B, BLOCK, columns), without the remainder.

        Block c holds tokens c, c + columns, ...
        """
        whole: Any = logits[:, : self.columns * BLOCK]  # the stub of `unflatten` has no types
        return whole.unflatten(1, (BLOCK, self.columns))

    def forbid(self, token: int, rows: Tensor) -> None:
        """Forbid `token` in `rows` (B,) bool; the norms stay those of the model's distribution."""
        self.logits[:, token].masked_fill_(rows, float("-inf"))
        if self.peaks is not None and token < self.columns * BLOCK:
            column = token % self.columns
            self.peaks[:, column] = self._blocks(self.logits)[:, :, column].amax(1).float()

    def suppress(self, tokens: Sequence[int] | None) -> None:
        """Forbid `tokens` in all rows."""
        known = [token for token in tokens or () if token < self.vocabulary]
        if not known:
            return
        chosen = torch.tensor(known, device=self.logits.device)
        self.logits.index_fill_(1, chosen, float("-inf"))
        if self.peaks is not None:
            columns = chosen[chosen < self.columns * BLOCK] % self.columns
            self.peaks[:, columns] = self._blocks(self.logits)[:, :, columns].amax(1).float()

    def forbid_each(self, rows: Tensor, tokens: Tensor, ends: int = 1) -> None:
        """Forbid tokens (n,), each in its row of `rows` (n,); the norms do not change.

        None of the tokens may be one of the `ends` end tokens. A row in which only end tokens would
        be left is not changed.
        """
        some = torch.bincount(rows, minlength=self.logits.shape[0]) < self.vocabulary - ends
        rows, tokens = rows[some[rows]], tokens[some[rows]]
        self.logits[rows, tokens] = float("-inf")
        if self.peaks is not None:
            inside = tokens < self.columns * BLOCK
            rows, columns = rows[inside], tokens[inside] % self.columns
            self.peaks[rows, columns] = (
                self.logits[rows[:, None], self._members(columns)].float().amax(1)
            )

    def _members(self, columns: Tensor) -> Tensor:
        """Map blocks (...) -> their tokens (..., BLOCK)."""
        return columns[..., None] + torch.arange(0, self.columns * BLOCK, self.columns)

    def _best(self, count: int) -> Tensor:
        """Return the most probable tokens of each row (B, count) int64, unordered."""
        if self.peaks is None:
            return self.logits.topk(count, -1, sorted=False)[1]
        blocks = (
            self.peaks.argmax(-1, keepdim=True)
            if count == 1
            else self.peaks.topk(min(count, self.columns), -1, sorted=False)[1]
        )
        tokens = self._members(blocks).flatten(1)  # (B, count * BLOCK)
        rest = torch.arange(self.columns * BLOCK, self.vocabulary).expand(tokens.shape[0], -1)
        tokens = torch.cat((tokens, rest), 1)
        values = self.logits.gather(1, tokens).float()
        return tokens.gather(
            1,
            values.argmax(-1, keepdim=True)
            if count == 1
            else values.topk(count, -1, sorted=False)[1],
        )

    def refine(self, exact: Exact, count: int) -> None:
        """Replace the logits of the `count` best tokens of each row, and correct the norms."""
        tokens = self._best(min(count, self.vocabulary))
        rounded = self.logits.gather(1, tokens).float()
        values = exact(tokens).masked_fill(rounded == float("-inf"), float("-inf"))
        self.near = tokens, values
        if self.norms is not None:
            norms = self.norms[:, None]
            self.norms = self.norms + torch.log1p(
                ((values - norms).exp() - (rounded - norms).exp()).sum(-1).clamp_min(-0.9)
            )

    def best(self) -> tuple[Tensor, Tensor]:
        """Return the most probable token of each row (B,) int64 and its logit (B,) fp32."""
        if self.near is not None:
            values, place = self.near[1].max(-1, keepdim=True)
            return self.near[0].gather(1, place)[:, 0], values[:, 0]
        if self.peaks is None:
            values, tokens = self.logits.max(-1)
            return tokens, values.float()
        tokens = self._best(1)
        return tokens[:, 0], self.logits.gather(1, tokens)[:, 0].float()

    def best_of_beams(
        self, offsets: Tensor, beams: int, count: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find the best continuations of each of R sources, `beams` consecutive rows each.

        Args:
            offsets: (B,) fp32, added to a row's logits.
            beams: Rows of a source.
            count: How many to return; after `refine` to C tokens, at most beams x C.

        Returns:
            Totals (R, count) in falling order, rows (R, count) in 0..B, tokens (R, count), and the
            tokens' logits (R, count) fp32.
        """
        logits, vocabulary, sources = self.logits, self.vocabulary, self.logits.shape[0] // beams
        first = torch.arange(0, sources * beams, beams, device=logits.device)[:, None]  # (R, 1)
        if self.near is not None:
            near, values = (part.reshape(sources, -1) for part in self.near)  # (R, beams * C)
            each = near.shape[1] // beams
            totals, places = (
                values + offsets.view(sources, beams).repeat_interleave(each, 1)
            ).topk(min(count, near.shape[1]))
            return totals, first + places // each, near.gather(1, places), values.gather(1, places)
        if self.peaks is None:
            values = logits.float()
            totals, places = (values + offsets[:, None]).view(sources, -1).topk(count)
            return (
                totals,
                first + places // vocabulary,
                places % vocabulary,
                values.view(sources, -1).gather(1, places),
            )
        peaks = (self.peaks + offsets[:, None]).view(sources, -1)  # (R, beams * columns)
        places = peaks.topk(min(count, peaks.shape[1]), sorted=False)[1]
        tokens = self._members(places % self.columns).view(sources, -1)
        rows = (
            (first + places // self.columns)[:, :, None].expand(-1, -1, BLOCK).reshape(sources, -1)
        )
        left = vocabulary - self.columns * BLOCK
        if left:
            rest = torch.arange(self.columns * BLOCK, vocabulary).repeat(beams).expand(sources, -1)
            own = first + torch.arange(beams).repeat_interleave(left)
            rows, tokens = torch.cat((rows, own), 1), torch.cat((tokens, rest), 1)
        values = logits.view(-1)[rows * vocabulary + tokens].float()
        totals, places = (values + offsets[rows]).topk(count)
        return totals, rows.gather(1, places), tokens.gather(1, places), values.gather(1, places)


def log_norms(logits: Tensor) -> Tensor:
    """Return the log of the sum of exponentials of logits (B, V) -> (B,) fp32."""
    if logits.device.type != "cpu" or not logits.numel():
        return torch.logsumexp(logits.float(), -1)
    chunks = (chunk.float() for chunk in split(logits, max(1, CHUNK // logits.shape[1])))
    return torch.cat([chunk.amax(-1) - torch.log_softmax(chunk, -1).amax(-1) for chunk in chunks])


def repeat_less(logits: Tensor, seen: Tensor, lengths: Tensor, penalty: float) -> Tensor:
    """Penalise repetition in logits (B, V) and return new ones in fp32.

    Logits of the first `lengths` (B,) tokens of `seen` (B, L) are divided by the penalty if above
    zero, else multiplied by it (Keskar et al. 2019, section 4.1).
    """
    if not seen.shape[1]:
        return logits
    logits = logits.float()
    there = torch.arange(seen.shape[1], device=logits.device) < lengths[:, None]
    values = logits.gather(1, seen)
    less = torch.where(values > 0, values / penalty, values * penalty)
    spare = torch.full_like(values[:, :1], float("-inf"))
    changed = torch.cat((logits, spare), 1)  # unwritten positions go to an extra column
    return changed.scatter_(1, seen.masked_fill(~there, logits.shape[1]), less)[:, :-1].contiguous()


def repeats(tokens: Tensor, first: Tensor, written: Tensor, size: int, ends: Ends,
            before: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Find the tokens that would repeat an n-gram of `size` tokens.

    Args:
        tokens: (B, L).
        first: (B,), where each row's answer begins.
        written: (B,), where each row's answer ends so far.
        size: n.
        ends: End tokens, which may repeat.
        before: (A,) tokens before those at `first`, which is then the same in all rows.

    Returns:
        Rows (n,) and tokens (n,).
    """
    if before is not None and before.numel():
        start = int(first[0])
        tokens = torch.cat((before.expand(tokens.shape[0], -1), tokens[:, start:]), 1)
        first, written = first - start, written - start + before.numel()
    if tokens.shape[1] < size:
        return written.new_empty(0), written.new_empty(0)
    runs = tokens.unfold(1, size, 1)  # (B, L - size + 1, size)
    place = torch.arange(runs.shape[1], device=tokens.device)
    last = tokens.gather(
        1, (written[:, None] - size + 1 + torch.arange(size - 1, device=tokens.device)).clamp_min(0)
    )
    same = (
        (runs[:, :, :-1] == last[:, None]).all(-1)
        & (place >= first[:, None])
        & (place + size <= written[:, None])
    )
    rows, places = (same & ~is_end(runs[:, :, -1], ends)).nonzero(as_tuple=True)
    return rows, runs[rows, places, -1]
