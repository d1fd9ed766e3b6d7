"""Read and write the windows of blocks: layer_types and sliding_window. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import brief
from ..model.config import StackConfig
from ..model.dials import pattern

SLIDING, WHOLE = "sliding_attention", "full_attention"  # values of layer_types
Own = dict[str, object]


def read_windows(values: Mapping[str, object], problems: list[str]) -> Own:
    """Return the windows of the blocks, from layer_types and sliding_window."""
    layers, size, types = (
        values.get(key) for key in ("num_hidden_layers", "sliding_window", "layer_types")
    )
    if types is None or type(layers) is not int or layers < 1:
        return {}
    if not isinstance(types, list) or any(one not in (SLIDING, WHOLE) for one in types):
        problems.append(
            f"layer_types is {brief(repr(types))}; it may list {SLIDING!r} and {WHOLE!r}"
        )
        return {}
    if len(types) != layers:
        problems.append(f"layer_types lists {len(types)} layers, not {layers}")
        return {}
    if SLIDING not in types:
        return {}
    if type(size) is not int or size < 1:
        problems.append(f"sliding_window is {brief(repr(size))}")
        return {}
    if WHOLE not in types:
        return {"attention_window": size}
    return {"by_block": {"attention_window": [size if one == SLIDING else None
                                              for one in types[: period(types)]]}}  # fmt: skip


def period(values: Sequence[object]) -> int:
    """Return after how many values the sequence repeats."""
    return next(
        size
        for size in range(1, len(values) + 1)
        if all(one == values[place % size] for place, one in enumerate(values))
    )


def written_windows(stack: StackConfig) -> Own:
    """Return the keys of the windows."""
    windows = [stack.of_block(layer).attention_window for layer in range(stack.layers)]
    return {
        "layer_types": [WHOLE if one is None else SLIDING for one in windows],
        "sliding_window": next((one for one in windows if one is not None), None),
    }


def windows_differ(stack: StackConfig) -> list[str]:
    """Refuse windows of several sizes, for which there is one key."""
    blocks = (stack.of_block(layer) for layer in range(pattern(stack)))
    sizes = {one.attention_window for one in blocks} - {None}
    return [f"decoder.by_block has windows of {len(sizes)} sizes"] if len(sizes) > 1 else []
