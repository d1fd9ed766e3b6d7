"""Toy models of transformers with shaken weights, and the same models as ours, for comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from triptych.model.config import ModelConfig
from triptych.model.dials import misfit
from triptych.model.transformer import Transformer
from triptych.runs.sizes import parameter_count

VOCABULARY = 50
Rules = Mapping[str, str]  # part of our name -> part of theirs, replaced in this order
Change = Callable[[Tensor], Tensor]


class Published(NamedTuple):
    """Describe a toy: their class and its configuration, our dials, and the names of weights."""

    kind: str  # their class, without "Config"
    values: dict[str, Any]  # of their configuration
    config: ModelConfig
    rules: Rules
    changes: Mapping[str, Change] = {}  # part of our name -> what to do to their tensor
    unused: tuple[str, ...] = ()  # parts of names of theirs that ours does not have
    config_kind: str = ""  # their configuration, if it is not named by the class


def both(toy: Published, scale: float = 0.3) -> tuple[Any, Transformer]:
    """Make both models with the same weights, all of them random."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'triptych[dev]'"
    )
    for side, stack in toy.config.stacks.items():
        assert misfit(stack) is None, (side, misfit(stack))
    torch.manual_seed(1)
    name = toy.config_kind or next(
        toy.kind.removesuffix(end)
        for end in ("ForCausalLM", "ForConditionalGeneration", "MTModel", "Model")
        if toy.kind.endswith(end)
    )
    values = getattr(transformers, f"{name}Config")(**toy.values, vocab_size=VOCABULARY)
    values._attn_implementation = "eager"
    theirs = getattr(transformers, toy.kind)(values).eval()
    for one, parameter in theirs.named_parameters():
        if "embed_positions" not in one or parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=scale)
    ours = Transformer(toy.config).eval()
    copy_weights(toy, theirs, ours)
    assert parameter_count(toy.config) == sum(one.numel() for one in ours.parameters())
    return theirs, ours


@torch.no_grad()
def copy_weights(toy: Published, theirs: Any, ours: Transformer) -> None:
    """Put their weights under our names, all of them."""
    given = dict(theirs.named_parameters())
    left = set(given)
    for name, parameter in ours.named_parameters():
        their_name = name
        for mine, other in toy.rules.items():
            their_name = their_name.replace(mine, other)
        tensor = given[their_name]
        for part, change in toy.changes.items():
            if part in name:
                tensor = change(tensor)
        assert tensor.shape == parameter.shape, (name, tensor.shape, parameter.shape)
        parameter.copy_(tensor)
        left.discard(their_name)
    left = {one for one in left if not any(part in one for part in toy.unused)}
    assert not left, f"{sorted(left)} were not copied"


def ids(count: int, seed: int = 3) -> Tensor:
    """Return token ids (count,) that no model takes for padding."""
    return torch.randint(4, VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))
