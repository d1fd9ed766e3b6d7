"""Read and write Gemma 1, 2 and 3 as published (Gemma team 2024, 2024, 2025).

They are Llamas with scaled embeddings and norms whose weights are stored as differences from 1.
Gemma 2 has norms before and after each part, softcaps and windows in every second block (section
2); Gemma 3 has norms of queries and keys instead of softcaps, and rotations of their own in blocks
with windows (section 2). Of a Gemma 3 that sees pictures the text's part is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import brief
from ..model.config import StackConfig
from .llama_like import (
    ATTENTION,
    HEAD_NORMS,
    NETWORK,
    Kin,
    Own,
    family,
    norms,
)
from .rotations import BASE, PARAMETERS, SCALING, SHARE, read_scaling, written_rotations
from .windows import SLIDING, WHOLE, read_windows, windows_differ, written_windows

CAP, SCALAR, WINDOWS_EVERY = "attn_logit_softcapping", "query_pre_attn_scalar", 6
MOST_LAYERS = 10_000
BASES = {WHOLE: (BASE, 1e6), SLIDING: ("rope_local_base_freq", 1e4)}  # key in older files, default
BOTH_NORMS = norms(
    input_layernorm="self_attention_norm.before",
    post_attention_layernorm="self_attention_norm.branch",
    pre_feedforward_layernorm="feed_forward_norm.before",
    post_feedforward_layernorm="feed_forward_norm.branch",
)
SIZES_2: Own = {  # of keys that files leave out
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192,
    "sliding_window": 4096,
    SCALAR: 256,
}


def _types(values: Mapping[str, object], every: object) -> Own:
    """Return layer_types: all but each so many blocks have a window."""
    layers = values.get("num_hidden_layers")
    if values.get("layer_types") is not None or type(layers) is not int or layers > MOST_LAYERS:
        return {}
    if type(every) is not int or every < 1:
        return {"layer_types": every}  # which is refused by its name
    return {"layer_types": [SLIDING if (one + 1) % every else WHOLE for one in range(layers)]}


def _complete_2(values: Mapping[str, object]) -> Mapping[str, object]:
    given = {**SIZES_2, CAP: 50.0, "final_logit_softcapping": 30.0, **values}
    return {**given, **_types(given, 2)}


def _complete_3(values: Mapping[str, object]) -> Mapping[str, object]:
    longest = {"max_position_embeddings": 131_072, "vocab_size": 262_208}
    given = {**SIZES_2, **longest, **values}
    return {**given, **_types(given, values.get("sliding_window_pattern", WINDOWS_EVERY))}


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    """Return the scale and the softcap of attention, its biases and its windows."""
    found = {**read_windows(values, problems)}
    scalar, cap, width = (values.get(key) for key in (SCALAR, CAP, "head_dim"))
    for key, one in ((SCALAR, scalar), (CAP, cap)):
        if not (_is_positive(one) or (key == CAP and one is None)):
            problems.append(f"{key} is {brief(repr(one))}, not above 0")
    if _is_positive(scalar) and scalar != width:
        found["attention_scale"] = float(scalar) ** -0.5  # type: ignore[arg-type]
    if _is_positive(cap):
        found["attention_softcap"] = float(cap)  # type: ignore[arg-type]
    if values.get("attention_bias") is True:
        found["attention_biases"] = [True] * 4
    return found


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < 1e30  # type: ignore[operator]


def _read_3(values: Mapping[str, object], problems: list[str]) -> Own:
    found = _read(values, problems)
    tables = {kind: _rotations_of(kind, values, problems) for kind in BASES}
    by_block: Any = found.get("by_block")
    if by_block is None:  # all blocks are of one kind
        return {**found, **tables[SLIDING if found.get("attention_window") else WHOLE]}
    kinds = [WHOLE if one is None else SLIDING for one in by_block["attention_window"]]
    for dial in ("rotary_base", "rotary_scaling"):
        values_of = {kind: table.get(dial) for kind, table in tables.items()}
        if values_of[WHOLE] != values_of[SLIDING]:
            by_block = {**by_block, dial: [values_of[kind] for kind in kinds]}
    return {**found, **tables[WHOLE], "by_block": by_block}


def _rotations_of(kind: str, values: Mapping[str, object], problems: list[str]) -> Own:
    """Return the base and the scaling of the rotations of one kind of blocks."""
    tables, scaling = (values.get(key) or {} for key in (PARAMETERS, SCALING))
    own = tables.get(kind) or {} if isinstance(tables, dict) else None
    is_table = isinstance(tables, dict) and {*tables} <= {*BASES}
    if not isinstance(own, dict) or not isinstance(scaling, dict) or not is_table:
        wrong = PARAMETERS if isinstance(scaling, dict) else SCALING
        problems.append(f"{wrong} is {brief(repr(values.get(wrong)))}, not a table for each kind")
        return {}
    own = {**own, **(scaling if kind == WHOLE else {})}
    key, default = BASES[kind]
    base = own.get(BASE, values.get(key, default))
    if not _is_positive(base):
        problems.append(f"{key} is {brief(repr(base))}, not above 0")
        return {}
    if own.get(SHARE, 1.0) != 1.0:
        problems.append(f"{PARAMETERS}.{SHARE} is {brief(repr(own[SHARE]))}, not 1.0")
    scaled = read_scaling({**own, BASE: base}, values, PARAMETERS, problems)
    return {"rotary_base": float(base), **({} if scaled is None else {"rotary_scaling": scaled})}


def _write(stack: StackConfig) -> Own:
    windows = written_windows(stack)
    if windows["sliding_window"] is None:  # the class needs a number even so
        del windows["sliding_window"]
    return {
        **windows,
        "head_dim": stack.size_of_head,
        SCALAR: _scalar(stack),
        CAP: stack.attention_softcap,
        "attention_bias": stack.attention_biases is not None,
    }


def _write_3(stack: StackConfig) -> Own:
    blocks = [stack.of_block(layer) for layer in range(stack.layers)]
    tables: dict[str, Own] = {}
    for kind in BASES:
        has_window = kind == SLIDING
        own = [one for one in blocks if (one.attention_window is not None) == has_window]
        tables[kind] = written_rotations((own or blocks)[0])
    return {**_write(stack), PARAMETERS: tables}


def _scalar(stack: StackConfig) -> int:
    """Return query_pre_attn_scalar, a whole number there."""
    scale = stack.attention_scale
    return stack.size_of_head if scale is None else round(scale**-2)


def _refuse(stack: StackConfig) -> list[str]:
    scale, scalar = stack.attention_scale, _scalar(stack)
    if scale is None or (scalar and abs(scalar**-0.5 - scale) < 1e-12):
        return windows_differ(stack)
    return [
        f"decoder.attention_scale is {scale} instead of {SCALAR} ** -0.5",
        *windows_differ(stack),
    ]


def _refuse_3(stack: StackConfig) -> list[str]:
    """Refuse rotations that differ among blocks of one kind."""
    blocks = [stack.of_block(layer) for layer in range(stack.layers)]
    found = {(one.attention_window is None, str(written_rotations(one))) for one in blocks}
    kinds = {kind for kind, _ in found}
    several = len(found) > len(kinds)
    return _refuse(stack) + (
        ["decoder.by_block has several rotations of blocks with windows, or without"]
        if several
        else []
    )


SETTINGS: Own = {"bias": False, "norm_offset": 1.0}
SHARED: Own = {"embedding_scale": True, "tied_embeddings": True}
CAPPED = {"logit_softcap": "final_logit_softcapping"}
FREE = ("attention_window", "attention_scale", "attention_softcap", "attention_biases")


def _complete_1(values: Mapping[str, object]) -> Mapping[str, object]:
    given = {"head_dim": 256, "max_position_embeddings": 8192, **values}
    return {**given, "hidden_act": values.get("hidden_activation") or "gelu_pytorch_tanh"}


def _read_1(values: Mapping[str, object], problems: list[str]) -> Own:
    return {"attention_biases": [True] * 4} if values.get("attention_bias") is True else {}


def _write_1(stack: StackConfig) -> Own:
    return {
        "head_dim": stack.size_of_head,
        "attention_bias": stack.attention_biases is not None,
    }


GEMMA = family(
    Kin(
        kind="gemma",
        name="a Gemma",
        architecture="GemmaForCausalLM",
        settings={**SETTINGS, "activation": "gelu_tanh"},
        shared=SHARED,
        plain={"use_bidirectional_attention": False},
        free=("attention_biases",),
        complete=_complete_1,
        read=_read_1,
        write=_write_1,
    )
)
GEMMA2 = family(
    Kin(
        kind="gemma2",
        name="a Gemma 2",
        architecture="Gemma2ForCausalLM",
        settings={**SETTINGS, "norm_placement": "both"},
        shared=SHARED,
        keys={"activation": "hidden_activation"},
        model_keys=CAPPED,
        plain={"use_bidirectional_attention": False},
        free=FREE,
        by_block=frozenset({"attention_window"}),
        complete=_complete_2,
        read=_read,
        write=_write,
        refuse=_refuse,
        layers=(*ATTENTION, *NETWORK, *BOTH_NORMS),
    )
)
GEMMA3 = family(
    Kin(
        kind="gemma3_text",
        name="a Gemma 3",
        architecture="Gemma3ForCausalLM",
        settings={**SETTINGS, "norm_placement": "both", "query_key_norm": "head"},
        shared=SHARED,
        keys={"activation": "hidden_activation"},
        model_keys=CAPPED,
        plain={"use_bidirectional_attention": False},
        free=FREE,
        by_block=frozenset({"attention_window", "rotary_base", "rotary_scaling"}),
        has_own_rotations=True,
        complete=_complete_3,
        read=_read_3,
        write=_write_3,
        refuse=_refuse_3,
        layers=(*ATTENTION, *NETWORK, *BOTH_NORMS, *HEAD_NORMS),
    )
)
