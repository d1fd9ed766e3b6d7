"""Score given answers or whole texts with a decoder-only model, many at once, packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..model.cache import TransformerState
from ..model.interface import AnyNetwork
from ..model.transformer import Transformer
from ..model.typed import split, to_float_rows, to_floats, to_int_rows, to_ints
from .generate import FORCED_ROWS
from .policies.choose import log_norms
from .prompts import begin_rows, read_rows, shared_beginning

# (rows of a batch, places (row, position) whose states are wanted) -> states (K, D)
Read = Callable[[Sequence[Sequence[int]], Sequence[tuple[int, int]]], Tensor]
# Rows hold a copy each of what all prompts begin with: at most this many tokens in a batch.
SHARED_ROWS_TOKENS = 16384


@torch.inference_mode()
def answer_log_probabilities(
    model: AnyNetwork,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    batch_tokens: int = 4096,
) -> list[list[float]]:
    """Return the log-probabilities of the tokens of each answer after its prompt, in nats.

    Answers that differ in their last token alone, like labels of one token, are read once, and so
    is what all prompts begin with. Only the positions of answers are projected to the vocabulary.

    Args:
        model: A decoder-only model.
        prompts: Ids, begin first.
        answers: Ids, at least one each.
        batch_tokens: The most tokens that are read together.
    """
    assert all(prompts) and all(answers), (
        "a prompt needs at least begin, an answer at least one token"
    )
    rows: dict[tuple[int, ...], list[int]] = {}  # tokens to read -> the answers that they score
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        rows.setdefault((*prompt, *answer[:-1]), []).append(number)
    found: list[list[float]] = [[] for _ in prompts]
    same = shared_beginning(prompts) if len(prompts) > 1 else 0
    read: Read = partial(_packed, model)
    if same and isinstance(model, Transformer):
        begun = begin_rows(model, prompts[0][:same])
        read = partial(_read_on, model, begun, same)
        most = max(1, SHARED_ROWS_TOKENS // same)
    else:
        same, most = 0, len(rows)
    for batch in _batches(sorted(rows, key=len), batch_tokens, same, most):
        places: list[tuple[int, int]] = []
        wanted: list[int] = []
        members: list[int] = []
        for place, row in enumerate(batch):
            for number in rows[row]:
                first = len(prompts[number]) - 1
                places += [(place, first + each) for each in range(len(answers[number]))]
                wanted += answers[number]
                members.append(number)
        states = read(batch, places)  # (K, D)
        each = to_floats(_of_tokens(model, states, torch.tensor(wanted, device=states.device)))
        for number in members:
            size = len(answers[number])
            found[number], each = each[:size], each[size:]
    return found


def _packed(
    model: AnyNetwork, batch: Sequence[Sequence[int]], places: Sequence[tuple[int, int]]
) -> Tensor:
    """Read rows in one packed pass; return the states (K, D) at (row, position)."""
    device = next(model.parameters()).device
    lengths = torch.tensor([len(row) for row in batch])
    packed = torch.tensor([token for row in batch for token in row])  # (N,)
    starts = to_ints(lengths.cumsum(0) - lengths)
    states = model(target=packed.to(device), target_lengths=lengths.to(device))  # (N, D)
    wanted = [starts[row] + position for row, position in places]
    return states[torch.tensor(wanted, device=device)]


def _read_on(
    model: Transformer,
    begun: TransformerState,
    same: int,
    batch: Sequence[Sequence[int]],
    places: Sequence[tuple[int, int]],
) -> Tensor:
    """Read rows after the `same` tokens that `begun` has read; return states as `_packed` does."""
    states, _ = read_rows(model, begun, [row[same:] for row in batch])  # (B, T, D)
    rows, positions = torch.tensor(places, device=states.device).T
    return states[rows, positions - same]


def _batches(
    rows: Sequence[tuple[int, ...]], batch_tokens: int, same: int, most: int
) -> list[list[tuple[int, ...]]]:
    """Cut rows into batches within the budget; a row that is too long gets its own batch.

    The `same` tokens at the beginning of each row do not count. A batch has at most `most` rows.
    """
    batches: list[list[tuple[int, ...]]] = []
    held = 0
    for row in rows:
        if not batches or held + len(row) - same > batch_tokens or len(batches[-1]) == most:
            batches.append([])
            held = 0
        batches[-1].append(row)
        held += len(row) - same
    return batches


def _of_tokens(model: AnyNetwork, states: Tensor, wanted: Tensor) -> Tensor:
    """Map states (K, D) and tokens (K,) -> log-probabilities (K,) fp32."""
    each: list[Tensor] = []
    for part, tokens in zip(split(states, FORCED_ROWS), split(wanted, FORCED_ROWS), strict=True):
        logits = model.project(part)  # (K, V)
        each.append(logits.gather(1, tokens[:, None])[:, 0].float() - log_norms(logits))
    return torch.cat(each)


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Hold what a model expected of each token of a text but the first.

    Args:
        log_probabilities: Nats of each token.
        top: The most probable tokens at each place with their nats, best first.
    """

    log_probabilities: list[float]
    top: list[list[tuple[int, float]]]


@torch.inference_mode()
def token_scores(
    model: AnyNetwork, texts: Sequence[Sequence[int]], top: int = 0
) -> list[TokenScores]:
    """Return the log-probabilities of the tokens of texts, each after those before it.

    The best of the `top` tokens has the very value of the text's token where it is the same token.

    Args:
        model: A decoder-only model.
        texts: Ids, begin first; one of a single token has nothing to score.
        top: How many of the most probable tokens are wanted at each place.
    """
    device = next(model.parameters()).device
    lengths = [len(text) - 1 for text in texts]
    kept = [text for text, length in zip(texts, lengths, strict=True) if length > 0]
    each: list[float] = []
    best: list[list[tuple[int, float]]] = []
    if kept:
        packed = torch.tensor([token for text in kept for token in text[:-1]], device=device)
        wanted = torch.tensor([token for text in kept for token in text[1:]], device=device)
        sizes = torch.tensor([len(text) - 1 for text in kept], device=device)
        states = model(target=packed, target_lengths=sizes)  # (N, D)
        parts = zip(split(states, FORCED_ROWS), split(wanted, FORCED_ROWS), strict=True)
        for part, tokens in parts:
            logits = model.project(part).float()  # (K, V)
            norms = log_norms(logits)
            each += to_floats(logits.gather(1, tokens[:, None])[:, 0] - norms)
            values, ids = logits.topk(min(top, logits.shape[1]), -1)
            pairs = zip(to_int_rows(ids), to_float_rows(values - norms[:, None]), strict=True)
            best += [list(zip(row, nats, strict=True)) for row, nats in pairs]
    found: list[TokenScores] = []
    for length in lengths:
        size = max(0, length)
        found.append(TokenScores(each[:size], best[:size]))
        each, best = each[size:], best[size:]
    return found
