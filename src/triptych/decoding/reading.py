"""Read prefixes and prompts before anything is written after them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..model.cache import Memory
from ..model.interface import AnyModel, DecoderState
from .policies.choose import log_norms
from .settings import DecodingSettings


def read(
    model: AnyModel,
    memory: Memory | None,
    prefixes: Sequence[Sequence[int]],
    begin: int | Sequence[int],
) -> tuple[Tensor, DecoderState, Tensor]:
    """Read begin and the prefixes in one pass.

    Args:
        model: What decodes.
        memory: The encoder's output, with one row for each prefix; None for a decoder-only model.
        prefixes: Tokens after begin.
        begin: The first token, one for all or one for each.

    Returns:
        The logits (B, V) of the next token, the state, and the prefixes' log-probabilities (B, P).
    """
    count, width = len(prefixes), max(len(prefix) for prefix in prefixes)
    device = next(model.parameters()).device if memory is None else memory.lengths.device
    tokens = torch.zeros(count, width + 1, dtype=torch.int64)
    tokens[:] = torch.tensor([begin] * count if isinstance(begin, int) else begin)[:, None]
    for row, prefix in enumerate(prefixes):
        tokens[row, 1 : len(prefix) + 1] = torch.tensor(prefix, dtype=torch.int64)
    lengths = torch.tensor([len(prefix) for prefix in prefixes])
    tokens, lengths = tokens.to(device), lengths.to(device)
    state = model.start(memory, count if memory is None else torch.arange(count, device=device))
    logits, state = model.step(tokens, state)  # (B, P + 1, V)
    if width == 0:
        return logits[:, 0], state, torch.zeros(count, 0, device=device)
    norms = log_norms(logits.flatten(0, 1)).view(count, width + 1)
    scores = logits[:, :-1].gather(2, tokens[:, 1:, None])[:, :, 0].float() - norms[:, :-1]
    scores = scores.masked_fill(torch.arange(width, device=device) >= lengths[:, None], 0.0)
    if bool((lengths < width).any()):
        state = state.truncate(lengths + 1)
    return logits[torch.arange(count, device=device), lengths], state, scores


def positions(model: AnyModel) -> int | None:
    """Return how many positions a model's decoder has; None: unlimited."""
    config = getattr(model, "config", None)  # a user's own model may have none
    return None if config is None else config.context("target")


def longest_answers(
    model: AnyModel,
    settings: DecodingSettings,
    lengths: list[int],
    prefixes: list[list[int]],
    max_lengths: Sequence[int] | None,
) -> np.ndarray:
    """Return the most tokens of each answer (B,).

    There is at least one token after a prefix, and never more than the model has positions.
    """
    wanted = (
        [settings.longest(length) for length in lengths]
        if max_lengths is None
        else list(max_lengths)
    )
    wanted = [
        max(
            most,
            settings.min_length if max_lengths is None and settings.max_length is None else 1,
            len(prefix) + 1,
        )
        for most, prefix in zip(wanted, prefixes, strict=True)
    ]
    room = positions(model)
    too_long = max((len(prefix) + 1 for prefix in prefixes), default=0)
    if room is not None and too_long > room:
        raise UsageError(
            f"A forced prefix of {too_long - 1} tokens leaves nothing to write: this model has "
            f"{room} positions."
        )
    return np.array(wanted if room is None else [min(most, room) for most in wanted])
