"""Read prompts whose own log-probabilities nobody asks for.

Only the last token of each prompt is projected to the vocabulary, and what all prompts begin with
(worked examples, a system message) is read once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..model.cache import TransformerState
from ..model.interface import AnyModel
from ..model.transformer import Transformer

# Prompts of models with a smaller vocabulary are read in the older way, whose sums round otherwise.
LARGE_VOCABULARY = 16384
# Fewer tokens than this that prompts have in common are not worth a pass of their own.
SHARED_TOKENS = 32


def reads_ends(model: AnyModel) -> bool:
    """Tell whether prompts of a model are read by `read_ends`."""
    return (
        isinstance(model, Transformer)
        and model.config.encoder is None
        and model.config.vocabulary_size > LARGE_VOCABULARY
    )


def shared_beginning(rows: Sequence[Sequence[int]]) -> int:
    """Count the tokens that all rows begin with, and after which each of them goes on.

    It is 0 where they are too few to matter.
    """
    first, last = min(map(list, rows)), max(map(list, rows))
    room = min(len(row) for row in rows) - 1
    same = next((n for n in range(room) if first[n] != last[n]), room)
    return same if same >= SHARED_TOKENS else 0


def begin_rows(model: Transformer, shared: Sequence[int]) -> TransformerState:
    """Return the state of one row that has read `shared`."""
    state = model.start(None, 1)
    if shared:
        model.read_on(torch.tensor([list(shared)], device=model.embedding.weight.device), state)
    return state


def read_rows(
    model: Transformer, state: TransformerState, rows: Sequence[Sequence[int]]
) -> tuple[Tensor, TransformerState]:
    """Read different rows after what the only row of `state` has read.

    Args:
        model: A decoder-only model.
        state: It stays as it is.
        rows: At least one token each.

    Returns:
        The states (B, T, D) of the tokens, padded, and the decoder's state after each row.
    """
    longest = max(map(len, rows))
    padded = torch.tensor(
        [[*row, *[0] * (longest - len(row))] for row in rows], device=state.lengths.device
    )
    before = int(state.lengths[0])
    state = state.repeat(len(rows))
    states = model.read_on(padded, state)
    lengths = torch.tensor([len(row) for row in rows], device=state.lengths.device)
    if bool((lengths < longest).any()):
        state = state.truncate(lengths + before)
    return states, state


def read_ends(
    model: Transformer, prompts: Sequence[Sequence[int]]
) -> tuple[Tensor, TransformerState]:
    """Read prompts, at least one token each.

    Returns:
        The logits (B, V) of the next tokens, and the state.
    """
    shared = shared_beginning(prompts) if len(prompts) > 1 else 0
    begun = begin_rows(model, prompts[0][:shared])
    states, state = read_rows(model, begun, [row[shared:] for row in prompts])
    ends = torch.tensor([len(row) - shared - 1 for row in prompts], device=states.device)
    last = states[torch.arange(len(prompts), device=states.device), ends]  # (B, D)
    logits = model.project(last)
    state.last = None if logits.dtype == torch.float32 else last
    return logits, state
