"""Score given answers after given prompts with a decoder-only model, many at once, packed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..model.interface import AnyNetwork
from ..model.typed import split, to_floats, to_ints
from .generate import FORCED_ROWS
from .policies.choose import log_norms


@torch.inference_mode()
def answer_log_probabilities(
    model: AnyNetwork,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    batch_tokens: int = 4096,
) -> list[list[float]]:
    """Return the log-probabilities of the tokens of each answer after its prompt, in nats.

    Answers that differ in their last token alone, like labels of one token, are read once. Only the
    positions of answers are projected to the vocabulary.

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
    device = next(model.parameters()).device
    found: list[list[float]] = [[] for _ in prompts]
    for batch in _batches(sorted(rows, key=len), batch_tokens):
        lengths = torch.tensor([len(row) for row in batch])
        packed = torch.tensor([token for row in batch for token in row])  # (N,)
        places: list[int] = []
        wanted: list[int] = []
        members: list[int] = []
        for row, start in zip(batch, to_ints(lengths.cumsum(0) - lengths), strict=True):
            for number in rows[row]:
                first = start + len(prompts[number]) - 1
                places += range(first, first + len(answers[number]))
                wanted += answers[number]
                members.append(number)
        states = model(target=packed.to(device), target_lengths=lengths.to(device))  # (N, D)
        each = to_floats(
            _of_tokens(
                model,
                states[torch.tensor(places, device=device)],
                torch.tensor(wanted, device=device),
            )
        )
        for number in members:
            size = len(answers[number])
            found[number], each = each[:size], each[size:]
    return found


def _batches(rows: Sequence[tuple[int, ...]], batch_tokens: int) -> list[list[tuple[int, ...]]]:
    """Cut rows into batches within the budget; a row that is too long gets its own batch."""
    batches: list[list[tuple[int, ...]]] = []
    held = 0
    for row in rows:
        if not batches or held + len(row) > batch_tokens:
            batches.append([])
            held = 0
        batches[-1].append(row)
        held += len(row)
    return batches


def _of_tokens(model: AnyNetwork, states: Tensor, wanted: Tensor) -> Tensor:
    """Map states (K, D) and tokens (K,) -> log-probabilities (K,) fp32."""
    each: list[Tensor] = []
    for part, tokens in zip(split(states, FORCED_ROWS), split(wanted, FORCED_ROWS), strict=True):
        logits = model.project(part)  # (K, V)
        each.append(logits.gather(1, tokens[:, None])[:, 0].float() - log_norms(logits))
    return torch.cat(each)
