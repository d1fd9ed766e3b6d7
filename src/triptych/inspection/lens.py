"""Read what a model would answer after each of its parts: the lens (nostalgebraist 2020).

The vocabulary projection, or the head of an encoder-only run, reads the residual stream after every
attention and feed-forward, as if the model ended there. The final norm of the stack is applied
first, for a pre-norm stack; the states of a post-norm stack are normalised already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..messages import message
from .attribution import exact
from .interventions import read_by_maxout, recorded
from .probe import Probe
from .sites import is_recurrent, stacks

TOP = 5  # answers kept of each place


@dataclass(frozen=True, slots=True)
class Lens:
    """Hold what one stack would answer after each of its parts.

    Args:
        stack: "encoder" or "decoder".
        stages: What has been computed: "embeddings", "1.self", ..., in order.
        top: Places of the likeliest answers (S, R, K) and their probabilities.
        final: The answers (R,) that are followed: those that were given, else the last stage's.
        probabilities: Of them after each stage (S, R).
        ranks: Of them after each stage (S, R), from 1.
        has_final_norm: A final norm was applied before the projection.
    """

    stack: str
    stages: list[str]
    top: tuple[np.ndarray, np.ndarray]
    final: np.ndarray
    probabilities: np.ndarray
    ranks: np.ndarray
    has_final_norm: bool

    def to_json(self) -> dict[str, Any]:
        """Return the lens for JSON; probabilities have six digits."""
        return {
            "stack": self.stack,
            "stages": self.stages,
            "final_norm": self.has_final_norm,
            "top": {
                "ids": self.top[0].tolist(),
                "probabilities": np.round(self.top[1].astype(float), 6).tolist(),
            },
            "final": self.final.tolist(),
            "final_probabilities": np.round(self.probabilities.astype(float), 6).tolist(),
            "final_ranks": self.ranks.tolist(),
        }


@torch.no_grad()
def lens(probe: Probe, stack: str, final: list[int] | None = None, top: int = TOP) -> Lens:
    """Return what a stack would answer after each of its parts.

    Args:
        probe: The sequence, and how states become logits.
        stack: "encoder" or "decoder". The RNN has a lens in its decoder alone: it reads first the
            previous token, then also its state, then also the context.
        final: The answer of each row, to follow; None: the likeliest of the last stage.
        top: How many answers are kept.

    Raises:
        UsageError: The model has no such stack, or nothing that reads its states.
    """
    if probe.readout is None:
        raise UsageError(message("The lens needs a head that chooses among labels or tokens."))
    model = probe.model
    with exact(model):
        if is_recurrent(model):
            stages = _of_readout(probe, stack)
            has_norm = False
        else:
            stages, has_norm = _of_blocks(probe, stack)
        # One stage at a time: all together would be stages x rows x vocabulary numbers.
        last = list(stages.values())[-1]
        wanted = (
            probe.readout(last).argmax(-1)
            if final is None
            else torch.tensor(final, device=last.device)
        )
        each = [_read(probe.readout(states).float(), wanted, top) for states in stages.values()]
    ids, values, chances, ranks = (
        torch.stack(one).cpu().numpy() for one in zip(*each, strict=True)
    )
    return Lens(stack, list(stages), (ids, values), wanted.cpu().numpy(), chances, ranks, has_norm)


def _read(logits: Tensor, wanted: Tensor, top: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the likeliest answers of a stage, their probabilities, and those of the wanted ones.

    Args:
        logits: (R, C).
        wanted: The answer of each row that is followed (R,).
        top: How many of the likeliest.

    Returns:
        Places (R, K), probabilities (R, K), probabilities (R,) and ranks (R,) of the wanted ones.
    """
    picked = logits.gather(-1, wanted[:, None])  # (R, 1)
    ranks = (logits > picked).sum(-1) + 1
    chances = logits.softmax(-1)
    values, ids = chances.topk(min(top, chances.shape[-1]), -1)
    return ids, values, chances.gather(-1, wanted[:, None])[:, 0], ranks


def _of_blocks(probe: Probe, stack: str) -> tuple[dict[str, Tensor], bool]:
    """Return the normed states after each part of a stack, and whether a norm was applied."""
    model, known = probe.model, stacks(probe.model)
    if stack not in known:
        raise UsageError("This model has no {stack}.", stack=stack)
    module, last = known[stack], list(known.values())[-1]
    own, wanted = (getattr(model.config, name).width for name in (stack, list(known)[-1]))
    if own != wanted:
        raise UsageError(
            "The vocabulary projection reads states of width {wanted}, and those of the {stack} "
            "have {own}. Choose the other stack.",
            wanted=wanted,
            stack=stack,
            own=own,
        )
    assert last is not None
    with recorded(model) as found:
        model(**probe.inputs)
    keys = [key for key in found.after if key[0] == stack]
    states = {"embeddings": found.before[keys[0]]}
    states |= {f"{key[1] + 1}.{key[2]}": found.after[key] for key in keys}
    has_norm = not isinstance(module.final_norm, torch.nn.Identity)
    return {name: module.final_norm(one) for name, one in states.items()}, has_norm


def _of_readout(probe: Probe, stack: str) -> dict[str, Tensor]:
    """Return the RNN's readout of its first inputs: previous token, then state, then context."""
    if stack != "decoder":
        raise UsageError(
            message(
                "The RNN has a lens in its decoder alone: the vocabulary projection cannot read "
                "the states of its encoder. Choose decoder."
            )
        )
    model = probe.model
    with read_by_maxout(model) as given:
        model(**probe.inputs)
    x, width, token = given[-1], model.config.width, model.config.embedding_width
    slices = {
        "previous_token": slice(width, width + token),
        "state": slice(0, width),
        "context": slice(width + token, None),
    }
    read, found = torch.zeros_like(x), dict[str, Tensor]()
    for name, part in slices.items():
        read[..., part] = x[..., part]
        first, second = model.decoder.maxout(read).chunk(2, -1)
        found[name] = torch.maximum(first, second)
    return found
