"""Write and check the values of a configuration. Imports no torch."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from typing import TYPE_CHECKING, Any, cast

from .rotary_scaling import scaling_problem

if TYPE_CHECKING:
    from .config import AnyConfig, StackConfig

# values that are written only if set, so that configurations without them do not change
SET_ONLY = (
    "head_width",
    "attention_biases",
    "attention_window",
    "by_block",
    "parallel",
    "norm_bias",
    "norm_offset",
    "first_norm",
    "shared_layers",
    "embedding_width",
    "embedding_projection",
    "first_position",
    "sinusoids",
    "rotary_share",
    "rotary_scaling",
    "relative_bias",
    "attention_scale",
    "attention_softcap",
    "feed_forward_bias",
    "query_key_norm",
    "output_scale",
    "attention_blocks",
    "attention_globals",
    "disentangled",
    "experts",
    "experts_per_token",
    "expert_capacity",
    "expert_capacity_factor",
    "expert_jitter",
    "expert_dropout",
    "self_attention",
    "logit_softcap",
    "stem",
    "features",
)
# the strides of a stem's convolutions
STRIDES = {"convolution": (2, 2), "whisper": (1, 2)}
# dials of which a causal form is not published
ENCODER_ONLY = ("attention_blocks", "attention_globals", "disentangled", "stem", "features")
DECODER_ONLY = ("self_attention",)  # a recurrence reads one way
UNSET = "unset"  # a value in by_block for which a recipe, in TOML, has no other word
LONGEST_PATTERN = 10_000
RELATIVE_BUCKETS, RELATIVE_FARTHEST = 32, 128  # as in all published T5 models
BY_BLOCK = (
    "inner_width",
    "activation",
    "gated",
    "key_heads",
    "attention_window",
    "positions",
    "rotary_base",
    "rotary_scaling",
    "experts",
)


def written(config: AnyConfig) -> dict[str, Any]:
    """Return the values of a configuration as config.json holds them."""
    values = dataclasses.asdict(config)
    if not config.stacks:
        return values
    for side, stack in config.stacks.items():
        values[side] = _set(values[side], unset(stack))
    return _set(values, unset(config))


def unset(config: AnyConfig | StackConfig) -> dict[str, Any]:
    """Return the defaults of those values that are written only if set."""
    return {one.name: one.default for one in dataclasses.fields(config) if one.name in SET_ONLY}


def _set(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in values.items() if key not in defaults or value != defaults[key]
    }


def misfit(stack: StackConfig) -> str | None:
    """Return why the values of a stack do not fit, as a sentence without a full stop, or None."""
    if stack.first_position >= stack.max_positions:
        return (
            f"first_position is {stack.first_position}, past the table's {stack.max_positions} "
            "rows (max_positions)"
        )
    if stack.shared_layers and (stack.by_block or not stack.first_norm):
        return (
            "shared_layers makes all blocks one, so by_block and first_norm cannot tell them apart"
        )
    if stack.parallel is not None and stack.norm_placement != "pre":
        return f"parallel needs norm_placement 'pre', not {stack.norm_placement!r}"
    if stack.norm_offset and stack.norm != "rms":
        return f"norm_offset is added to the weights of rms norms, but norm is {stack.norm!r}"
    if not stack.first_norm and stack.norm_placement not in ("pre", "both"):
        return (
            f"norm_placement {stack.norm_placement!r} has no norm that first_norm could leave out"
        )
    if problem := _stem_misfit(stack):
        return problem
    biases = stack.attention_biases
    if biases is not None and [type(one) for one in biases] != 4 * [bool]:
        return f"attention_biases is {biases!r}; it must be true or false four times"
    given: dict[str, Any] = {**(stack.by_block or {})}
    for key, values in given.items():
        if key not in BY_BLOCK:
            return f"by_block has {key!r}; it may have {', '.join(BY_BLOCK)}"
        if not isinstance(values, list) or not values:
            return f"by_block.{key} is {values!r}; it must list a value for each block in turn"
        for value in cast("list[Any]", values):
            if not _is_valid(value, key, type(stack)):
                return f"by_block.{key} holds {value!r}, which {key} cannot be"
    either = ("rotary", "none")
    if "positions" in given and not {stack.positions, *given["positions"]} <= {*either}:
        return f"by_block.positions chooses between {' and '.join(either)}, as must positions"
    if pattern(stack) > LONGEST_PATTERN:
        return f"by_block has lists that begin together only every {pattern(stack):,} blocks"
    for layer in range(pattern(stack)):
        problem = _misfit(stack.of_block(layer))
        if problem is not None:
            return problem
    return _without_experts(stack)


def pattern(stack: StackConfig) -> int:
    """Return after how many blocks their configurations repeat."""
    return min(stack.layers, math.lcm(*(len(values) for values in (stack.by_block or {}).values())))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _is_valid(value: Any, key: str, kind: type) -> bool:
    hint = _hints(kind)[key]
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    kinds = [typing.get_origin(one) or one for one in typing.get_args(hint) or (hint,)]
    if type(None) in kinds and value == UNSET:
        return True
    if float in kinds and type(value) is int:
        value = float(value)
    is_number = type(value) in (int, float)
    if key == "experts" and value == 0:  # a dense layer
        return True
    return type(value) in kinds and (not is_number or (math.isfinite(value) and value > 0))


def _misfit(block: StackConfig) -> str | None:
    key_heads = block.key_heads or block.heads
    uneven = block.head_width is None and block.width % block.heads
    if uneven or block.heads % key_heads:
        return (
            f"width {block.width} must be a multiple of heads {block.heads}, and heads a multiple "
            f"of key_heads {key_heads}"
        )
    if block.positions == "rotary":
        width = block.rotary_width
        if width % 2 or not width:
            share = "" if block.rotary_share == 1.0 else f", of which rotary_share leaves {width}"
            return f"rotary positions need heads of even width, not {block.size_of_head}{share}"
        if block.rotary_scaling is not None and (
            problem := scaling_problem(block.rotary_scaling, width, block.rotary_base)
        ):
            return problem
    return _recurrent_misfit(block) or _expert_misfit(block) or _sparse_misfit(block, key_heads)


def _stem_misfit(stack: StackConfig) -> str | None:
    """Return why dials of a stem do not fit, or None."""
    if (stack.stem is None) != (stack.features is None):
        given, missing = ("stem", "features") if stack.stem else ("features", "stem")
        return f"{given} needs {missing}: stem = 'convolution' and features = 80, for example"
    if stack.stem is not None and (stack.segments or stack.attention_globals == "question"):
        name = "segments" if stack.segments else "attention_globals = 'question'"
        return f"a stem reads sound, which has no {name}"
    return None


def _recurrent_misfit(block: StackConfig) -> str | None:
    """Return why a recurrent unit does not fit dials of self-attention, or None."""
    if block.self_attention is None:
        return None
    if block.positions in ("rotary", "relative", "alibi"):
        return (
            f"self_attention {block.self_attention!r} has no scores for {block.positions} positions"
        )
    if block.attention_window is not None or block.relative_bias:
        name = "relative_bias" if block.relative_bias else "attention_window"
        return f"self_attention {block.self_attention!r} has no scores for {name}"
    return None


def _expert_misfit(block: StackConfig) -> str | None:
    """Return why dials of experts do not fit, or None."""
    chosen = block.experts_per_token or 1
    if block.experts and chosen > block.experts:
        return f"experts_per_token is {chosen}, but there are only {block.experts} experts"
    if chosen > 1 and (block.expert_capacity or block.expert_capacity_factor):
        return f"experts with a capacity need experts_per_token 1, not {chosen}"
    if block.expert_capacity and block.expert_capacity_factor:
        return "expert_capacity and expert_capacity_factor set the same; leave out one"
    return None


def _sparse_misfit(block: StackConfig, key_heads: int) -> str | None:
    """Return why dials of sparse or disentangled attention do not fit, or None."""
    tables = {
        "attention_blocks": (block.attention_blocks, {"size": 1}, {"random": 0, "seed": 0}),
        "disentangled": (block.disentangled, {"farthest": 2}, {"buckets": 4}),
    }
    for key, (table, needed, others) in tables.items():
        if table is None:
            continue
        least = {**needed, **others}
        if set(table) - set(least) or set(needed) - set(table):
            return f"{key} has {sorted(table)}; it must have {[*needed]} and may have {[*others]}"
        for name, value in table.items():
            if type(value) is not int or value < least[name]:
                return f"{key}.{name} is {value!r}; it must be a whole number from {least[name]}"
    kind = block.positions
    if block.relative_bias and kind in ("relative", "alibi"):
        return f"relative_bias needs positions that are no bias themselves, not {kind}"
    if block.attention_blocks is not None and block.attention_window is not None:
        return "attention_blocks and attention_window are two patterns; give one"
    if "seed" in (block.attention_blocks or {}) and key_heads != block.heads:
        return "attention_blocks.seed draws blocks for each head, so key_heads must be heads"
    if block.attention_globals is not None:
        if block.attention_window is None:
            return "attention_globals needs attention_window, beyond which they are seen"
        if kind in ("rotary", "relative", "alibi"):
            return f"attention_globals needs positions in the embeddings, not {kind}"
    if block.disentangled is not None and (
        kind in ("relative", "alibi") or key_heads != block.heads
    ):
        return f"disentangled needs key_heads = heads and no {kind} positions"
    return None


def _without_experts(stack: StackConfig) -> str | None:
    """Return what is wrong if a setting of experts is given and no block has any."""
    if any(stack.of_block(layer).experts for layer in range(pattern(stack))):
        return None
    names = [key for key in SET_ONLY if key.startswith("expert") and key != "experts"]
    given = [key for key in names if getattr(stack, key) is not None]
    return f"{given[0]} needs experts, and no block has any; give experts" if given else None
