"""One vector for each sequence: its states pooled."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .heads import initialize
from .linear import Linear
from .masks import Rows


class Pool(nn.Module):
    """Sums, so that the windows of one text can be added. pooler: the map of the first state that BERT was pretrained with (Devlin
    et al. 2018, section 3.1), kept so that a model can be given back whole; nothing is computed with it.
    """

    def __init__(self, width: int, pooling: str, has_pooler: bool) -> None:
        super().__init__()
        self.takes_first = pooling == "first"
        self.pooler = Linear(width, width) if has_pooler else None
        initialize(self)

    def forward(self, model: Any, states: Tensor, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """states (N, D) -> sums (B, D) fp32, and of how many states each is the sum (B,)."""
        rows = Rows(inputs["source_lengths"])
        if self.takes_first:
            first = states[rows.starts].float()
            return first, first.new_ones(rows.count)
        sums = states.new_zeros((rows.count, states.shape[1]), dtype=states.float().dtype).index_add(0, rows.sequence, states.float())
        return sums, inputs["source_lengths"]
