"""The state of the RNN decoder: a hidden state for each row, and keys for each source."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..cache import CrossKeys, join_cross, regroup


@dataclass(slots=True)
class RecurrentState:
    """Keep the state of B rows, with the methods of the Transformer's.

    An RNN cannot recover earlier states from the last one. So the states of the last `step` call
    are kept: recent[i] (B, D) is the hidden state i tokens after lengths `base`, and `truncate` can
    go back to the beginning of that call. That is enough for rejected drafts and padding of
    prompts; keeping all states would make every beam step copy them all.
    """

    hidden: Tensor  # (B, D)
    lengths: Tensor  # (B,) tokens read
    recent: list[Tensor]
    base: Tensor  # (B,)
    cross: CrossKeys
    sources: Tensor  # (B,) the row of `cross` that each row reads
    beams: int  # this many consecutive rows share each source; 0: no such order

    def select(self, rows: Tensor) -> RecurrentState:
        """Return the state of `rows` (int64), in that order; rows may repeat or be left out."""
        cross, sources, beams = regroup(self.cross, self.sources.index_select(0, rows))
        assert cross is not None, "an RNN decoder always reads a memory"
        recent = [x.index_select(0, rows) for x in self.recent]
        return RecurrentState(
            self.hidden.index_select(0, rows),
            self.lengths.index_select(0, rows),
            recent,
            self.base.index_select(0, rows),
            cross,
            sources,
            beams,
        )

    def join(self, other: RecurrentState) -> RecurrentState:
        """Return the rows of both states, those of this one first."""
        depth = max(len(self.recent), len(other.recent))
        recent = [torch.cat((_at(self, i), _at(other, i))) for i in range(depth)]
        return RecurrentState(
            torch.cat((self.hidden, other.hidden)),
            torch.cat((self.lengths, other.lengths)),
            recent,
            torch.cat((self.base, other.base)),
            join_cross(self.cross, other.cross),
            torch.cat((self.sources, other.sources + self.cross.lengths.numel())),
            self.beams if self.beams == other.beams else 0,
        )

    def truncate(self, lengths: Tensor, alone: bool = False) -> RecurrentState:
        """Forget what was read past `lengths` (B,), at most the last `step` call.

        `alone` makes no difference, because nothing is shared.
        """
        lengths = torch.minimum(lengths, self.lengths)
        assert bool((lengths >= self.base).all()), (
            "an RNN's state can only go back to where the last step began"
        )
        hidden = torch.stack(self.recent)[
            lengths - self.base, torch.arange(lengths.numel(), device=lengths.device)
        ]
        return RecurrentState(
            hidden, lengths, self.recent, self.base, self.cross, self.sources, self.beams
        )


def _at(state: RecurrentState, index: int) -> Tensor:
    """Return recent[index]; past its end, an unused tensor of the same shape."""
    return state.recent[min(index, len(state.recent) - 1)]
