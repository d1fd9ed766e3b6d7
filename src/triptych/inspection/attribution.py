"""Which input tokens a score depends on: gradient times input, and the length of the gradient.

The gradient is that of a number read off the head's output (a label's log-probability, say) with
respect to the vectors of the tokens, as they come out of the embedding table. Times the vector
itself and added up over the width (Shrikumar et al. 2017, section 2.1; Denil et al. 2014, section
3) it says what each token added to the score, to first order: the values need not add up to it.
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
    """gradient_times_input, gradient_norm: (S,) fp32, one a token (or a cell); value: the score
    itself; kind, of: what it is, as `scores.Scored` has them.
    """

    gradient_times_input: np.ndarray
    gradient_norm: np.ndarray
    value: float
    kind: str = "label"
    of: str = ""


@contextmanager
def exact(*modules: nn.Module) -> Iterator[None]:
    """Without dropout and in fp32 while it lasts; afterwards all is as it was."""
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
    """While it lasts, whoever asks the table for source tokens, encoder or head, gets `change` of
    their vectors (S, D).
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
    """Gradient times input of `score(head(model, states, inputs))`, one number a source token, in
    fp32.

    model: a Transformer with an encoder; inputs: packed, as `collate` gives them; score: from the
        head's output to a scalar.
    """
    taken: list[Tensor] = []

    def leaf(vectors: Tensor) -> Tensor:
        if not taken:
            taken.append(vectors.detach().float().requires_grad_())
        # a head may read the same vectors again
        return taken[0] if vectors.shape == taken[0].shape else vectors

    if any(parameter.dtype != torch.float32 for parameter in head.parameters()):
        head = copy.deepcopy(head).float()
    with exact(model, head), vectors_of(model, leaf), torch.enable_grad():
        value = score(head(model, model(**inputs), dict(inputs)))
        assert value.numel() == 1, "a score is one number"
        (gradient,) = torch.autograd.grad(value.reshape(()), taken[0])  # (S, D)
    products = (gradient * taken[0].detach()).sum(-1)  # (S,)
    return Attribution(
        products.cpu().numpy(), gradient.norm(dim=-1).cpu().numpy(), float(value.detach())
    )


def together(found: Attribution, groups: list[tuple[int, ...]]) -> Attribution:
    """Of tokens -> of groups of tokens: what was added is added up, and the gradients of a group
    make one long gradient.
    """
    products = [found.gradient_times_input[list(group)].sum() for group in groups]
    norms = [float(np.sqrt(np.square(found.gradient_norm[list(group)]).sum())) for group in groups]
    return replace(
        found,
        gradient_times_input=np.array(products, dtype=np.float32),
        gradient_norm=np.array(norms, dtype=np.float32),
    )
