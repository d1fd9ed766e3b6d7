"""Map token ids to vectors: the table, its scale, and positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .linear import Linear
from .normalization import norm
from .ops.dropout import DropoutRng, dropout
from .positions import Learned, Sinusoidal


class TokenEmbedding(nn.Module):
    """Look up a row for each token (Vaswani et al. 2017, section 3.4), initially N(0, 1/D)."""

    def __init__(self, vocabulary_size: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocabulary_size, width))

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (...) int64 -> (..., D)."""
        return functional.embedding(ids, self.weight)


class InputEmbedding(nn.Module):
    """Scale token vectors, add positions and segments, normalise, and apply dropout.

    Vectors of another width are projected: the tokens' before the sum, or the sum at the end.
    """

    def __init__(
        self, config: StackConfig, scaled: bool, width: int | None = None, of_tokens: bool = False
    ) -> None:
        super().__init__()
        self.of_tokens = of_tokens
        self.projection: Linear | None = None
        if width is not None:
            self.projection = Linear(width, config.width, bias=not of_tokens)
        width = config.width if width is None or of_tokens else width  # of the sum
        self.scale = math.sqrt(width) if scaled else 1.0
        self.positions: Sinusoidal | Learned | None = None  # attention applies the other kinds
        if config.positions == "sinusoidal":
            self.positions = Sinusoidal(width, config.sinusoids)
        elif config.positions == "learned":
            self.positions = Learned(config.max_positions, width)
        self.first_position = config.first_position
        self.segments = Learned(config.segments, width) if config.segments else None
        self.has_one_segment = config.segments == 1  # RoBERTa: two texts are not told apart
        self.norm = norm(config, width) if config.embedding_norm else nn.Identity()
        self.dropout = config.dropout

    def forward(
        self,
        vectors: Tensor,
        positions: Tensor,
        precision: torch.dtype,
        rng: DropoutRng | None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """Map vectors (..., D or less), positions and segments (...; None: all 0) -> (..., D)."""
        if self.projection is not None and self.of_tokens:
            vectors = self.projection(vectors)
        x = vectors if self.scale == 1.0 else vectors * self.scale
        if self.positions is not None:
            if self.first_position:
                positions = positions + self.first_position
            x = x + self.positions(positions)
        if self.segments is not None:
            alike = segments is None or self.has_one_segment
            x = x + (self.segments.weight[0] if alike else self.segments(segments))
        x = dropout(self.norm(x).to(precision), self.dropout, rng)
        return x if self.projection is None or self.of_tokens else self.projection(x)
