"""Multi-head attention: self-attention or cross-attention (Vaswani et al. 2017, section 3.2.2)."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .config import StackConfig
from .disentangled import Relative, disentangled_bias
from .global_attention import GlobalAttention
from .interface import CellCache, KeyCache
from .layout import PackedLayout
from .linear import Linear, Product, join, prepack_joined
from .masks import FULL, Mask
from .normalization import head_norm, normed_heads
from .ops import attention as ops
from .ops.attention import CachedKeys
from .ops.dropout import DropoutRng, dropout
from .ops.onednn import PrepackedLinear
from .ops.reference import capped_attention, plain_attention
from .ops.rotary import Angles, rotate

if TYPE_CHECKING:
    from .experts import Routed


@dataclass(slots=True)
class Context:
    """Hold what the blocks of a pass share: layout of rows, source of keys, random generator.

    Packed rows have a `layout`. While decoding, `cache` holds the keys and values of earlier
    tokens, and the rows are the new tokens of `shape` (B, T).
    """

    layout: PackedLayout | None = None
    memory: Tensor | None = None  # (M, D) states of the encoder
    memory_layout: PackedLayout | None = None
    # angles of the rows' positions, for each kind of rotation in the stack
    angles: tuple[Angles, ...] = ()
    bias: Tensor | None = None  # added to the scores of self-attention (1, H, T, S)
    relative: Relative | None = None  # of self-attention, if it is disentangled
    rng: DropoutRng | None = None  # None: no dropout
    selected_rows: Tensor | None = None  # (K,) rising: the only rows that an encoder block computes
    cache: KeyCache | None = None
    shape: tuple[int, int] = (0, 0)
    # added to scores of cached keys (R, H or 1, B / R, T or 1, C), one for each mask of the stack
    slot_biases: tuple[Tensor, ...] = ()
    cells: CellCache | None = None  # while decoding with recurrent units
    layer: int = 0  # number of the block that runs
    routed: MutableSequence[Routed] | None = None  # collects what routers hand back
    weights: list[Tensor] | None = None  # collects attention weights (B, H, T, S) of each block
    weighs_memory: bool = False  # True: collect those of cross-attention, not of self-attention
    weighed_layers: list[int] | None = None  # None: all

    def weighs(self, has_memory: bool) -> bool:
        """Tell whether to collect the weights of this block's self- or cross-attention."""
        wanted = self.weighed_layers is None or self.layer in self.weighed_layers
        return wanted and self.weighs_memory == has_memory


