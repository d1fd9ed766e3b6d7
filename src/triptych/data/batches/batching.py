"""From encoded examples to batches: packed, by token budget, in one global order that any number of
processes can share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LENGTHS = "_lengths"
# the arrays that have lengths of their own; every other input follows the source axis
AXES = ("source", "target")


@dataclass(slots=True)
class Encoded:
    """One example as ids. `inputs` are keyed by the model's argument names, `targets` by what the
    loss wants.

    inputs: {"source": (S,) int64, "target": (T,) int64}, and what follows the source axis, like
        {"segments": (S,)}. An Encoded of several sequences that must share a batch gives their
        lengths itself: {"target_lengths": (2,)}.
    targets: {"tokens": (T,)}; the first array's length is what the loss is a mean over (words,
        masked tokens, one a text).
    index: of its Example. offsets: characters [start, end) of each source token, where asked for.
    about: what its task wants to find again when it reads the answer, like the place of a window.
    unseen: input tokens that its task left out because there were too many.
    """

    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray] = field(default_factory=dict)
    index: int = 0
    offsets: list[tuple[int, int]] | None = None
    about: Any = None
    unseen: int = 0

    @property
    def length(self) -> int:
        """All input tokens, what a token budget counts."""
        return sum(len(self.inputs[name]) for name in AXES if name in self.inputs)

    @property
    def weight(self) -> int:
        """How much it counts for in a mean loss: the length of its first target."""
        return len(next(iter(self.targets.values()), ()))


@dataclass(slots=True)
class Batch:
    """Packed tensors: every array of B examples one after the other (N,), and `<axis>_lengths` (B,)
    beside source and target.

    examples: indices of the Examples; encoded: what the batch was made of, in the same order.
    passes: how often the whole stands in it, one copy after the other; more than once only in
        training, where a task asks for it.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    counts: dict[str, int]
    examples: list[int]
    passes: int = 1
    encoded: list[Encoded] = field(default_factory=list)

    def to(self, device: torch.device) -> Batch:
        """The same with its tensors on `device`."""
        if device.type == "cpu":
            return self
        moved = (
            {name: tensor.to(device) for name, tensor in each.items()}
            for each in (self.inputs, self.targets)
        )
        return replace(self, **dict(zip(("inputs", "targets"), moved, strict=True)))


def collate(encoded: Sequence[Encoded], passes: int = 1) -> Batch:
    """No padding. counts: "tokens" that carry loss, "states" of the last stack, "input_tokens",
    "examples"; copies count too.
    """
    import torch

    encoded = list(encoded) * passes
    inputs: dict[str, Tensor] = {}
    for name in encoded[0].inputs:
        inputs[name] = _together([one.inputs[name] for one in encoded])
        if name in AXES and name + LENGTHS not in encoded[0].inputs:
            inputs[name + LENGTHS] = torch.tensor(
                [len(one.inputs[name]) for one in encoded], dtype=torch.int64
            )
    targets = {
        name: _together([one.targets[name] for one in encoded]) for name in encoded[0].targets
    }
    counts = {
        "tokens": sum(one.weight for one in encoded),
        "states": sum(
            len(one.inputs.get("target", one.inputs.get("source", ()))) for one in encoded
        ),
        "input_tokens": sum(one.length for one in encoded),
        "examples": len(encoded),
    }
    return Batch(inputs, targets, counts, [one.index for one in encoded], passes, encoded)


def _together(arrays: Sequence[np.ndarray]) -> Tensor:
    """One after the other, as int64 or float32."""
    import torch

    whole = np.concatenate(arrays)
    return torch.from_numpy(
        whole.astype(np.float32 if whole.dtype.kind == "f" else np.int64, copy=False)
    )


def halve(encoded: Sequence[Encoded]) -> tuple[list[Encoded], list[Encoded]]:
    """Two parts of about equal tokens, for a machine that has no memory for the whole; one example
    is not divided.
    """
    total, run = sum(one.length for one in encoded), 0
    for place, one in enumerate(encoded):
        run += one.length
        if 2 * run >= total:
            cut = max(1, min(place + 1, len(encoded) - 1))
            return list(encoded[:cut]), list(encoded[cut:])
    return list(encoded), []


