"""Put single states of one sentence into the pass over another one: activation patching.

Both sentences have the same number of tokens, aligned by position. If the state of one position
after one block, taken from the other sentence, moves the chosen-minus-rival logit, then the
difference between the sentences passes through that state (Vig et al. 2020; Meng et al. 2022,
section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..messages import message
from ..model.attention import Context
from .attribution import exact
from .interventions import MOST_TOKENS, Key, hooked
from .probe import Probe
from .sites import is_recurrent, stacks


@dataclass(frozen=True, slots=True)
class Patching:
    """Hold what patching each state does to the chosen-minus-rival logit.

    Args:
        stack: Whose states were patched.
        layers: Names of the rows: "embeddings", then the number of each block from 1; of the RNN
            "embeddings" and "states".
        base: The difference for the sentence itself.
        other: The difference for the other sentence.
        changes: The difference with a state patched, minus `base` (L + 1, P).
        names: The chosen and the rival token or label.
    """

    stack: str
    layers: list[str]
    base: float
    other: float
    changes: np.ndarray
    names: tuple[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "stack": self.stack,
            "layers": self.layers,
            "chosen": self.names[0],
            "rival": self.names[1],
            "base": self.base,
            "other": self.other,
            "changes": self.changes.tolist(),
        }


@torch.no_grad()
def patch(probe: Probe, other: Mapping[str, Tensor], stack: str) -> Patching:
    """Patch the state of every position and layer, all of them as one batch.

    Args:
        probe: The sentence that is run, and the two logits that are compared.
        other: The inputs of the sentence that states are taken from.
        stack: "encoder" or "decoder".

    Raises:
        UsageError: The sentences differ in length, or the model has no such states.
    """
    model, axis = probe.model, "source" if stack == "encoder" else "target"
    if is_recurrent(model) and stack != "encoder":
        raise UsageError(message("Of the RNN the encoder's states can be patched. Choose encoder."))
    if not is_recurrent(model) and stack not in stacks(model):
        raise UsageError("This model has no {stack}.", stack=stack)
    _refuse_unaligned(probe, other, axis)
    length = len(probe.inputs[axis])
    other, probe = probe.cut_inputs(other), probe.cut()
    count = len(probe.inputs[axis])  # a later state changes nothing that is read
    with exact(model):
        taken = _states(model, stack, other)  # of each layer (P, D)
        base = float(probe.difference(model(**probe.inputs), 1)[0])
        whole = float(probe.difference(model(**other), 1)[0])
        cells = [(layer, place) for layer in range(len(taken)) for place in range(count)]
        tokens = sum(len(probe.inputs[name]) for name in ("source", "target") if name in other)
        most, values = max(1, MOST_TOKENS // tokens), list[float]()
        for start in range(0, len(cells), most):
            part = cells[start : start + most]
            with _patched(model, stack, taken, part):
                states = model(**probe.copies(len(part)))
            values += probe.difference(states, len(part)).tolist()
    names = probe.choice.names if probe.choice is not None else ("", "")
    layers = ["embeddings", *(str(layer) for layer in range(1, len(taken)))]
    if is_recurrent(model):
        layers[1] = "states"
    changes = np.zeros((len(taken), length))
    changes[:, :count] = np.array(values).reshape(len(taken), count) - base
    return Patching(stack, layers, base, whole, changes, names)


def _refuse_unaligned(probe: Probe, other: Mapping[str, Tensor], axis: str) -> None:
    for name in ("source", "target"):
        if name not in probe.inputs:
            continue
        own, count = len(probe.inputs[name]), len(other[name])
        if own != count:
            raise UsageError(
                "Patching aligns two sentences by position, but they have {own} and {count} "
                "tokens. Give one with as many tokens.",
                own=own,
                count=count,
            )
    assert axis in probe.inputs, "the stack reads this side"


def _states(model: Any, stack: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the vectors that enter a stack and the states after each of its blocks, (P, D)."""
    found: dict[int, Tensor] = {}

    def see(layer: int, x: Tensor) -> Tensor:
        found[layer] = x
        return x

    with _at_layers(model, stack, see):
        model(**inputs)
    return [found[layer] for layer in sorted(found)]


@contextmanager
def _patched(
    model: Any, stack: str, taken: list[Tensor], cells: list[tuple[int, int]]
) -> Iterator[None]:
    """Give each copy of a batch the other sentence's state at one layer and position."""

    def change(layer: int, x: Tensor) -> Tensor:
        rows = [row for row, cell in enumerate(cells) if cell[0] == layer]
        if not rows:
            return x
        places = [cells[row][1] for row in rows]
        changed = x.view(len(cells), -1, x.shape[-1]).clone()
        changed[rows, places] = taken[layer][places].to(x.dtype)
        return changed.view(x.shape)

    with _at_layers(model, stack, change):
        yield


@contextmanager
def _at_layers(model: Any, stack: str, change: Any) -> Iterator[None]:
    """Call change(layer, states) where a stack is entered (layer 0) and after each block."""
    with ExitStack() as held:
        if is_recurrent(model):
            encoder = model.encoder
            first = encoder.register_forward_pre_hook(lambda _, x: (change(0, x[0]), *x[1:]))
            last = encoder.register_forward_hook(lambda _m, _x, result: change(1, result))
            held.callback(first.remove)
            held.callback(last.remove)
        else:
            entrance: nn.Module = getattr(model, f"{stack}_entrance")
            hook = entrance.register_forward_hook(lambda _m, _x, result: change(0, result))
            held.callback(hook.remove)

            def on_residual(
                key: Key, _: Context, branch: Any, x: Tensor, y: Tensor, result: Tensor
            ) -> Tensor:
                if key[0] != stack or key[2] != "feed_forward":
                    return result
                return change(key[1] + 1, result)

            held.enter_context(hooked(model, on_residual=on_residual))
        yield
