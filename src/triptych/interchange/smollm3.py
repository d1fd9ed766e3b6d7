"""Read and write SmolLM3 as published (Bakouch et al. 2025): a Llama of which every fourth block
does not rotate (Yang et al. 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import brief
from ..model.config import StackConfig
from .llama_like import BIASES, Kin, Own, family, read_biases, written_biases
from .windows import period, read_windows, written_windows

LAYERS, INTERVAL = "no_rope_layers", "no_rope_layer_interval"  # 0: such a block does not rotate
MOST_LAYERS = 10_000


def _complete(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return config.json with a list of the blocks that rotate."""
    layers, every = values.get("num_hidden_layers"), values.get(INTERVAL, 4)
    given = {"num_key_value_heads": 4, **values}
    is_known = type(layers) is int and type(every) is int and every > 0 and layers <= MOST_LAYERS
    if values.get(LAYERS) is None and is_known:
        assert isinstance(layers, int) and isinstance(every, int), "it was just tested"
        given[LAYERS] = [int((layer + 1) % every != 0) for layer in range(layers)]
    return given


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    found = read_biases(values, problems)
    if values.get("use_sliding_window") is True:
        found |= read_windows(values, problems)
    layers, turned = values.get("num_hidden_layers"), values.get(LAYERS)
    if type(layers) is not int:
        return found
    if not isinstance(turned, list) or len(turned) < layers or not {*map(repr, turned)} <= {*"01"}:
        problems.append(f"{LAYERS} is {brief(repr(turned))}; it must list 0 or 1 for each block")
        return found
    if 0 not in turned[:layers]:
        return found
    kinds = ["rotary" if one else "none" for one in turned[: period(turned[:layers])]]
    by_block: Any = found.get("by_block") or {}
    return {**found, "by_block": {**by_block, "positions": kinds}}


def _write(stack: StackConfig) -> Own:
    windows = written_windows(stack)
    blocks = (stack.of_block(layer) for layer in range(stack.layers))
    return {
        **written_biases(stack),
        **windows,
        "use_sliding_window": windows["sliding_window"] is not None,
        LAYERS: [int(one.positions == "rotary") for one in blocks],
    }


FAMILY = family(
    Kin(
        kind="smollm3",
        name="a SmolLM3",
        architecture="SmolLM3ForCausalLM",
        shared={"tied_embeddings": True},
        defaults={"rotary_base": 2e6, "max_positions": 32768},
        free=("bias", *BIASES, "attention_window"),
        by_block=frozenset({"positions", "attention_window"}),
        complete=_complete,
        read=_read,
        write=_write,
    )
)
