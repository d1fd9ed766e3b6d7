"""One block of either stack: self-attention, attention to a memory where there is one,
feed-forward.

Every part is a residual branch with a norm slot before and one after; slots default to identity, so
post-norm (2017), pre-norm (Xiong et al. 2020) and both together share one straight forward.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from .attention import Attention
from .config import StackConfig
from .feed_forward import feed_forward
from .linear import Linear, norm
from .masks import PackedLayout
from .ops.kernels import DropoutRng, add_dropped


class ResidualBranch(nn.Module):
    """after(x + dropout(part(before(x)))): the slots around one part. Every part ends in a linear
    map, which `join` applies.
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        pre = config.norm_placement == "pre"
        self.before = norm(config) if pre else nn.Identity()
        self.after = nn.Identity() if pre else norm(config)
        self.dropout = config.dropout

    def join(self, x: Tensor, output: Linear, hidden: Tensor, rng: DropoutRng | None) -> Tensor:
        """x (N, D); hidden (N, F) -> after(x + dropout(output(hidden)))."""
        if rng is None:
            return self.after(output.added(hidden, x))
        return self.after(add_dropped(x, output(hidden), self.dropout, rng))


class Block(nn.Module):
    """(N, D) -> (N, D) over packed rows."""

    def __init__(self, config: StackConfig, is_causal: bool, memory_width: int | None) -> None:
        super().__init__()
        self.is_causal = is_causal
        self.self_attention = Attention(config)
        self.self_attention_norm = ResidualBranch(config)
        self.cross_attention = None if memory_width is None else Attention(config, memory_width)
        self.cross_attention_norm = None if memory_width is None else ResidualBranch(config)
        self.feed_forward = feed_forward(config)
        self.feed_forward_norm = ResidualBranch(config)

    def look_at_self(self, x: Tensor, rows: PackedLayout, rng: DropoutRng | None = None) -> Tensor:
        slots, attention = self.self_attention_norm, self.self_attention
        return slots.join(
            x,
            attention.output,
            attention.to_self(slots.before(x), rows, self.is_causal, rng),
            rng,
        )

    def read(
        self, x: Tensor, rows: PackedLayout, selected_rows: Tensor, rng: DropoutRng | None
    ) -> Tensor:
        """The block's states of the rows `selected_rows` (K,) alone: (N, D) -> (K, D). For a last
        block of an encoder, of which only these
        are asked for: queries, output and feed-forward of the others are never computed.
        """
        assert not self.is_causal and self.cross_attention is None, (
            "a block that reads some rows is an encoder's"
        )
        slots, attention = self.self_attention_norm, self.self_attention
        hidden = attention.to_self_from(slots.before(x), rows, selected_rows, rng)
        return self.feed(
            slots.join(x.index_select(0, selected_rows), attention.output, hidden, rng), rng
        )

    def look_at_memory(
        self,
        x: Tensor,
        rows: PackedLayout,
        memory: Tensor | None,
        memory_rows: PackedLayout | None,
        rng: DropoutRng | None = None,
    ) -> Tensor:
        slots, attention = self.cross_attention_norm, self.cross_attention
        if slots is None or attention is None:
            return x
        assert memory is not None and memory_rows is not None, (
            "a block with attention to a memory needs one"
        )
        return slots.join(
            x,
            attention.output,
            attention.to_memory(slots.before(x), rows, memory, memory_rows, rng),
            rng,
        )

    def feed(self, x: Tensor, rng: DropoutRng | None = None) -> Tensor:
        slots, part = self.feed_forward_norm, self.feed_forward
        return slots.join(x, part.output, part.hidden(slots.before(x), rng), rng)

    def forward(
        self,
        x: Tensor,
        rows: PackedLayout,
        memory: Tensor | None,
        memory_rows: PackedLayout | None,
        rng: DropoutRng | None,
    ) -> Tensor:
        x = self.look_at_self(x, rows, rng)
        x = self.look_at_memory(x, rows, memory, memory_rows, rng)
        return self.feed(x, rng)


class Stack(nn.Module):
    """The blocks of one side, and the norm that pre-norm needs at the end."""

    def __init__(
        self, config: StackConfig, is_causal: bool, memory_width: int | None = None
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(config, is_causal, memory_width) for _ in range(config.layers)
        )
        self.final_norm = norm(config) if config.norm_placement == "pre" else nn.Identity()

    def forward(
        self,
        x: Tensor,
        rows: PackedLayout,
        memory: Tensor | None = None,
        memory_rows: PackedLayout | None = None,
        rng: DropoutRng | None = None,
        selected_rows: Tensor | None = None,
    ) -> Tensor:
        """(N, D) -> (N, D), or of the rows `selected_rows` (K,) alone (K, D)."""
        last = len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            if selected_rows is not None and number == last:
                x = cast(Block, block).read(x, rows, selected_rows, rng)
            else:
                x = block(x, rows, memory, memory_rows, rng)
        return self.final_norm(x)
