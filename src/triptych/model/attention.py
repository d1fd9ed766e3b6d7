"""Multi-head attention: a sequence to itself, or to a memory (Vaswani et al. 2017, section
3.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .layout import PackedLayout
from .linear import Linear
from .ops.attention import CachedKeys, attention
from .ops.dropout import DropoutRng
from .ops.onednn import PrepackedLinear
from .ops.reference import plain_attention
from .ops.rotary import Angles, Rotary, rotate

# several projections of one input, as one product
Fused = tuple[Tensor, Tensor | None] | PrepackedLinear


@dataclass(slots=True)
class Context:
    """What the blocks of one pass share: where rows stand, where keys come from, what dropout
    draws.

    Over packed rows `layout` says which rows are one sequence. While decoding `cache` holds the
    keys and values of earlier tokens, and the rows are the new tokens of `shape` (B, T).
    """

    layout: PackedLayout | None = None
    memory: Tensor | None = None  # (M, D) states of the encoder
    memory_layout: PackedLayout | None = None
    angles: Angles | None = None  # of the rows' positions, where these are rotary
    rng: DropoutRng | None = None  # None: nothing is dropped
    # (K,) rising: the rows whose states are asked of an encoder's block
    selected_rows: Tensor | None = None
    # a DecoderState that made room for the new tokens, or what stands for one (`joined`, `append`,
    # `cross`)
    cache: Any = None
    shape: tuple[int, int] = (0, 0)
    slot_bias: Tensor | None = None  # added to the scores of cached keys
    layer: int = 0  # number of the block that runs
    # where attention weights (B, H, T, S) are gathered, one entry a block
    weights: list[Tensor] | None = None
    weighs_memory: bool = False  # those of attention to the memory, else those of self-attention
    weighed_layers: list[int] | None = None  # None: all


class Attention(nn.Module):
    """Projections of queries, keys, values and output; `key_heads` < `heads` shares keys among
    query heads.

    The four weights are separate parameters (their names are public); projections of the same input
    run as one product.
    """

    def __init__(
        self, config: StackConfig, memory_width: int | None = None, is_causal: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.key_heads = config.heads, config.key_heads or config.heads
        if config.width % self.heads or self.heads % self.key_heads:
            raise ValueError(
                f"width {config.width}, heads {self.heads} and key_heads {self.key_heads} do not "
                "fit: heads must divide width, and key_heads must divide heads."
            )
        self.head_width = config.width // self.heads  # E
        self.is_causal, self.has_memory = is_causal, memory_width is not None
        source, keys = memory_width or config.width, self.key_heads * self.head_width
        self.query = Linear(config.width, config.width, config.bias)
        self.key = Linear(source, keys, config.bias)
        self.value = Linear(source, keys, config.bias)
        self.output = Linear(config.width, config.width, config.bias)
        self.dropout = config.attention_dropout
        rotary = config.positions == "rotary" and memory_width is None
        self.rotary = Rotary(self.head_width, config.rotary_base) if rotary else None
        self.prepacked_self: PrepackedLinear | None = None

    def forward(self, x: Tensor, context: Context, residual: Tensor | None = None) -> Tensor:
        """Mix what rows see: x (N, D) -> (N, D), of selected rows (K, D), plus `residual`."""
        cache, angles, selected = context.cache, context.angles, context.selected_rows
        layout = key_layout = context.layout
        keys: Tensor | CachedKeys | None = None
        if selected is None and not self.has_memory:
            weight = self.joined(x) if cache is None else cache.joined(context.layer, self, x)
            query = self.project(x, weight)  # (N, H + 2K, E)
            if self.rotary is not None and angles is not None:
                query = rotate(query, angles, self.heads + self.key_heads)
            if cache is not None:
                sizes = (self.heads, self.key_heads, self.key_heads)
                query, *new = query.view(*context.shape, sum(sizes), -1).split(sizes, 2)
                held = cache.append(context.layer, *new)
                keys = CachedKeys(held[0], held[1], context.slot_bias)
        else:  # queries of some rows to keys of others
            rows = x if selected is None else x.index_select(0, selected)
            query = self.query(rows).view(*rows.shape[:-1], self.heads, self.head_width)
            if selected is not None:
                keys = self.project(x, self.joined(x, without_query=True))
                if self.rotary is not None and angles is not None:
                    query = rotate(query, (angles[0][selected], angles[1][selected]))
                    keys = rotate(keys, angles, self.key_heads)
                assert layout is not None, "selected rows are of packed rows"
                layout = layout.some(selected)
            elif cache is None:
                assert context.memory is not None, "a block with attention to a memory needs one"
                weight = self.joined(context.memory, without_query=True)
                keys, key_layout = self.project(context.memory, weight), context.memory_layout
            else:
                query = query.view(*context.shape, self.heads, self.head_width)
                keys = cache.cross.of_layer(context.layer)
        if context.weights is not None:
            self._weigh(query, keys, context, layout, key_layout)
        mixed = attention(
            query, keys, self.heads, layout, key_layout, self.is_causal, self.dropout, context.rng
        )
        if residual is not None and selected is not None:
            residual = residual.index_select(0, selected)
        return self.output(mixed.reshape(-1, self.heads * self.head_width), residual=residual)

    def _weigh(
        self,
        query: Tensor,
        keys: Any,
        context: Context,
        layout: PackedLayout | None,
        key_layout: PackedLayout | None,
    ) -> None:
        """Gather this block's attention weights, where they are wanted."""
        wanted = context.weighed_layers is None or context.layer in context.weighed_layers
        if context.weighs_memory == self.has_memory and wanted and context.weights is not None:
            assert layout is not None and key_layout is not None, "weights are of packed rows"
            found = plain_attention(query, keys, self.heads, layout, key_layout, self.is_causal)
            context.weights.append(found[1])

    def project(self, x: Tensor, weight: Fused) -> Tensor:
        """Apply several projections as one product: (N, D) -> (N, heads of the parts, E)."""
        y = weight(x) if isinstance(weight, PrepackedLinear) else functional.linear(x, *weight)
        return y.view(x.shape[0], -1, self.head_width)

    def joined(self, x: Tensor, without_query: bool = False) -> Fused:
        """The weights of query, key and value, or of key and value, as one product's of `x`."""
        prepacked = None if without_query or torch.is_grad_enabled() else self.prepacked_self
        if prepacked is not None and prepacked.fits(x):
            return prepacked
        parts = (self.key, self.value) if without_query else (self.query, self.key, self.value)
        weight = torch.cat([part.weight for part in parts]).to(x.dtype)
        biases: list[Tensor] = [part.bias for part in parts if part.bias is not None]
        return weight, torch.cat(biases).to(x.dtype) if biases else None

    def prepack(self) -> None:
        if self.query.weight.shape[1] == self.key.weight.shape[1]:
            self.prepacked_self = None
            weight = self.joined(self.query.weight)
            assert isinstance(weight, tuple), "nothing is prepacked yet"
            self.prepacked_self = PrepackedLinear(*weight)
