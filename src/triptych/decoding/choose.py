"""From logits to tokens for a whole batch at once, in few passes over the vocabulary.

On a CPU `topk` and `argmax` over thousands of columns cost as much as a layer of a small model. The largest of each block
of columns costs a tenth; the best tokens stand in the best blocks, so only those are looked at. The result is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 16  # columns of logits that share one maximum
SMALL = 1024  # vocabularies below this are searched directly
CHUNK = 1 << 18  # logits normalised at a time: they stay in the second-level cache


def log_norms(logits: Tensor) -> Tensor:
    """(B, V) -> (B,) fp32: log of the sum of exponentials, so that logit - norm is a log-probability."""
    if logits.device.type != "cpu":
        return torch.logsumexp(logits.float(), -1)
    rows, norms = max(1, CHUNK // logits.shape[1]), []
    for chunk in logits.split(rows):  # log_softmax is one fused pass, logsumexp four
        chunk = chunk.float()
        norms.append(chunk.amax(-1) - torch.log_softmax(chunk, -1).amax(-1))
    return torch.cat(norms) if norms else logits.new_zeros(0, dtype=torch.float32)


def _blocks(logits: Tensor) -> Tensor:
    """(B, V) -> (B, BLOCK, V // BLOCK), a view; column c holds tokens c, c + V // BLOCK, ...; the remainder is left out."""
    columns = logits.shape[1] // BLOCK
    return logits[:, : columns * BLOCK].unflatten(1, (BLOCK, columns))


def best(logits: Tensor) -> Tensor:
    """(B, V) -> (B,) int64, the most probable token."""
    if logits.shape[1] < SMALL or logits.device.type != "cpu":
        return logits.argmax(-1)
    blocks = _blocks(logits)
    columns = blocks.shape[2]
    column = blocks.amax(1).float().argmax(-1, keepdim=True)  # argmax of bf16 takes ten times as long
    tokens = column + torch.arange(0, columns * BLOCK, columns)  # (B, BLOCK)
    rest = torch.arange(columns * BLOCK, logits.shape[1]).expand(logits.shape[0], -1)
    tokens = torch.cat((tokens, rest), 1)
    return tokens.gather(1, logits.gather(1, tokens).float().argmax(-1, keepdim=True))[:, 0]


def best_of_beams(logits: Tensor, offsets: Tensor, beams: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` best continuations of each source.

    logits (R * beams, V), `beams` consecutive rows a source; offsets (R * beams,) fp32, added to a row's logits.
    Returns totals (R, count) falling, rows (R, count) in 0..R * beams, tokens (R, count).
    """
    vocabulary, sources = logits.shape[1], logits.shape[0] // beams
    first = torch.arange(0, sources * beams, beams, device=logits.device)[:, None]  # (R, 1)
    if vocabulary < SMALL or logits.device.type != "cpu":
        totals, places = (logits.float() + offsets[:, None]).view(sources, -1).topk(count)
        return totals, first + places // vocabulary, places % vocabulary
    blocks = _blocks(logits)
    columns = blocks.shape[2]
    peaks = blocks.amax(1).float().add_(offsets[:, None]).view(sources, -1)  # (R, beams * columns)
    places = peaks.topk(min(count, peaks.shape[1]), sorted=False)[1]
    rows, tokens = first + places // columns, places % columns
    tokens = (tokens[:, :, None] + torch.arange(0, columns * BLOCK, columns)).view(sources, -1)
    rows = rows[:, :, None].expand(-1, -1, BLOCK).reshape(sources, -1)
    rest = torch.arange(columns * BLOCK, vocabulary).repeat(beams).expand(sources, -1)
    if rest.shape[1]:
        own = first + torch.arange(beams).repeat_interleave(rest.shape[1] // beams)
        rows, tokens = torch.cat((rows, own), 1), torch.cat((tokens, rest), 1)
    values = logits.view(-1)[rows * vocabulary + tokens].float().add_(offsets[rows])
    totals, places = values.topk(count)
    return totals, rows.gather(1, places), tokens.gather(1, places)
