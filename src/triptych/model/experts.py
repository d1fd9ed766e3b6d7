"""Sparse feed-forward networks: a router sends each token to a few of many experts.

Switch (Fedus et al. 2021) sends a token to one expert, whose output counts with the router's
probability (section 2.1, equation 2). Mixtral (Jiang et al. 2024) sends it to two, weighted by a
softmax over the chosen (section 2.1). Tokens are sorted by expert, so each expert computes one
product over consecutive rows.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from .config import StackConfig
from .feed_forward import FeedForward
from .linear import Linear
from .typed import split, to_ints

if TYPE_CHECKING:
    from .attention import Context

# oneDNN compiles a bf16 product for each number of rows that it meets, which takes longer than the
# product; so experts get one of a few numbers of rows.
MULTIPLE = 64


class Routed(NamedTuple):
    """Hold sums over the tokens of one pass through one router, for its own losses."""

    probabilities: Tensor  # (E,) fp32, with a gradient
    log_partitions: Tensor  # () fp32, squared log-sum-exp of the logits, with a gradient
    tokens: Tensor  # (E,) int64 that chose each expert, those that were dropped included
    dropped: Tensor  # () int64


class SparseFeedForward(nn.Module):
    """Route each token to `experts_per_token` of `experts` feed-forward networks.

    With a capacity an expert takes only the first so many tokens of a sequence; the others are
    dropped and pass by on the residual alone (Fedus et al. 2021, section 2.2). It is counted for
    each sequence, as transformers does, so no answer depends on its neighbours.
    """

    def __init__(self, config: StackConfig, is_causal: bool) -> None:
        super().__init__()
        assert config.experts, "a sparse layer has experts"
        dropout = config.inner_dropout if config.expert_dropout is None else config.expert_dropout
        dense = dataclasses.replace(config, experts=None, inner_dropout=dropout)
        self.router = Linear(config.width, config.experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(dense) for _ in range(config.experts))
        self.count, self.chosen = config.experts, config.experts_per_token or 1
        self.jitter = config.expert_jitter or 0.0
        self.capacity, self.capacity_factor = config.expert_capacity, config.expert_capacity_factor
        # A decoder drops tokens only in training: writing with a cache would not know of them.
        self.drops_in_use = self.capacity is not None and not is_causal

    def forward(self, x: Tensor, context: Context, residual: Tensor | None = None) -> Tensor:
        """Map x (N, D) -> (N, D), plus `residual` if that is given."""
        weights, chosen = self._route(x, context)  # (N, k), (N, k)
        groups = _grouped(chosen, self.count, self._multiple(x, chosen))
        *parts, dropped = split(groups.gather(x, self.chosen), groups.sizes)
        outputs = [
            expert(part, context)
            for expert, part in zip(self.experts, parts, strict=True)
            # In training an expert without tokens gets zeros as gradients, the same in all
            # processes.
            if part.shape[0] or torch.is_grad_enabled()
        ]
        y = groups.give_back(torch.cat([*outputs, torch.zeros_like(dropped)]))  # (N * k, D)
        y = y.view(*chosen.shape, x.shape[1]) * weights.to(y.dtype)[:, :, None]  # (N, k, D)
        y = y.sum(1) if self.chosen > 1 else y[:, 0]  # (N, D)
        return y if residual is None else residual + y

    def _multiple(self, x: Tensor, chosen: Tensor) -> int:
        """Return what the number of rows of each expert is padded to a multiple of."""
        is_slow = x.dtype == torch.bfloat16 and x.device.type == "cpu"
        return MULTIPLE if is_slow and chosen.numel() >= self.count * MULTIPLE else 1

    def _route(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Return the weights (N, k) and numbers (N, k) of each token's experts.

        The number of an expert that is full is that of no expert, E. All is computed in fp32
        (Fedus et al. 2021, section 2.4).
        """
        read, rng = x.float(), context.rng
        if self.jitter and rng is not None:
            read = read * (1 + self.jitter * (2 * rng.uniforms(read) - 1))
        logits = self.router(read)  # (N, E)
        probabilities = logits.softmax(-1)
        weights, chosen = probabilities.topk(self.chosen)
        if self.chosen > 1:
            weights = weights / weights.sum(-1, keepdim=True)
        kept = chosen
        if self.drops_in_use or (rng is not None and (self.capacity or self.capacity_factor)):
            kept = self._within_capacity(chosen, context)
        if context.routed is not None:
            tokens = torch.bincount(chosen.view(-1), minlength=self.count)
            squares = logits.logsumexp(-1).square().sum()
            dropped = (kept == self.count).sum()
            context.routed.append(Routed(probabilities.sum(0), squares, tokens, dropped))
        return weights, kept

    def _within_capacity(self, chosen: Tensor, context: Context) -> Tensor:
        """Replace the expert of each token (N, 1) that comes too late by E."""
        if (layout := context.layout) is None:  # decoding
            return chosen
        sequence = layout.sequence
        expert = chosen[:, 0]
        place = expert * layout.count + sequence
        order = place.argsort(stable=True)
        places = place[order]
        before = torch.arange(order.numel(), device=order.device)
        before = before - torch.searchsorted(places, places)  # tokens that came before each
        room = self._room(layout.lengths)[sequence[order]]
        return expert.index_fill(0, order[before >= room], self.count)[:, None]

    def _room(self, lengths: Tensor) -> Tensor:
        """Return how many tokens each expert takes of sequences with `lengths` (B,)."""
        if self.capacity is not None:
            return torch.full_like(lengths, self.capacity)
        assert self.capacity_factor is not None, "a capacity was asked for"
        even = lengths.double() * (self.capacity_factor / self.count)
        return even.ceil().to(lengths.dtype)


