"""The layout of packed sequences.

Sequences travel through the model packed: the real tokens of all B sequences stand one after the
other as N rows, so position-wise parts never see padding. `PackedLayout` knows where each sequence
begins; only attention asks it for the padded form.
"""

from __future__ import annotations

import torch
from torch import Tensor


class PackedLayout:
    """Layout of N packed rows in B sequences.

    lengths: (B,) int64, every sequence's number of rows. Rows of sequence b stand before those of b
        + 1.
    """

    def __init__(self, lengths: Tensor) -> None:
        device = lengths.device
        self.lengths = lengths
        self.count = lengths.numel()  # B
        self.longest = int(lengths.max()) if self.count else 0  # T
        self.total = int(lengths.sum())  # N
        self.dense = self.total == self.count * self.longest  # no padding would be needed
        self.starts = lengths.cumsum(0) - lengths  # (B,) first row of each sequence
        # (N,) which sequence a row belongs to
        self.sequence = torch.repeat_interleave(
            torch.arange(self.count, device=device), lengths, output_size=self.total
        )
        # (N,) position of a row in its own sequence, from 0
        self.positions = torch.arange(self.total, device=device) - self.starts[self.sequence]
        steps = torch.arange(self.longest, device=device)
        self.real = steps[None] < lengths[:, None]  # (B, T) a real token stands here
        self.grid = steps[None]  # (B or 1, T) position of each padded place
        # (B, T) row at each padded place; a place past the end repeats a real row, which attention
        # masks. The last sequence may have no row at all.
        places = self.starts[:, None] + torch.minimum(steps[None], lengths[:, None] - 1).clamp_min(
            0
        )
        self.padded = places.clamp_max(self.total - 1)
        self._index: dict[tuple[int, int, int], Tensor] = {}

    def some(self, selected_rows: Tensor) -> PackedLayout:
        """The layout of the rows `selected_rows` (K,) alone, which rise; masks and biases
        see them where they stood.
        """
        found = PackedLayout(torch.bincount(self.sequence[selected_rows], minlength=self.count))
        if found.total < self.total:
            found.grid = found.pad(self.positions[selected_rows])
        return found

    def head_index(self, total: int, first: int, heads: int) -> Tensor:
        """(B * heads * T,) places in a (N * total, E) table that give heads `first`..`first +
        heads` as (B, heads, T).
        """
        key = (total, first, heads)
        if key not in self._index:
            head = torch.arange(first, first + heads, device=self.lengths.device)
            self._index[key] = (self.padded[:, None, :] * total + head[None, :, None]).reshape(-1)
        return self._index[key]

    def pack_index(self, heads: int) -> Tensor:
        """(N * heads,) places in a padded (B * heads * T, E) table that give back the packed (N,
        heads, E).
        """
        key = (-1, 0, heads)
        if key not in self._index:
            head = torch.arange(heads, device=self.lengths.device)
            place = (self.sequence[:, None] * heads + head[None]) * self.longest + self.positions[
                :, None
            ]
            self._index[key] = place.reshape(-1)
        return self._index[key]

    def pad(self, x: Tensor, longest: int | None = None) -> Tensor:
        """(N, ...) -> (B, T, ...), zeros where there is no token; T is `longest` where that is
        given.
        """
        if longest is None or longest == self.longest:
            if self.dense:
                return x.reshape(self.count, self.longest, *x.shape[1:])
            longest, places = self.longest, self.pack_index(1)
        else:
            places = self.sequence * longest + self.positions
        out = x.new_zeros(self.count * longest, *x.shape[1:])
        return out.index_copy(0, places, x).reshape(self.count, longest, *x.shape[1:])

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...)."""
        flat = x.reshape(self.count * self.longest, *x.shape[2:])
        return flat if self.dense else flat.index_select(0, self.pack_index(1))
