"""Dials as they are written and checked. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .config import AnyConfig, StackConfig

# dials that are written where they are set, so that a configuration without them stays as it was
SET_ONLY = (
    "head_width",
    "attention_biases",
    "attention_window",
    "by_block",
)
LONGEST_PATTERN = 10_000
RELATIVE_BUCKETS, RELATIVE_FARTHEST = 32, 128  # of relative positions, as in all published T5s
BY_BLOCK = ("inner_width", "activation", "gated", "key_heads", "attention_window")


def written(config: AnyConfig) -> dict[str, Any]:
    """Return the dials as config.json holds them."""
    values = dataclasses.asdict(config)
    for side, stack in config.stacks.items():
        unset = {dial for dial in SET_ONLY if getattr(stack, dial) is None}
        values[side] = {dial: value for dial, value in values[side].items() if dial not in unset}
    return values


def misfit(stack: StackConfig) -> str | None:
    """Return why the dials of a stack do not fit each other, as a sentence without an end."""
    biases = stack.attention_biases
    if biases is not None and [type(one) for one in biases] != 4 * [bool]:
        return f"attention_biases is {biases!r}; it must be true or false four times"
    given: dict[str, Any] = {**(stack.by_block or {})}
    for dial, values in given.items():
        if dial not in BY_BLOCK:
            return f"by_block has {dial!r}; it may have {', '.join(BY_BLOCK)}"
        if not isinstance(values, list) or not values:
            return f"by_block.{dial} is {values!r}; it must list a value for each block in turn"
        for value in cast("list[Any]", values):
            if not _is_of_dial(value, dial, type(stack)):
                return f"by_block.{dial} holds {value!r}, which {dial} cannot be"
    if pattern(stack) > LONGEST_PATTERN:
        return f"by_block has lists that begin together only every {pattern(stack):,} blocks"
    for layer in range(pattern(stack)):
        problem = _misfit(stack.of_block(layer))
        if problem is not None:
            return problem
    return None


def pattern(stack: StackConfig) -> int:
    """Return after how many blocks their dials repeat, at most all of them."""
    return min(stack.layers, math.lcm(*(len(values) for values in (stack.by_block or {}).values())))


def _is_of_dial(value: Any, dial: str, kind: type) -> bool:
    hint = typing.get_type_hints(kind)[dial]
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    kinds = typing.get_args(hint) or (hint,)
    return type(value) in kinds and (type(value) is not int or value > 0)


def _misfit(block: StackConfig) -> str | None:
    key_heads = block.key_heads or block.heads
    uneven = block.head_width is None and block.width % block.heads
    if uneven or block.heads % key_heads:
        return (
            f"width {block.width} must be a multiple of heads {block.heads}, and heads a multiple "
            f"of key_heads {key_heads}"
        )
    if block.positions == "rotary" and block.size_of_head % 2:
        return f"rotary positions need heads of even width, not {block.size_of_head}"
    return None