class _Groups(NamedTuple):
    """Say where each of N * k choices is among the rows of all experts, one after the other."""

    order: Tensor  # (P,) choice of each row, those that were dropped last; padding repeats one
    inverse: Tensor  # (N * k,) row of each choice
    padding: Tensor | None  # (P - N * k,) rows that are no choice
    sizes: list[int]  # rows of each expert, then those dropped

    def gather(self, x: Tensor, copies: int) -> Tensor:
        """Map x (N, D), `copies` of each row -> (P, D)."""
        return _move(x, self.order, self.inverse, None, copies)

    def give_back(self, y: Tensor) -> Tensor:
        """Map y (P, D) -> (N * k, D)."""
        return _move(y, self.inverse, self.order, self.padding, 1)


def _grouped(chosen: Tensor, experts: int, multiple: int) -> _Groups:
    """Sort the choices (N, k) by expert, and pad the rows of each to a multiple."""
    flat = chosen.view(-1)
    order = flat.argsort(stable=True)  # (N * k,)
    counts = torch.bincount(flat, minlength=experts + 1)
    steps = torch.arange(order.numel(), device=order.device)
    inverse = torch.empty_like(order)
    sizes = to_ints(counts)
    if multiple == 1:
        inverse[order] = steps
        return _Groups(order, inverse, None, sizes)
    sizes = [-(-size // multiple) * multiple for size in sizes[:-1]] + sizes[-1:]
    starts = torch.tensor([0, *sizes[:-1]], device=order.device).cumsum(0)
    shift = starts - (counts.cumsum(0) - counts)  # (E + 1,)
    rows = steps + shift.repeat_interleave(counts, output_size=steps.numel())  # of sorted choices
    inverse[order] = rows
    padded = order.new_zeros(sum(sizes)).index_copy(0, rows, order)
    is_padding = torch.ones_like(padded, dtype=torch.bool).index_fill(0, rows, False)
    return _Groups(padded, inverse, is_padding.nonzero()[:, 0], sizes)


class _MoveRows(torch.autograd.Function):
    """Gather rows; the gradient is gathered back, which is faster than adding row by row."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, order: Tensor, inverse: Tensor, padding: Tensor | None, copies: int
    ) -> Tensor:
        ctx.save_for_backward(inverse, padding)
        ctx.copies = copies
        return x.index_select(0, order if copies == 1 else order // copies)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        (inverse, padding), copies = ctx.saved_tensors, ctx.copies
        grad = grads[0].index_select(0, inverse)
        if padding is not None:
            grad.index_fill_(0, padding, 0)
        if copies > 1:
            grad = grad.view(-1, copies, grad.shape[-1]).sum(1)
        return grad, None, None, None, None


def _move(x: Tensor, order: Tensor, inverse: Tensor, padding: Tensor | None, copies: int) -> Tensor:
    """Put `copies` of each row of x (N, D) into `order`, whose inverse is given.

    The rows `padding` of x have no gradient.
    """
    return cast(Tensor, cast(Any, _MoveRows).apply(x, order, inverse, padding, copies))
