"""One block of either stack: self-attention, cross-attention if there is a memory, feed-forward."""

from __future__ import annotations

import dataclasses
from typing import cast

from torch import Tensor, nn

from .attention import Attention, Context
from .block_pattern import block_pattern
from .config import StackConfig
from .disentangled import RelativePositions
from .experts import SparseFeedForward
from .feed_forward import FeedForward
from .masks import masked
from .normalization import ResidualBranch, norm
from .ops.rotary import Angles, Rotary
from .position_bias import position_bias
from .recurrent_unit import SimplerRecurrentUnit


class Block(nn.Module):
    """Map (N, D) -> (N, D), for training, selected rows, cached decoding and inspection alike."""

    def __init__(
        self,
        config: StackConfig,
        is_causal: bool,
        memory_width: int | None,
        attention: type[Attention] = Attention,
        has_first_norm: bool = True,
    ) -> None:
        super().__init__()
        mask = masked(
            is_causal,
            config.attention_window,
            block_pattern(config),
            config.attention_globals is not None,
        )
        self.self_attention: Attention | SimplerRecurrentUnit
        if config.self_attention is None:
            self.self_attention = attention(config, mask=mask)
        else:
            assert is_causal, "a recurrence reads one way"
            self.self_attention = SimplerRecurrentUnit(config)
        self.self_attention_norm = ResidualBranch(config, has_first_norm)
        self.cross_attention = None if memory_width is None else attention(config, memory_width)
        self.cross_attention_norm = None if memory_width is None else ResidualBranch(config)
        self.feed_forward = (
            SparseFeedForward(config, is_causal) if config.experts else FeedForward(config)
        )
        self.shares_norm = config.parallel == "one_norm"
        self.feed_forward_norm = ResidualBranch(config, not self.shares_norm)
        self.is_parallel = config.parallel is not None

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Map x (N, D) -> (N, D), or (K, D) of selected rows; the others are not computed."""
        rng, selected, branch = context.rng, context.selected_rows, self.self_attention_norm
        read = branch.before(x)  # (N, D)
        if selected is not None and rng is None:
            x = x.index_select(0, selected)  # (K, D)
        y = self.self_attention(read, context, branch.residual(x, rng))
        if selected is not None and rng is not None:  # gradients add up in this order
            x = x.index_select(0, selected)  # (K, D)
        start, x = x, branch(x, y, rng)
        branch = self.cross_attention_norm
        if branch is not None and self.cross_attention is not None:
            y = self.cross_attention(branch.before(x), context, branch.residual(x, rng))
            x = branch(x, y, rng)
        branch = self.feed_forward_norm
        if self.shares_norm:
            read = read if selected is None else read.index_select(0, selected)
        else:
            read = branch.before(start if self.is_parallel else x)
        y = self.feed_forward(read, context, branch.residual(x, rng))
        return branch(x, y, rng)

    def memory_keys(self, memory: Tensor) -> Tensor:
        """Map a memory (M, D) -> its keys and values (M, 2K, E), for a cache."""
        assert self.cross_attention is not None, "this decoder has no cross-attention"
        return self.cross_attention.keys_of(memory)


class Stack(nn.Module):
    """Run the blocks of one side, and the final norm of all but post-norm."""

    def __init__(
        self,
        config: StackConfig,
        is_causal: bool,
        memory_width: int | None = None,
        attention: type[Attention] = Attention,
    ) -> None:
        super().__init__()
        self.repeats = config.layers if config.shared_layers else 1
        self.blocks = nn.ModuleList(
            Block(
                config.of_block(layer),
                is_causal,
                memory_width,
                attention,
                has_first_norm=config.first_norm or layer > 0,
            )
            for layer in range(config.layers // self.repeats)
        )
        # the block that computes selected rows alone; experts drop tokens by all that come before
        is_sparse = isinstance(self.each[-1].feed_forward, SparseFeedForward)
        self.selecting = None if is_sparse else len(self.each) - 1
        self.final_norm = nn.Identity() if config.norm_placement == "post" else norm(config)
        self.position_bias = position_bias(config, is_causal)
        self.relative = RelativePositions(config) if config.disentangled else None
        attentions = [block.self_attention for block in self.each]
        self.is_recurrent = isinstance(attentions[0], SimplerRecurrentUnit)
        self.masks = list(dict.fromkeys(one.mask for one in attentions))
        for one in attentions:
            one.mask_number = self.masks.index(one.mask)
        self.rotaries: list[Rotary] = []  # those of the blocks, each once
        found: list[tuple[object, ...]] = []
        for layer, one in enumerate(attentions):
            own = config.of_block(layer)
            if own.positions == "rotary" and isinstance(one, Attention):
                kind = own.rotary_width, own.rotary_base, own.rotary_scaling
                if kind not in found:
                    found.append(kind)
                    self.rotaries.append(Rotary(*kind))
                one.rotary_number = found.index(kind)
        self.needs_lengths = any(one.by_length for one in self.rotaries)

    @property
    def each(self) -> list[Block]:
        """Return the block of each layer in order; shared layers are one block."""
        return cast("list[Block]", list(self.blocks)) * self.repeats

    def angles(self, positions: Tensor, lengths: Tensor | None) -> tuple[Angles, ...]:
        """Return the angles of positions (N,), in texts of `lengths` (N,) if `needs_lengths`."""
        return tuple(one.angles(positions, lengths) for one in self.rotaries)

    def forward(self, x: Tensor, context: Context, selected_rows: Tensor | None = None) -> Tensor:
        """Map (N, D) -> (N, D), or (K, D) of the `selected_rows` (K,) of an encoder."""
        context.bias = context.relative = None
        if self.position_bias is not None and context.cache is None:
            assert context.layout is not None, "packed rows have a layout"
            context.bias = self.position_bias(context.layout.grid, context.layout.grid)
        if self.relative is not None:
            assert context.layout is not None, "packed rows have a layout"
            context.relative = self.relative(context.layout.grid, context.layout.grid)
        blocks = self.each
        for context.layer, block in enumerate(blocks):
            if selected_rows is not None and context.layer == self.selecting:
                context = dataclasses.replace(context, selected_rows=selected_rows)
            x = block(x, context)
        if selected_rows is not None and self.selecting is None:
            x = x.index_select(0, selected_rows)
        return self.final_norm(x)
