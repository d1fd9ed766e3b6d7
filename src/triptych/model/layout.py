"""The layout of packed sequences.

The model runs on packed sequences: the tokens of all B sequences are N consecutive rows, without
padding. `PackedLayout` holds where each sequence begins; only attention needs the padded form.
"""

from __future__ import annotations

import torch
from torch import Tensor


class PackedLayout:
    """Describe N packed rows of B sequences with lengths (B,) int64, one after the other."""

    def __init__(self, lengths: Tensor) -> None:
        device = lengths.device
        self.lengths = lengths
        self.count = lengths.numel()  # B
        self.longest = int(lengths.max()) if self.count else 0  # T
        self.total = int(lengths.sum())  # N
        self.dense = self.total == self.count * self.longest  # all sequences have the same length
        self.starts = lengths.cumsum(0) - lengths  # (B,) first row of each sequence
        # (N,) the sequence of each row
        self.sequence = torch.repeat_interleave(
            torch.arange(self.count, device=device), lengths, output_size=self.total
        )
        # (N,) position of each row in its sequence, from 0
        self.positions = torch.arange(self.total, device=device) - self.starts[self.sequence]
        steps = torch.arange(self.longest, device=device)
        self.real = steps[None] < lengths[:, None]  # (B, T) true for tokens, false for padding
        self.grid = steps[None]  # (B or 1, T) position of each padded place
        # (B, T) row of each padded place; a place past the end repeats a row, which attention
        # masks. The last sequence may be empty.
        places = self.starts[:, None] + torch.minimum(steps[None], lengths[:, None] - 1).clamp_min(
            0
        )
        self.padded = places.clamp_max(self.total - 1)
        # (B,) tokens at the beginning of each sequence that see all and are seen by all
        self.global_counts: Tensor | None = None
        self._index: dict[tuple[int, int, int], Tensor] = {}

    def some(self, selected_rows: Tensor) -> PackedLayout:
        """Return the layout of some rows (K,) in rising order, at their original positions."""
        found = PackedLayout(torch.bincount(self.sequence[selected_rows], minlength=self.count))
        if found.total < self.total:
            found.grid = found.pad(self.positions[selected_rows])
        return found

    def head_index(self, total: int, first: int, heads: int) -> Tensor:
        """Return where a (N * total, E) table holds some heads in padded order (B * heads * T,)."""
        key = (total, first, heads)
        if key not in self._index:
            head = torch.arange(first, first + heads, device=self.lengths.device)
            self._index[key] = (self.padded[:, None, :] * total + head[None, :, None]).reshape(-1)
        return self._index[key]

    def pack_index(self, heads: int) -> Tensor:
        """Return where a padded (B * heads * T, E) table holds the packed rows (N * heads,)."""
        key = (-1, 0, heads)
        if key not in self._index:
            head = torch.arange(heads, device=self.lengths.device)
            place = (self.sequence[:, None] * heads + head[None]) * self.longest + self.positions[
                :, None
            ]
            self._index[key] = place.reshape(-1)
        return self._index[key]

    def pad(self, x: Tensor, longest: int | None = None) -> Tensor:
        """Map (N, ...) -> (B, T, ...) padded with zeros; T is `longest` if that is given."""
        if longest is None or longest == self.longest:
            if self.dense:
                return x.reshape(self.count, self.longest, *x.shape[1:])
            longest, places = self.longest, self.pack_index(1)
        else:
            places = self.sequence * longest + self.positions
        out = x.new_zeros(self.count * longest, *x.shape[1:])
        return out.index_copy(0, places, x).reshape(self.count, longest, *x.shape[1:])

    def pack(self, x: Tensor) -> Tensor:
        """Map (B, T, ...) -> (N, ...)."""
        flat = x.reshape(self.count * self.longest, *x.shape[2:])
        return flat if self.dense else flat.index_select(0, self.pack_index(1))
