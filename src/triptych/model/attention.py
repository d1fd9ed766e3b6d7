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
from .linear import Linear
from .masks import PackedLayout
from .ops.kernels import CachedKeys, DropoutRng, attention, plain_attention
from .ops.onednn import PrepackedLinear
from .positions import Angles, Rotary, rotate

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
    # a DecoderState that made room for the new tokens, or what stands for one (`qkv`, `append`,
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
        """Mix what rows see: x (N, D) -> (N, D), of selected rows alone (K, D); with `residual`
        added to it where that is given.
        """
        if self.has_memory:
            query, keys = self._query_memory(x, context)
            key_layout = context.memory_layout
        else:
            query, keys = self._query_self(x, context)
            key_layout = context.layout
        layout, selected = context.layout, context.selected_rows
        if layout is not None and selected is not None:
            layout = layout.some(selected)
        if context.weights is not None and context.weighs_memory == self.has_memory:
            assert layout is not None and key_layout is not None, "weights are of packed rows"
            if context.weighed_layers is None or context.layer in context.weighed_layers:
                found = plain_attention(query, keys, self.heads, layout, key_layout, self.is_causal)
                context.weights.append(found[1])
        mixed = attention(
            query, keys, self.heads, layout, key_layout, self.is_causal, self.dropout, context.rng
        ).reshape(-1, self.heads * self.head_width)
        return self.output(mixed) if residual is None else self.output.added(mixed, residual)

    def _query_self(self, x: Tensor, context: Context) -> tuple[Tensor, Any]:
        """Queries, keys and values of the rows themselves, rotated where positions are rotary.

        Returns (N, H + 2K, E) and None; of selected rows (K, H, E) and (N, 2K, E); while decoding
        (B, T, H, E) and the cached keys.
        """
        selected, cache, angles = context.selected_rows, context.cache, context.angles
        heads, key_heads = self.heads, self.key_heads
        if selected is not None:
            query = self.query(x.index_select(0, selected)).view(-1, heads, self.head_width)
            keys = self.project_keys(x)
            if self.rotary is not None and angles is not None:
                query = rotate(query, (angles[0][selected], angles[1][selected]))
                keys = rotate(keys, angles, key_heads)
            return query, keys
        fused = self.qkv_weight(x) if cache is None else cache.qkv(context.layer, self, x)
        projected = self._project(x, fused)
        if self.rotary is not None:
            assert angles is not None, "rotary positions need to know where a token stands"
            projected = rotate(projected, angles, heads + key_heads)
        if cache is None:
            return projected, None
        query, key, value = projected.view(*context.shape, heads + 2 * key_heads, -1).split(
            (heads, key_heads, key_heads), 2
        )
        keys, values = cache.append(context.layer, key, value)
        return query.contiguous(), CachedKeys(keys, values, context.slot_bias)

    def _query_memory(self, x: Tensor, context: Context) -> tuple[Tensor, Any]:
        """Queries (N, H, E) of the rows and keys and values (M, 2K, E) of the memory; while
        decoding (B, T, H, E) and the keys that are kept of it.
        """
        query = self.query(x).view(-1, self.heads, self.head_width)
        if context.cache is None:
            assert context.memory is not None, "a block with attention to a memory needs one"
            return query, self.project_keys(context.memory)
        cross, layer = context.cache.cross, context.layer
        assert cross is not None, "a decoder with attention to a memory needs one"
        query = query.view(*context.shape, self.heads, self.head_width)
        return query, CachedKeys(cross.keys[layer], cross.values[layer], cross.bias)

    def project_keys(self, memory: Tensor) -> Tensor:
        """Keys and values: (M, D) -> (M, 2K, E)."""
        return self._project(memory, _joined(memory.dtype, self.key, self.value))

    def qkv_weight(self, x: Tensor) -> Fused:
        """The weights of query, key and value as one product's, for the input `x`."""
        prepacked = self.prepacked_self
        if prepacked is not None and prepacked.fits(x):
            return prepacked
        return _joined(x.dtype, self.query, self.key, self.value)

    def prepack(self) -> None:
        if self.query.weight.shape[1] == self.key.weight.shape[1]:
            self.prepacked_self = PrepackedLinear(
                *_joined(self.query.weight.dtype, self.query, self.key, self.value)
            )

    def _project(self, x: Tensor, fused: Fused) -> Tensor:
        """(N, D) -> (N, heads of the parts, E)."""
        if isinstance(fused, PrepackedLinear):
            return fused(x).view(x.shape[0], -1, self.head_width)
        return functional.linear(x, *fused).view(x.shape[0], -1, self.head_width)


def _joined(precision: torch.dtype, *parts: Linear) -> tuple[Tensor, Tensor | None]:
    """The weights and biases of several projections as one product's, in `precision`."""
    weight = torch.cat([part.weight for part in parts]).to(precision)
    biases: list[Tensor] = [part.bias for part in parts if part.bias is not None]
    return weight, torch.cat(biases).to(precision) if biases else None
