"""Define encoded examples and the packed batches made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LENGTHS = "_lengths"
# The arrays with lengths of their own; every other input follows the source axis.
AXES = ("source", "target")


@dataclass(slots=True)
class Encoded:
    """Hold one example as ids, keyed by the model's argument names and the loss's target names.

    inputs: {"source": (S,) int64, "target": (T,) int64}, the source of sound being features (S, C)
        float32, and arrays that follow the source axis,
        like {"segments": (S,)}. An Encoded of several sequences that must share a batch gives their
        lengths itself: {"target_lengths": (2,)}.
    targets: {"tokens": (T,)}; the loss is a mean over the first array's items (words, masked
        tokens, one for each text).
    index: of its Example. offsets: characters [start, end) of each source token, if requested.
    metadata: what its task needs to read the answer, like the place of a window.
    unseen: input tokens that its task left out because there were too many.
    begins: tokens that its answer begins with, where these are not the begin token alone.
    """

    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray] = field(default_factory=dict)
    index: int = 0
    offsets: list[tuple[int, int]] | None = None
    metadata: Any = None
    unseen: int = 0
    begins: Sequence[int] = ()

    @property
    def length(self) -> int:
        """Count all input tokens, as a token budget does."""
        return sum(len(self.inputs[name]) for name in AXES if name in self.inputs)

    @property
    def weight(self) -> int:
        """Return its weight in a mean loss: the length of its first target."""
        return len(next(iter(self.targets.values()), ()))


@dataclass(slots=True)
class Batch:
    """Hold packed tensors: every array of B examples one after the other, (N,).

    `<axis>_lengths` (B,) are beside source and target.

    examples: indices of the Examples; encoded: the Encoded of the batch, in the same order.
    passes: the number of copies of the whole batch, one after the other; more than one only in
        training, if a task requests it.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    counts: dict[str, int]
    examples: list[int]
    passes: int = 1
    encoded: list[Encoded] = field(default_factory=list)

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on `device`."""
        if device.type == "cpu":
            return self
        moved = (
            {name: tensor.to(device) for name, tensor in each.items()}
            for each in (self.inputs, self.targets)
        )
        return replace(self, **dict(zip(("inputs", "targets"), moved, strict=True)))


def collate(encoded: Sequence[Encoded], passes: int = 1) -> Batch:
    """Pack examples into a batch without padding.

    Its counts are "tokens" (those with a loss), "states" (of the last stack), "input_tokens" and
    "examples", copies included.
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
    """Concatenate arrays as int64 or float32."""
    import torch

    whole = np.concatenate(arrays)
    return torch.from_numpy(
        whole.astype(np.float32 if whole.dtype.kind == "f" else np.int64, copy=False)
    )


def without_features(one: Encoded) -> Encoded:
    """Return an Encoded whose features are zeros that take no memory, of the same shape."""
    light = {
        name: np.broadcast_to(np.float32(0), values.shape) if values.ndim > 1 else values
        for name, values in one.inputs.items()
    }
    return replace(one, inputs=light)


def halve(encoded: Sequence[Encoded]) -> tuple[list[Encoded], list[Encoded]]:
    """Split into two parts of about equal tokens, for a machine without memory for the whole.

    One example is not divided.
    """
    total, run = sum(one.length for one in encoded), 0
    for place, one in enumerate(encoded):
        run += one.length
        if 2 * run >= total:
            cut = max(1, min(place + 1, len(encoded) - 1))
            return list(encoded[:cut]), list(encoded[cut:])
    return list(encoded), []


def joined(encoded: Sequence[Encoded], window: int) -> list[Encoded]:
    """Join texts one after the other and cut them into windows of `window` tokens without loss.

    A window can hold several texts. Each `target` is followed by the next text's; the last window
    may be shorter. A window's index is that of its first text.
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
