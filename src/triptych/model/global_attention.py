"""Attention of global tokens, which see the whole sequence by projections of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .config import StackConfig
from .layout import PackedLayout
from .linear import Linear, join
from .masks import FULL

if TYPE_CHECKING:
    from .attention import Context


class GlobalAttention(nn.Module):
    """Replace what global tokens gather by attention over all tokens (Beltagy et al. 2020, 3.1).

    The other tokens see the global ones by the usual projections, which the mask of
    `masks.masked` shows them.
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.heads, self.head_width = config.heads, config.size_of_head
        queries = self.heads * self.head_width
        keys = (config.key_heads or self.heads) * self.head_width
        bias = config.attention_biases or 4 * [config.bias]
        self.query = Linear(config.width, queries, bias[0])
        self.key = Linear(config.width, keys, bias[1])
        self.value = Linear(config.width, keys, bias[2])

    def forward(
        self, x: Tensor, mixed: Tensor, context: Context, attend: Callable[..., Tensor]
    ) -> Tensor:
        """Map states x (N, D) and mixed values (N or K, H, E) -> mixed values of the same shape."""
        layout, selected = context.layout, context.selected_rows
        assert layout is not None and layout.global_counts is not None, "globals are counted"
        is_global = layout.positions < layout.global_counts[layout.sequence]  # (N,)
        places = (is_global if selected is None else is_global[selected]).nonzero().squeeze(1)
        if not places.numel():
            return mixed
        rows = places if selected is None else selected[places]
        own = layout.some(rows)
        query = self.query(x.index_select(0, rows)).view(-1, self.heads, self.head_width)
        keys = join((self.key, self.value), x.dtype)(x).view(x.shape[0], -1, self.head_width)
        done = len(context.weights or ())
        found = attend((query, keys, self.heads, own, layout, FULL, None), context)
        if context.weights is not None and len(context.weights) > done:
            _overlay(context.weights, own)
        return mixed.index_copy(0, places, found)


def _overlay(weights: list[Tensor], own: PackedLayout) -> None:
    """Write the last weights (B, H, g, S) over the first queries of those before (B, H, T, S)."""
    last, whole = weights.pop(), weights[-1]
    first = whole[:, :, : own.longest]
    whole[:, :, : own.longest] = torch.where(own.real[:, None, :, None], last, first)


Counter = Callable[[Tensor, PackedLayout, Tensor | None], Tensor]


def global_counter(config: StackConfig | None) -> Counter | None:
    """Return what counts the global tokens (B,) of ids, layout and segments, or None."""
    if config is None or config.attention_globals is None:
        return None
    return {"first": _first, "question": _question, "none": _none}[config.attention_globals]


def _none(ids: Tensor, layout: PackedLayout, segments: Tensor | None) -> Tensor:
    return torch.zeros_like(layout.lengths)


def _first(ids: Tensor, layout: PackedLayout, segments: Tensor | None) -> Tensor:
    return torch.ones_like(layout.lengths)


def _question(ids: Tensor, layout: PackedLayout, segments: Tensor | None) -> Tensor:
    """Count the tokens of the first of several texts but separators; of one text, the first.

    One or two separators are at the end of the first text (RoBERTa's tokenizer: two).
    """
    if segments is None:
        return _first(ids, layout, segments)
    inside = (segments == 0).long()
    count = torch.zeros_like(layout.lengths).index_add_(0, layout.sequence, inside)
    last = layout.starts + count - 1
    found = count - 1 - (ids[last] == ids[last - 1]).long()
    return torch.where(count < layout.lengths, found, 1).clamp_min(1)
