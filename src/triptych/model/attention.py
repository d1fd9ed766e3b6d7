"""Multi-head attention: a sequence to itself, or to a memory (Vaswani et al. 2017, section
3.2.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .linear import Linear
from .masks import PackedLayout
from .ops.kernels import DropoutRng, attend, attend_cached, plain_attend
from .ops.onednn import PrepackedLinear
from .positions import Angles, Rotary, rotate

# several projections of one input, as one product
Fused = tuple[Tensor, Tensor | None] | PrepackedLinear


class Attention(nn.Module):
    """Projections of queries, keys, values and output; `key_heads` < `heads` shares keys among
    query heads.

    The four weights are separate parameters (their names are public); projections of the same input
    run as one product.
    """

    def __init__(self, config: StackConfig, memory_width: int | None = None) -> None:
        super().__init__()
        self.heads, self.key_heads = config.heads, config.key_heads or config.heads
        if config.width % self.heads or self.heads % self.key_heads:
            raise ValueError(
                f"width {config.width}, heads {self.heads} and key_heads {self.key_heads} do not "
                "fit: heads must divide width, and key_heads must divide heads."
            )
        self.head_width = config.width // self.heads  # E
        source, keys = memory_width or config.width, self.key_heads * self.head_width
        self.query = Linear(config.width, config.width, config.bias)
        self.key = Linear(source, keys, config.bias)
        self.value = Linear(source, keys, config.bias)
        self.output = Linear(config.width, config.width, config.bias)
        self.dropout = config.attention_dropout
        rotary = config.positions == "rotary" and memory_width is None
        self.rotary = Rotary(self.head_width, config.rotary_base) if rotary else None
        self.prepacked_self: PrepackedLinear | None = None

    def prepack(self) -> None:
        if self.query.weight.shape[1] == self.key.weight.shape[1]:
            self.prepacked_self = PrepackedLinear(*self.fused(self.query, self.key, self.value))

    def fused(self, *parts: Linear) -> tuple[Tensor, Tensor | None]:
        """The weights (and biases) of several projections as one product's."""
        weight = torch.cat([part.weight for part in parts])
        return weight, None if parts[0].bias is None else torch.cat(
            [part.bias for part in parts if part.bias is not None]
        )

    def fused_self(self, precision: torch.dtype) -> Fused:
        """Query, key and value as one product's, ready for use at every step of a search."""
        if self.prepacked_self is not None and self.prepacked_self.precision == precision:
            return self.prepacked_self
        weight, offset = self.fused(self.query, self.key, self.value)
        return weight.to(precision), None if offset is None else offset.to(precision)

    def fused_now(self) -> tuple[Tensor, Tensor | None]:
        """Query, key and value as one product's, from the weights as they are."""
        return self.fused(self.query, self.key, self.value)

    def project(self, x: Tensor, fused: Fused) -> Tensor:
        """(N, D) -> (N, heads of the parts, E)."""
        if isinstance(fused, PrepackedLinear):
            return fused(x).view(x.shape[0], -1, self.head_width)
        weight, offset = fused
        y = functional.linear(x, weight.to(x.dtype), None if offset is None else offset.to(x.dtype))
        return y.view(x.shape[0], -1, self.head_width)

    def project_self(
        self,
        x: Tensor,
        positions: Tensor | None,
        fused: Fused | None = None,
        angles: Angles | None = None,
    ) -> Tensor:
        """(N, D) -> (N, H + 2K, E): queries, keys, values; queries and keys turned where positions
        are rotary.

        angles: of the positions, where they are known already, being the same in every layer; the
            positions are not needed then.
        """
        if fused is None:
            prepacked = self.prepacked_self
            fused = (
                prepacked
                if prepacked is not None and prepacked.fits(x)
                else self.fused(self.query, self.key, self.value)
            )
        projected = self.project(x, fused)
        if self.rotary is None:
            return projected
        if angles is None:
            assert positions is not None, "rotary positions need to know where a token stands"
            angles = self.rotary.angles(positions)
        return rotate(projected, angles, self.heads + self.key_heads)

    def project_memory(self, memory: Tensor) -> Tensor:
        """(M, D) -> (M, 2K, E): keys, values."""
        return self.project(memory, self.fused(self.key, self.value))

    def project_query(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, H, E)."""
        return self.query(x).view(x.shape[0], self.heads, self.head_width)

    def to_self(
        self, x: Tensor, rows: PackedLayout, is_causal: bool, rng: DropoutRng | None
    ) -> Tensor:
        """Self-attention over packed rows: (N, D) -> (N, D), what `output` is to project."""
        projected = self.project_self(x, rows.positions)
        mixed = attend(
            projected,
            None,
            self.heads,
            rows,
            rows,
            is_causal=is_causal,
            probability=self.dropout,
            rng=rng,
        )
        return mixed.reshape(x.shape)

    def to_self_from(
        self, x: Tensor, rows: PackedLayout, selected_rows: Tensor, rng: DropoutRng | None
    ) -> Tensor:
        """`to_self` of the rows `selected_rows` (K,) alone, which look at all rows in both
        directions: (N, D) -> (K, D).
        """
        query, memory = self.project_query(x.index_select(0, selected_rows)), self.project_memory(x)
        if self.rotary is not None:
            query = rotate(query, self.rotary.angles(rows.positions[selected_rows]))
            memory = rotate(memory, self.rotary.angles(rows.positions), self.key_heads)
        mixed = attend(
            query,
            memory,
            self.heads,
            rows.some(selected_rows),
            rows,
            probability=self.dropout,
            rng=rng,
        )
        return mixed.reshape(selected_rows.numel(), -1)

    def to_memory(
        self,
        x: Tensor,
        rows: PackedLayout,
        memory: Tensor,
        memory_rows: PackedLayout,
        rng: DropoutRng | None,
    ) -> Tensor:
        """Encoder-decoder attention: x (N, D) looks at memory (M, D) -> (N, D), what `output` is to
        project.
        """
        mixed = attend(
            self.project_query(x),
            self.project_memory(memory),
            self.heads,
            rows,
            memory_rows,
            probability=self.dropout,
            rng=rng,
        )
        return mixed.reshape(x.shape)

    def step(self, query: Tensor, keys: Tensor, values: Tensor, mask_bias: Tensor | None) -> Tensor:
        """query (B, T, H, E) against cached keys (R, K, S, E), B / R consecutive rows sharing each
        -> (B * T, D), what `output` is to project.
        """
        return attend_cached(query, keys, values, mask_bias).reshape(
            -1, self.heads * self.head_width
        )

    def weights(
        self,
        x: Tensor,
        rows: PackedLayout,
        memory: Tensor | None,
        memory_rows: PackedLayout,
        is_causal: bool,
    ) -> Tensor:
        """(B, H, T, S), recomputed exactly from queries and keys in x's precision."""
        if memory is None:
            return plain_attend(
                self.project_self(x, rows.positions),
                None,
                self.heads,
                rows,
                rows,
                is_causal=is_causal,
            )[1]
        return plain_attend(
            self.project_query(x), self.project_memory(memory), self.heads, rows, memory_rows
        )[1]
