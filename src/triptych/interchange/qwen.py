"""Read and write Qwen 2 and 3 as published (Yang et al. 2024, 2025).

Qwen2 is a Llama with biases of queries, keys and values; Qwen3 has norms of queries and keys
instead, and heads of their own width. Both may have windows in some blocks.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..model.config import StackConfig
from .llama_like import (
    HEAD_NORMS,
    LAYERS,
    Kin,
    Own,
    family,
)
from .windows import SLIDING, WHOLE, read_windows, written_windows

QUERY_KEY_VALUE = [True, True, True, False]


def _windows(values: Mapping[str, object], problems: list[str]) -> Own:
    if values.get("use_sliding_window") is not True:
        return {}
    layers, first = values.get("num_hidden_layers"), values.get("max_window_layers", 28)
    types = values.get("layer_types")
    if types is None and type(layers) is int and type(first) is int and layers <= 10_000:
        types = [SLIDING if layer >= first else WHOLE for layer in range(layers)]
    size = values.get("sliding_window", 4096)
    return read_windows({**values, "layer_types": types, "sliding_window": size}, problems)


def _written(stack: StackConfig) -> Own:
    found = written_windows(stack)
    return {**found, "use_sliding_window": found["sliding_window"] is not None}


def _biases(values: Mapping[str, object], problems: list[str]) -> Own:
    given = values.get("attention_bias") is True
    own = {"attention_biases": [True] * 4} if given else {}
    return {**own, **_windows(values, problems)}


def _written_biases(stack: StackConfig) -> Own:
    return {**_written(stack), "attention_bias": stack.attention_biases is not None}


QWEN2 = family(
    Kin(
        kind="qwen2",
        name="a Qwen2",
        architecture="Qwen2ForCausalLM",
        settings={"bias": False, "attention_biases": QUERY_KEY_VALUE},
        free=("attention_window",),
        by_block=frozenset({"attention_window"}),
        read=_windows,
        write=_written,
    )
)
QWEN3 = family(
    Kin(
        kind="qwen3",
        name="a Qwen3",
        architecture="Qwen3ForCausalLM",
        settings={"bias": False, "query_key_norm": "head"},
        free=("attention_window", "attention_biases"),
        by_block=frozenset({"attention_window"}),
        read=_biases,
        write=_written_biases,
        layers=(*LAYERS, *HEAD_NORMS),
    )
)