def joined(encoded: Sequence[Encoded], window: int) -> list[Encoded]:
    """Texts one after the other, cut into windows of `window` tokens: nothing is wasted, and a
    window can hold several texts.

    Each `target` is followed by the next text's; the last window may be shorter. A window's index
    is that of its first text.
    """
    inputs = np.concatenate([one.inputs["target"] for one in encoded])
    wanted = np.concatenate([one.targets["tokens"] for one in encoded])
    starts = np.cumsum([0, *(len(one.inputs["target"]) for one in encoded)])
    found = []
    for start in range(0, len(inputs), window):
        owner = encoded[int(np.searchsorted(starts, start, "right")) - 1]
        part = slice(start, start + window)
        found.append(Encoded({"target": inputs[part]}, {"tokens": wanted[part]}, owner.index))
    return found


class MicroBatches:
    """The endless global order of micro-batches.

    Epoch e of seed s shuffles all examples, takes them a bounded buffer at a time, sorts each
    buffer by length, cuts it by token budget and shuffles the pieces. Nothing of this depends on
    the number of processes: process r of k is handed every micro-batch whose global number is r
    modulo k. A position is (epoch, shard, buffer, cursor), JSON, and restores exactly.

    encode(epoch, index) gives an example's Encoded; one Encoded longer than the budget is a batch
    of its own, never lost.
    size: how many examples there are; of a set in shards each shard's, whose examples are numbered
    on. Every epoch takes the shards in another order and shuffles inside each, so no more than one
    need be at hand; a list is one shard.
    batch_tokens: input tokens of a micro-batch, source and target, no padding counted. window:
    texts are joined and cut into windows of so many tokens (`joined`).
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
        """Passes over the data so far."""
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
        """The next `count` micro-batches of the global order; of them, this process' own as (global
        number, examples).
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

    def restore(self, state: dict[str, Any]) -> None:
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
        """The buffer's batches, of which one at least is left."""
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
        """This epoch's order of the shards."""
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
        # a list's draws are what they were before there were shards
        own = () if len(self._sizes) == 1 else (shard + 1,)
        order = np.random.default_rng((self._seed, self._epoch, *own)).permutation(
            self._sizes[shard]
        )
        order = order[self._start : self._start + self._buffer] + self._firsts[shard]
        encoded = [one for index in order.tolist() for one in self._encode(self._epoch, index)]
        if self._window is not None and encoded:
            encoded = joined(encoded, self._window)
        # windows of one text are neighbours, and should not share a batch
        if len(encoded) != len(order):
            apart = np.random.default_rng(
                (self._seed, self._epoch, self._start, 2, *own)
            ).permutation(len(encoded))
            encoded = [encoded[place] for place in apart.tolist()]
        lengths = np.array([_lengths(one) for one in encoded], dtype=np.int64).reshape(-1, 2)
        # stable: equal lengths stay in the shuffled order
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
    """Target length first (source length where there is no target), then source length."""
    first = len(next(iter(one.inputs.values())))
    return (len(one.inputs["target"]) if "target" in one.inputs else first), first


def cut_by_tokens(
    totals: np.ndarray, batch_tokens: int, batch_examples: int | None = None
) -> list[tuple[int, int]]:
    """[first, last) of consecutive runs whose totals stay within the budget; one too long stands
    alone.
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
    """For evaluation: places in `encoded`, sorted by length, cut by budget; no chance in it."""
    order = sorted(
        range(len(encoded)),
        key=lambda place: (_lengths(encoded[place])[1], encoded[place].length, place),
    )
    totals = np.array([encoded[place].length for place in order], dtype=np.int64)
    return [
        [order[place] for place in range(first, last)]
        for first, last in cut_by_tokens(totals, batch_tokens)
    ]
