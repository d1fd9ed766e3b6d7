"""Order batches by token budget, in one global order that any number of processes can share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...errors import DataError
from .encoded import Encoded, joined


class MicroBatches:
    """Iterate over the endless global order of micro-batches.

    Epoch e of seed s shuffles all examples, takes them a bounded buffer at a time, sorts each
    buffer by length, cuts it by token budget and shuffles the pieces. This does not depend on the
    number of processes: process r of k gets every micro-batch whose global number is r modulo k. A
    position is (epoch, shard, buffer, cursor), JSON, and restores exactly.

    encode(epoch, index) gives an example's Encoded; one Encoded longer than the budget is a batch
    of its own, never lost.
    size: the number of examples, or those of each shard, whose examples are numbered on. Every
    epoch takes the shards in another order and shuffles inside each, so only one needs to be
    loaded; a list is one shard.
    batch_tokens: input tokens of a micro-batch, source and target, without padding. window: texts
    are joined and cut into windows of so many tokens (`joined`).
    """

    def __init__(
        self,
        encode: Callable[[int, int], list[Encoded]],
        size: int | Sequence[int],
        *,
        batch_tokens: int,
        seed: int,
        buffer: int = 100_000,
        batch_examples: int | None = None,
        rank: int = 0,
        world: int = 1,
        window: int | None = None,
    ) -> None:
        self._sizes = [size] if isinstance(size, int) else list(size)
        self._size = sum(self._sizes)
        if self._size < 1:
            raise DataError(
                "There is nothing to train on: the training data holds no usable example."
            )
        self._firsts = [sum(self._sizes[:shard]) for shard in range(len(self._sizes))]
        self._encode, self._seed = encode, seed
        self._batch_tokens, self._batch_examples, self._buffer = (
            batch_tokens,
            batch_examples,
            max(1, buffer),
        )
        self.rank, self.world, self._window = rank, world, window
        self._epoch = self._shard = self._start = self._cursor = self._number = 0
        self._cut: list[list[Encoded]] | None = None
        self._ordered: tuple[int, list[int]] = (-1, [])

    @property
    def epoch(self) -> float:
        """Return the number of passes over the data so far."""
        order, share = self._order(), 0.0
        if self._cut is None and self._cursor:  # restored in the middle of a buffer
            self._cut = self._fill()
        if self._cut:
            share = (
                min(self._buffer, self._sizes[order[self._shard]] - self._start)
                * self._cursor
                / len(self._cut)
            )
        before = sum(self._sizes[shard] for shard in order[: self._shard])
        return self._epoch + (before + self._start + share) / self._size

    def next_batches(self, count: int) -> list[tuple[int, list[Encoded]]]:
        """Return this process's share of the next `count` micro-batches of the global order.

        Each is (global number, examples).
        """
        own: list[tuple[int, list[Encoded]]] = []
        for _ in range(count):
            cut = self._current()
            if self._number % self.world == self.rank:
                own.append((self._number, cut[self._cursor]))
            self._cursor += 1
            self._number += 1
        return own

    def state(self) -> dict[str, int]:
        return {
            "epoch": self._epoch,
            "shard": self._shard,
            "buffer": self._start,
            "cursor": self._cursor,
            "number": self._number,
        }

    def restore(self, state: Mapping[str, int]) -> None:
        self._epoch, self._shard, self._start = (
            int(state["epoch"]),
            int(state["shard"]),
            int(state["buffer"]),
        )
        self._cursor, self._number = int(state["cursor"]), int(state["number"])
        if self._shard >= len(self._sizes):
            raise ValueError(f"shard {self._shard} of {len(self._sizes)}")
        self._cut = None

    def _current(self) -> list[list[Encoded]]:
        """Return the batches of the buffer, refilled if none is left."""
        begun = self._epoch
        while self._epoch < begun + 2:
            if self._cut is None:
                self._cut = self._fill()
            if self._cursor < len(self._cut):
                return self._cut
            self._start, self._cursor, self._cut = self._start + self._buffer, 0, None
            if self._start >= self._sizes[self._order()[self._shard]]:
                self._shard, self._start = self._shard + 1, 0
            if self._shard == len(self._sizes):
                self._epoch, self._shard = self._epoch + 1, 0
        raise DataError(
            "There is nothing to train on: a whole pass over the training data gave no usable "
            "example."
        )

    def _order(self) -> list[int]:
        """Return this epoch's order of the shards."""
        if len(self._sizes) == 1:
            return [0]
        if self._ordered[0] != self._epoch:
            self._ordered = (
                self._epoch,
                np.random.default_rng((self._seed, self._epoch, 3))
                .permutation(len(self._sizes))
                .tolist(),
            )
        return self._ordered[1]

    def _fill(self) -> list[list[Encoded]]:
        shard = self._order()[self._shard]
        # A list is shuffled with the same seeds as before shards existed.
        own = () if len(self._sizes) == 1 else (shard + 1,)
        order = np.random.default_rng((self._seed, self._epoch, *own)).permutation(
            self._sizes[shard]
        )
        order = order[self._start : self._start + self._buffer] + self._firsts[shard]
        encoded = [one for index in order.tolist() for one in self._encode(self._epoch, index)]
        if self._window is not None and encoded:
            encoded = joined(encoded, self._window)
        # Windows of one text are neighbours and should not share a batch.
        if len(encoded) != len(order):
            apart = np.random.default_rng(
                (self._seed, self._epoch, self._start, 2, *own)
            ).permutation(len(encoded))
            encoded = [encoded[place] for place in apart.tolist()]
        lengths = np.array([_lengths(one) for one in encoded], dtype=np.int64).reshape(-1, 2)
        # The sort is stable: equal lengths stay in the shuffled order.
        by_length = np.lexsort((lengths[:, 1], lengths[:, 0]))
        totals = np.array([one.length for one in encoded], dtype=np.int64)[by_length]
        cuts = cut_by_tokens(totals, self._batch_tokens, self._batch_examples)
        batches = [
            [encoded[place] for place in by_length[first:last].tolist()] for first, last in cuts
        ]
        shuffle = np.random.default_rng(
            (self._seed, self._epoch, self._start, 1, *own)
        ).permutation(len(batches))
        return [batches[place] for place in shuffle.tolist()]


def _lengths(one: Encoded) -> tuple[int, int]:
    """Return target length (or source length without a target), then source length."""
    first = len(next(iter(one.inputs.values())))
    return (len(one.inputs["target"]) if "target" in one.inputs else first), first


def cut_by_tokens(
    totals: np.ndarray, batch_tokens: int, batch_examples: int | None = None
) -> list[tuple[int, int]]:
    """Return [first, last) of consecutive runs whose totals stay within the budget.

    An item above the budget is a run of its own.
    """
    cuts, first, run = [], 0, 0
    for place, total in enumerate(totals.tolist()):
        full = batch_examples is not None and place - first >= batch_examples
        if place > first and (run + total > batch_tokens or full):
            cuts.append((first, place))
            first, run = place, 0
        run += total
    if len(totals) > first:
        cuts.append((first, len(totals)))
    return cuts


def length_batches(encoded: Sequence[Encoded], batch_tokens: int) -> list[list[int]]:
    """Group places in `encoded` for evaluation: sorted by length, cut by budget, deterministic."""
    order = sorted(
        range(len(encoded)),
        key=lambda place: (_lengths(encoded[place])[1], encoded[place].length, place),
    )
    totals = np.array([encoded[place].length for place in order], dtype=np.int64)
    return [
        [order[place] for place in range(first, last)]
        for first, last in cut_by_tokens(totals, batch_tokens)
    ]