class Attention(nn.Module):
    """Project queries, keys, values and output; `key_heads` < `heads` shares keys among queries.

    The four weights are separate parameters; projections of one input run as one product. A
    subclass may replace the three operations below (`padded_attention.py`).
    """

    packed: Callable[..., Tensor] | None = None  # None: the fastest of this device
    plain: Callable[..., tuple[Tensor, Tensor]] = staticmethod(plain_attention)
    attend_cached: Callable[..., Tensor] = staticmethod(ops.attend_cached)

    def __init__(
        self, config: StackConfig, memory_width: int | None = None, mask: Mask = FULL
    ) -> None:
        super().__init__()
        self.heads, self.key_heads = config.heads, config.key_heads or config.heads
        is_uneven = config.head_width is None and config.width % self.heads
        if is_uneven or self.heads % self.key_heads:
            raise ValueError(
                f"width {config.width}, heads {self.heads} and key_heads {self.key_heads} do not "
                "fit: heads must divide width, and key_heads must divide heads."
            )
        self.head_width = config.size_of_head  # E
        self.mask, self.has_memory = mask, memory_width is not None
        self.mask_number = 0  # index of this mask in the stack
        self.rotary_number: int | None = None  # index of the rotation in the stack
        self.scale = config.attention_scale  # None: 1 / sqrt(E)
        source, queries = memory_width or config.width, self.heads * self.head_width
        keys = self.key_heads * self.head_width
        bias = config.attention_biases or 4 * [config.bias]
        self.query = Linear(config.width, queries, bias[0])
        self.key = Linear(source, keys, bias[1])
        self.value = Linear(source, keys, bias[2])
        self.output = Linear(queries, config.width, bias[3])
        self.query_norm = head_norm(config, self.heads)
        self.key_norm = head_norm(config, self.key_heads)
        self.globals: GlobalAttention | None = None
        if config.attention_globals is not None and not self.has_memory:
            self.globals = GlobalAttention(config)
        if config.disentangled is not None:
            # content to content, content to position, position to content
            self.scale = (3 * self.head_width) ** -0.5
        self.vector_dropout = config.dropout  # of the vectors of relative positions
        self.dropout = config.attention_dropout
        self.prepacked_self: PrepackedLinear | None = None
        self.softcap = softcap = config.attention_softcap
        if softcap is not None:
            self.packed = partial(capped_attention, softcap=softcap)
            self.plain = partial(plain_attention, softcap=softcap)
            self.attend_cached = partial(ops.attend_cached, softcap=softcap)

    def forward(self, x: Tensor, context: Context, residual: Tensor | None = None) -> Tensor:
        """Map x (N, D) -> (N, D), or (K, D) of selected rows, plus `residual` of the same shape."""
        cache, selected = context.cache, context.selected_rows
        layout = key_layout = context.layout
        bias = None if self.has_memory else context.bias
        keys: Tensor | CachedKeys | None = None
        if selected is not None:
            query, keys, layout, bias = self._of_selected(x, context, selected)
        elif not self.has_memory:
            product = self.joined(x) if cache is None else cache.joined(context.layer, self, x)
            query = self._normed(product(x).view(x.shape[0], -1, self.head_width))  # (N, H + 2K, E)
            if self.rotary_number is not None:
                angles = context.angles[self.rotary_number]
                query = rotate(query, angles, self.heads + self.key_heads)
            if cache is not None:
                sizes = [self.heads, self.key_heads, self.key_heads]
                query, *new = torch.split(query.view(*context.shape, sum(sizes), -1), sizes, 2)
                held = cache.append(context.layer, *new)
                keys = CachedKeys(held[0], held[1], context.slot_biases[self.mask_number])
        else:
            query = self.queries(x)
            if cache is None:
                assert context.memory is not None, "cross-attention needs a memory"
                keys, key_layout = self.keys_of(context.memory), context.memory_layout
            else:
                query = query.view(*context.shape, self.heads, self.head_width)
                keys = cache.cross_keys(context.layer)
        if isinstance(keys, CachedKeys):
            mixed = self.attend_cached(query, *keys, self.scale)
        else:
            assert layout is not None and key_layout is not None, "packed rows have a layout"
            if context.relative is not None:
                bias = self._disentangled(query, keys, layout, context)
            mixed = self.mix(
                (query, keys, self.heads, layout, key_layout, self.mask, bias), context
            )
            if self.globals is not None:
                mixed = self.globals(x, mixed, context, self.mix)
        return self.output(mixed.reshape(-1, self.heads * self.head_width), residual=residual)

    def mix(self, scored: tuple[Any, ...], context: Context) -> Tensor:
        """Compute attention over packed rows, and collect its weights if they are asked for."""
        if context.weights is not None and context.weighs(self.has_memory):
            context.weights.append(self.plain(*scored, self.scale)[1])
        attend: Callable[..., Tensor] = self.packed or ops.BY_DEVICE.get(
            scored[0].device.type, ops.attention
        )
        return attend(*scored, self.scale, self.dropout, context.rng)

    def _disentangled(
        self, query: Tensor, keys: Tensor | None, layout: PackedLayout, context: Context
    ) -> Tensor:
        """Return the scores of relative positions (B, H, T, S) as a bias."""
        assert context.relative is not None and context.layout is not None, "of packed rows"
        vectors, places = context.relative
        if context.selected_rows is not None:
            places = places[0][layout.grid]  # (B, selected T, S)
        vectors = dropout(vectors, self.vector_dropout, context.rng).to(query.dtype)
        shape = vectors.shape[0], self.heads, self.head_width
        key = query[:, self.heads : 2 * self.heads] if keys is None else keys[:, : self.heads]
        return disentangled_bias(
            (query[:, : self.heads], key),
            (self.query(vectors).view(shape), self.key(vectors).view(shape)),
            (layout, context.layout),
            places,
            (3 * self.head_width) ** -0.5,
        )

    def _of_selected(
        self, x: Tensor, context: Context, selected: Tensor
    ) -> tuple[Tensor, Tensor, PackedLayout, Tensor | None]:
        """Return queries of selected rows (K,), keys of all rows, the queries' layout and bias."""
        assert context.layout is not None, "rows are selected from packed rows"
        query, keys = self.queries(x.index_select(0, selected)), self.keys_of(x)
        layout, bias = context.layout.some(selected), context.bias
        if self.rotary_number is not None:
            angles = context.angles[self.rotary_number]
            query = rotate(query, (angles[0][selected], angles[1][selected]))
            keys = rotate(keys, angles, self.key_heads)
        if bias is not None:  # (1, H, T, S) -> (B, H, selected T, S)
            bias = bias[0][:, layout.grid].transpose(0, 1)
        return query, keys, layout, bias

    def queries(self, x: Tensor) -> Tensor:
        """Map x (N, D) -> queries (N, H, E)."""
        query = self.query(x).view(x.shape[0], self.heads, self.head_width)
        return normed_heads(self.query_norm, query)

    def keys_of(self, x: Tensor) -> Tensor:
        """Map x (M, D), a memory or rows themselves -> keys and values (M, 2K, E)."""
        both = self.joined(x, without_query=True)(x).view(x.shape[0], -1, self.head_width)
        if self.key_norm is None:
            return both
        keys, values = both.chunk(2, 1)
        return torch.cat((normed_heads(self.key_norm, keys), values), 1)

    def _normed(self, x: Tensor) -> Tensor:
        """Normalise the queries and keys of x (N, H + 2K, E), if they have norms."""
        if self.query_norm is None:
            return x
        query, key, value = torch.split(x, [self.heads, self.key_heads, self.key_heads], 1)
        query, key = normed_heads(self.query_norm, query), normed_heads(self.key_norm, key)
        return torch.cat((query, key, value), 1)

    def joined(self, x: Tensor, without_query: bool = False) -> Product:
        """Return the joined projection to query, key and value, or to key and value."""
        if without_query:
            return join((self.key, self.value), x.dtype)
        prepacked = self.prepacked_self
        if prepacked is not None and not torch.is_grad_enabled() and prepacked.fits(x):
            return prepacked
        return join((self.query, self.key, self.value), x.dtype)

    def prepack(self) -> None:
        """Prepack the joined projection of self-attention for decoding on a CPU."""
        if not self.has_memory:
            parts = (self.query, self.key, self.value)
            self.prepacked_self = prepack_joined(parts)
            for part in parts:
                part.is_spare = self.prepacked_self is not None
