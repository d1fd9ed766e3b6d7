"""The pattern of block-sparse attention: which blocks of keys a block of queries sees."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .config import StackConfig
from .typed import from_numpy


@dataclass(frozen=True)
class BlockPattern:
    """Choose blocks of keys for each block of queries (Zaheer et al. 2020, section 2).

    The first and the last block see everything and are seen by every block; each other block also
    sees itself, its two neighbours and `random` further blocks.

    Without a seed, the further blocks are what transformers takes in evaluation: the first block
    again, so that its keys count 1 + `random` times. With a seed they are what transformers draws
    in training, for each head among the first 5 + 2 `random` blocks, the same in training and in
    use; its other draw for exactly 1,024, 3,072 and 4,096 tokens is left out.

    As in transformers, a sequence of at most 5 + 2 `random` blocks has full attention, and a last
    block may be short. Blocks are counted over the sequence's own length, where transformers counts
    over the padded batch: so an answer does not depend on the neighbours.
    """

    size: int  # tokens of a block
    random: int = 3
    seed: int | None = None
    heads: int = 1  # heads that draw blocks of their own; 1 without a seed

    def count(self, length: int) -> int:
        """Return the number of blocks of a sequence, or 0 if it has full attention."""
        is_full = length <= self.reach * self.size
        return 0 if is_full else -(-length // self.size)

    @property
    def reach(self) -> int:
        """Return how many blocks the further ones are drawn from."""
        return 5 + 2 * self.random

    @property
    def draws(self) -> bool:
        """Tell whether heads have further blocks of their own."""
        return self.seed is not None and self.random > 0

    def drawn(self, block: int) -> Tensor:
        """Return the further blocks of a block that is neither first nor last (H, random)."""
        room = 1 << block.bit_length()
        return _drawn(self, room)[:, block]

    def counts(self, blocks: int) -> Tensor:
        """Return how often each block of keys counts for each block of queries (H or 1, A, A)."""
        number = torch.arange(blocks)
        found = (number[:, None] - number).abs() <= 1
        found[[0, -1]] = found[:, [0, -1]] = True
        counts = found.long()[None]
        if self.draws:
            drawn = torch.stack([self.drawn(block) for block in range(1, blocks - 1)], 1)
            counts = counts.repeat(self.heads, 1, 1)
            counts[:, 1:-1].scatter_add_(2, drawn, torch.ones_like(drawn))
        else:
            counts[:, 1:-1, 0] += self.random
        return counts


@functools.lru_cache(maxsize=256)
def _drawn(pattern: BlockPattern, rows: int) -> Tensor:
    """Draw the further blocks of the first `rows` blocks (H, rows, random)."""
    draw, most = np.random.RandomState(pattern.seed), pattern.reach
    found = np.zeros((pattern.heads, rows, pattern.random), dtype=np.int64)
    for row in range(1, rows):
        hidden = {0, row - 1, row, row + 1, most - 1}
        hidden |= {most - 2} if row == 1 else {1} if row == most - 2 else set()
        for head in range(pattern.heads):
            order = draw.permutation(most)
            found[head, row] = [one for one in order if one not in hidden][: pattern.random]
    return from_numpy(found)


def block_pattern(config: StackConfig) -> BlockPattern | None:
    """Return the pattern of a block's attention, or None if it has none."""
    dials = config.attention_blocks
    if dials is None:
        return None
    seed, random = dials.get("seed"), dials.get("random", 3)
    return BlockPattern(dials["size"], random, seed, 1 if seed is None else config.heads)
