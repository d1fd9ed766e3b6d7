"""Compute which input tokens a score depends on: gradient times input, and the gradient's length.

The gradient is that of a number read off the head's output (a label's log-probability, say) with
respect to the vectors of the tokens, as they come out of the embedding table. Multiplied by the
vector itself and summed over the width (Shrikumar et al. 2017, section 2.1; Denil et al. 2014,
section 3) it is what each token added to the score, to first order: the values need not add up to
the score.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ScoreFunction = Callable[[Any], Tensor]  # output of a head -> one number


@dataclass(frozen=True, slots=True)
class Attribution:
    """Hold the attribution of one score.

    Args:
        gradient_times_input: (S,) fp32, one number per token (or cell).
        gradient_norm: (S,) fp32.
        value: The score itself.
        kind: What the score is, as in `scores.Scored`.
        of: Its own name, as in `scores.Scored`.
    """

    gradient_times_input: np.ndarray
    gradient_norm: np.ndarray
    value: float
    kind: str = "label"
    of: str = ""


@contextmanager
def exact(*modules: nn.Module) -> Iterator[None]:
    """Compute without dropout and in fp32 inside the context; restore both afterwards."""
    before = [(module, module.training, getattr(module, "precision", None)) for module in modules]
    for module, _, precision in before:
        module.eval()
        if precision is not None:
            module.precision = torch.float32  # type: ignore[assignment]
    try:
        yield
    finally:
        for module, was_training, precision in before:
            module.train(was_training)
            if precision is not None:
                module.precision = precision  # type: ignore[assignment]


@contextmanager
def vectors_of(model: Any, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace the source tokens' vectors (S, D) by `change` of them inside the context.

    Encoder and head get the changed vectors whenever they read the embedding table.
    """
    table = model.source_embedding or model.embedding
    hook = table.register_forward_hook(lambda module, given, vectors: change(vectors))
    try:
        yield
    finally:
        hook.remove()


def attribute(
    model: Any, head: nn.Module, inputs: Mapping[str, Tensor], score: ScoreFunction
) -> Attribution:
    """Compute gradient times input of a score, one number per source token, in fp32.

    Args:
        model: A Transformer with an encoder.
        head: Called as head(model, states, inputs).
        inputs: Packed, as `collate` gives them.
        score: From the head's output to a scalar.
    """
    taken: list[Tensor] = []

    def leaf(vectors: Tensor) -> Tensor:
        if not taken:
            taken.append(vectors.detach().float().requires_grad_())
        # A head may read the same vectors again.
        return taken[0] if vectors.shape == taken[0].shape else vectors

    if any(parameter.dtype != torch.float32 for parameter in head.parameters()):
        head = copy.deepcopy(head).float()
    with exact(model, head), vectors_of(model, leaf), torch.enable_grad():
        value = score(head(model, model(**inputs), dict(inputs)))
        assert value.numel() == 1, "a score must be one number"
        (gradient,) = torch.autograd.grad(value.reshape(()), taken[0])  # (S, D)
    products = (gradient * taken[0].detach()).sum(-1)  # (S,)
    return Attribution(
        products.cpu().numpy(), gradient.norm(dim=-1).cpu().numpy(), float(value.detach())
    )


def together(found: Attribution, groups: list[tuple[int, ...]]) -> Attribution:
    """Turn an attribution of tokens into one of groups of tokens.

    Products are added up, and the gradients of a group make one long gradient.
    """
    products = [found.gradient_times_input[list(group)].sum() for group in groups]
    norms = [float(np.sqrt(np.square(found.gradient_norm[list(group)]).sum())) for group in groups]
    return replace(
        found,
        gradient_times_input=np.array(products, dtype=np.float32),
        gradient_norm=np.array(norms, dtype=np.float32),
    )
