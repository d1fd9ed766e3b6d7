"""Say what could have been written at each step of an answer, and what each mask let through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..model.layout import PackedLayout
from ..model.masks import Mask, allowed
from .cells import PieceDecoder, TokenCell, labels_at
from .views.expected import TokenChoice, ranked

SIDES = {  # which cells rows and columns of a kind of attention are
    "cross": ("target", "source"),
    "encoder": ("source", "source"),
    "decoder": ("inputs", "inputs"),
}
MOST_MASKED = 256  # cells on a side; the masks of longer texts are left out


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one step of an answer.

    Args:
        choices: The likeliest tokens and the one that was written, which is last if it was not
            likely.
        ids: Of these tokens.
    """

    choices: list[TokenChoice]
    ids: list[int]

    def to_json(self) -> list[list[object]]:
        return [
            [one.label, float(f"{one.probability:.6g}"), int(one.is_actual), number]
            for one, number in zip(self.choices, self.ids, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class ShownMask:
    """Hold which pairs one mask lets attend: rows attend to columns.

    Args:
        layers: The layers that have it, from 1.
        rows: (T, S) bool over cells; a cell of several tokens may attend where one of them may.
    """

    layers: list[int]
    rows: np.ndarray

    def to_json(self) -> dict[str, object]:
        shown = ["".join("1" if one else "0" for one in row) for row in self.rows]
        return {"layers": self.layers, "rows": shown}


def steps_of(
    logits: Tensor, target: Sequence[int], tokenizer: PieceDecoder, count: int
) -> list[Step]:
    """Return what could have been written at each step.

    Args:
        logits: (T, V) fp32.
        target: The T tokens that were written.
        tokenizer: Decodes them.
        count: How many of the likeliest tokens are kept.
    """
    chances = logits.float().softmax(-1)
    top = chances.topk(min(count, chances.shape[-1]), -1)
    found = []
    for place, actual in enumerate(target):
        ids, values = top.indices[place].tolist(), top.values[place].tolist()
        before = tokenizer.decode(list(target[:place]))
        came = (actual, float(chances[place, actual]))
        choices = ranked(
            ids, values, came, lambda numbers, before=before: labels_at(tokenizer, numbers, before)
        )
        found.append(Step(choices, ids if actual in ids else [*ids, actual]))
    return found


def masks_of(
    model: Any, kinds: Sequence[str], sides: Mapping[str, Sequence[TokenCell]]
) -> dict[str, list[ShownMask]]:
    """Return the masks that a Transformer used, by kind of attention, those of equal layers as one.

    Args:
        model: A Transformer with both stacks.
        kinds: "cross", "encoder", "decoder"; one of a side with more than `MOST_MASKED` cells is
            left out.
        sides: Cells of "source", "target" and "inputs", as in a `Trace`.
    """
    found: dict[str, list[ShownMask]] = {}
    for kind in kinds:
        rows, columns = (sides[side] for side in SIDES[kind])
        if max(len(rows), len(columns)) > MOST_MASKED or not (rows and columns):
            continue
        stack = model.encoder if kind == "encoder" else model.decoder
        blocks = list(stack.each)
        name = "cross_attention" if kind == "cross" else "self_attention"
        layouts = [
            PackedLayout(torch.tensor([sum(len(one.tokens) for one in side)]))
            for side in (rows, columns)
        ]
        by_mask: dict[int, ShownMask] = {}
        for number, block in enumerate(blocks, 1):
            mask: Mask | None = getattr(getattr(block, name), "mask", None)
            if mask is None:  # a recurrent unit has none
                continue
            if id(mask) in by_mask:
                by_mask[id(mask)].layers.append(number)
                continue
            pairs = allowed(layouts[0], layouts[1], mask)
            size = (layouts[0].longest, layouts[1].longest)
            plain = (
                np.ones(size, bool) if pairs is None else pairs.any(1)[0].expand(size).cpu().numpy()
            )
            by_mask[id(mask)] = ShownMask([number], _over_cells(plain, rows, columns))
        found[kind] = list(by_mask.values())
    return found


def _over_cells(
    pairs: np.ndarray, rows: Sequence[TokenCell], columns: Sequence[TokenCell]
) -> np.ndarray:
    by_column = np.stack([pairs[:, list(one.tokens)].any(1) for one in columns], 1)
    return np.stack([by_column[list(one.tokens)].any(0) for one in rows])
