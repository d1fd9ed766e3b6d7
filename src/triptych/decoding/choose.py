"""From logits to tokens for a whole batch at once, in few passes over the vocabulary.

On a CPU `topk` and `argmax` over thousands of columns cost as much as a layer of a small model. The largest of each block
of columns costs a tenth; the best tokens stand in the best blocks, so only those are looked at. The result is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 16  # columns of logits that share one maximum
SMALL = 1024  # vocabularies below this are searched directly
CHUNK = 1 << 18  # logits looked at together: they stay in the second-level cache


class Survey:
    """One look over logits (B, V). norms: (B,) fp32, so that logit - norm is a log-probability; None when not asked for."""

    def __init__(self, logits: Tensor, with_norms: bool = True) -> None:
        self.logits, self.vocabulary = logits, logits.shape[1]
        by_blocks = self.vocabulary >= SMALL and logits.device.type == "cpu"
        self.columns = self.vocabulary // BLOCK if by_blocks else 0
        self.peaks: Tensor | None = None  # (B, columns) fp32, the largest of each block
        if not by_blocks:
            self.norms = torch.logsumexp(logits.float(), -1) if with_norms else None
            return
        norms, peaks = [], []
        for chunk in logits.split(max(1, CHUNK // self.vocabulary)):
            chunk = chunk.float()
            peaks.append(self._blocks(chunk).amax(1))
            if with_norms:  # log_softmax is one fused pass, logsumexp four
                norms.append(chunk.amax(-1) - torch.log_softmax(chunk, -1).amax(-1))
        self.peaks = torch.cat(peaks)
        self.norms = torch.cat(norms) if with_norms else None

    def _blocks(self, logits: Tensor) -> Tensor:
        """(B, V) -> (B, BLOCK, columns), a view; block c holds tokens c, c + columns, ...; the remainder is left out."""
        return logits[:, : self.columns * BLOCK].unflatten(1, (BLOCK, self.columns))

    def forbid(self, token: int, rows: Tensor) -> None:
        """`token` may not be chosen in `rows` (B,) bool. The norms stay those of the model's own distribution."""
        self.logits[:, token].masked_fill_(rows, float("-inf"))
        if self.peaks is not None and token < self.columns * BLOCK:
            column = token % self.columns
            self.peaks[:, column] = self._blocks(self.logits)[:, :, column].amax(1).float()

    def _members(self, columns: Tensor) -> Tensor:
        """(...) blocks -> (..., BLOCK) their tokens."""
        return columns[..., None] + torch.arange(0, self.columns * BLOCK, self.columns)

    def best(self) -> Tensor:
        """(B,) int64, the most probable token of each row."""
        if self.peaks is None:
            return self.logits.argmax(-1)
        tokens = self._members(self.peaks.argmax(-1))  # (B, BLOCK)
        rest = torch.arange(self.columns * BLOCK, self.vocabulary).expand(tokens.shape[0], -1)
        tokens = torch.cat((tokens, rest), 1)
        return tokens.gather(1, self.logits.gather(1, tokens).float().argmax(-1, keepdim=True))[:, 0]

    def best_of_beams(self, offsets: Tensor, beams: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """The `count` best continuations of each of R sources, `beams` consecutive rows a source.

        offsets: (B,) fp32, added to a row's logits. Returns totals (R, count) falling, rows (R, count) in 0..B, tokens (R, count).
        """
        logits, vocabulary, sources = self.logits, self.vocabulary, self.logits.shape[0] // beams
        first = torch.arange(0, sources * beams, beams, device=logits.device)[:, None]  # (R, 1)
        if self.peaks is None:
            totals, places = (logits.float() + offsets[:, None]).view(sources, -1).topk(count)
            return totals, first + places // vocabulary, places % vocabulary
        peaks = (self.peaks + offsets[:, None]).view(sources, -1)  # (R, beams * columns)
        places = peaks.topk(min(count, peaks.shape[1]), sorted=False)[1]
        tokens = self._members(places % self.columns).view(sources, -1)
        rows = (first + places // self.columns)[:, :, None].expand(-1, -1, BLOCK).reshape(sources, -1)
        left = vocabulary - self.columns * BLOCK
        if left:
            rest = torch.arange(self.columns * BLOCK, vocabulary).repeat(beams).expand(sources, -1)
            own = first + torch.arange(beams).repeat_interleave(left)
            rows, tokens = torch.cat((rows, own), 1), torch.cat((tokens, rest), 1)
        values = logits.view(-1)[rows * vocabulary + tokens].float().add_(offsets[rows])
        totals, places = values.topk(count)
        return totals, rows.gather(1, places), tokens.gather(1, places)


def log_norms(logits: Tensor) -> Tensor:
    """(B, V) -> (B,) fp32: log of the sum of exponentials, so that logit - norm is a log-probability."""
    if logits.device.type != "cpu" or not logits.numel():
        return torch.logsumexp(logits.float(), -1)
    chunks = (chunk.float() for chunk in logits.split(max(1, CHUNK // logits.shape[1])))
    return torch.cat([chunk.amax(-1) - torch.log_softmax(chunk, -1).amax(-1) for chunk in chunks])
