"""Split the chosen-minus-rival logit into what each head and feed-forward contributed to it.

Direct logit attribution (Elhage et al. 2021, "the residual stream"): the last state is a sum of
what the parts added. Every norm on the way is linearised: its statistics are kept as they were
(Kobayashi et al. 2021, section 3.2), so that what was added can be followed through it exactly, and
the contributions add up to the difference of the two logits. What only biases add is a bar of its
own. So is what a head of an encoder-only run, or a softcap, bends away from a straight line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..model.attention import Attention
from ..model.normalization import LayerNorm, RMSNorm
from .attribution import exact
from .interventions import Key, Parts, read_by_maxout, recorded
from .probe import Probe
from .sites import Site, is_recurrent, parts_of, stacks


@dataclass(frozen=True, slots=True)
class Contributions:
    """Hold what each part added to the chosen-minus-rival logit.

    Args:
        names: Sites, and "embeddings", "biases" and "rest" (the RNN: "state", "previous_token",
            "context").
        values: Their contributions (K,), in logits; they add up to `difference`.
        difference: The chosen minus the rival logit.
        choice: The chosen and the rival token or label.
    """

    names: list[str]
    values: np.ndarray
    difference: float
    choice: tuple[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the contributions for JSON."""
        return {
            "chosen": self.choice[0],
            "rival": self.choice[1],
            "difference": self.difference,
            "names": self.names,
            "values": self.values.tolist(),
        }


def contributions(probe: Probe) -> Contributions:
    """Return the contributions to the probe's choice.

    Raises UsageError where there is no choice.
    """
    model = probe.model
    with exact(model), torch.no_grad():
        if is_recurrent(model):
            with read_by_maxout(model) as given:
                states = model(**probe.inputs)
            parts, biases = _of_readout(model, given[-1])
        else:
            with recorded(model) as found:
                states = model(**probe.inputs)
            parts, biases = _of_blocks(model, found)
        with torch.enable_grad():  # of the last states; a readout without a head is linear in them
            leaf = states.detach().requires_grad_()
            difference = probe.difference(leaf, 1).sum()
            (slope,) = torch.autograd.grad(difference, leaf)
    values = {name: float((one * slope).sum()) for name, one in parts.items()}
    values["biases"] = float((biases * slope).sum())
    total = float(difference.detach())
    values["rest"] = total - sum(values.values())
    names = probe.choice.names if probe.choice is not None else ("", "")
    return Contributions(list(values), np.array(list(values.values())), total, names)


class _Sum:
    """Follow what was added to the residual stream (N, D) through the norms on its way."""

    def __init__(self, x: Tensor) -> None:
        self.parts: dict[str, Tensor] = {"embeddings": x}
        self.biases = torch.zeros_like(x)

    def norm(self, module: Any, x: Tensor) -> None:
        """Pass the whole sum x through a norm, its statistics kept."""
        if isinstance(module, LayerNorm | RMSNorm):
            self.parts = {name: linear(module, x, one) for name, one in self.parts.items()}
            self.biases = linear(module, x, self.biases) + _bias(module, x)


def linear(module: LayerNorm | RMSNorm, x: Tensor, part: Tensor) -> Tensor:
    """Pass a part of x (N, D) through a norm whose statistics are those of x, without its bias."""
    if isinstance(module, LayerNorm):
        scale = torch.rsqrt(x.var(-1, correction=0, keepdim=True) + module.epsilon)
        return (part - part.mean(-1, keepdim=True)) * scale * module.weight
    scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + module.epsilon)
    return part * scale * (module.weight + module.offset)


def _bias(module: LayerNorm | RMSNorm, x: Tensor) -> Tensor:
    bias = module.bias if isinstance(module, LayerNorm) else None
    return torch.zeros_like(x) if bias is None else bias.expand_as(x)


def _of_blocks(model: Any, found: Parts) -> tuple[dict[str, Tensor], Tensor]:
    """Return what each part of the last stack added to its last states, and the biases, (N, D)."""
    stack, module = list(stacks(model).items())[-1]
    total = _Sum(found.before[stack, 0, "self"])
    for layer, block in enumerate(module.each):
        for part, inner, branch in parts_of(block):
            key = stack, layer, part
            new, bias = _added(found, key, inner)
            if branch.branch is not None:
                y = sum(new.values(), start=bias)
                new = {name: linear(branch.branch, y, one) for name, one in new.items()}
                bias = linear(branch.branch, y, bias) + _bias(branch.branch, y)
            total.parts |= new
            total.biases = total.biases + bias
            total.norm(branch.after, found.before[key] + found.added[key])
    last = found.after[stack, len(module.each) - 1, "feed_forward"]
    total.norm(module.final_norm, last)
    return total.parts, total.biases


def _added(found: Parts, key: Key, inner: Any) -> tuple[dict[str, Tensor], Tensor]:
    """Return what a part's heads, or the part, gave (N, D), and the bias of a part with heads."""
    if not isinstance(inner, Attention):
        given = found.given[key]
        return {str(Site(*key)): given}, torch.zeros_like(given)
    mixed = found.heads[key]  # (N, H, E)
    bias = inner.output(torch.zeros_like(mixed).flatten(1))
    new = dict[str, Tensor]()
    for head in range(inner.heads):
        alone = torch.zeros_like(mixed)
        alone[:, head] = mixed[:, head]
        new[str(Site(*key, head))] = inner.output(alone.flatten(1)) - bias
    return new, bias


def _of_readout(model: Any, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Split the RNN's maxout units (N, R), the winner of each pair kept, by what they read."""
    config, maxout = model.config, model.decoder.maxout
    first, second = maxout(x).chunk(2, -1)
    wins = first >= second
    bias = maxout(torch.zeros_like(x))
    ends = [0, config.width, config.width + config.embedding_width, x.shape[-1]]
    found = dict[str, Tensor]()
    for name, start, end in zip(
        ("state", "previous_token", "context"), ends, ends[1:], strict=False
    ):
        alone = torch.zeros_like(x)
        alone[..., start:end] = x[..., start:end]
        found[name] = torch.where(wins, *(maxout(alone) - bias).chunk(2, -1))
    return found, torch.where(wins, *bias.chunk(2, -1))
