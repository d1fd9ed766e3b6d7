"""Read and write Switch (Fedus et al. 2021): a T5, of which some blocks have experts.

A block with experts sends each token to one feed-forward network of several, which takes at most so
many tokens of a sequence. The blocks are evenly spread: of each `step`, the second has experts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ..data.tokenizers.subwords import Tokenizer
from ..errors import RunError, brief
from ..messages import message
from ..model.config import ModelConfig, StackConfig
from ..model.dials import LONGEST_PATTERN
from . import t5
from .config_reader import differences
from .family import Family, PublishedClass
from .rules import Rename, Rule

KIND = "switch_transformers"
ACTIVATIONS = ("relu", "gelu")
SPARSE = {"encoder": "num_sparse_encoder_layers", "decoder": "num_sparse_decoder_layers"}
LAYERS = {"encoder": "num_layers", "decoder": "num_decoder_layers"}
DEFAULTS: dict[str, Any] = {
    "num_experts": 8,
    "expert_capacity": 64,
    **dict.fromkeys(SPARSE.values(), 3),
    "router_jitter_noise": 0.01,
    "dense_act_fn": "relu",
}
LEAST = {"num_experts": 1, "expert_capacity": 1, **dict.fromkeys(SPARSE.values(), 0)}
PLAIN: dict[str, object] = {"router_bias": False, "router_dtype": "float32"}
EXPERTS = ("experts", "expert_capacity", "expert_jitter", "by_block")  # dials that a T5 has not


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of a Switch. Raises RunError naming all values that are not supported."""
    found = {**DEFAULTS, **values}
    problems = [
        f"{key} is {brief(repr(found[key]))}, not a whole number from {least}"
        for key, least in LEAST.items()
        if not _is_number(found[key], least) or type(found[key]) is float
    ]
    problems += [
        f"{key} is {brief(repr(values[key]))}, not {wanted!r}"
        for key, wanted in PLAIN.items()
        if values.get(key, wanted) != wanted
    ]
    jitter, form = found["router_jitter_noise"], found["dense_act_fn"]
    if not _is_number(jitter, 0, below=1):
        problems.append(f"router_jitter_noise is {brief(repr(jitter))}, not from 0 to below 1")
    if form not in ACTIVATIONS:
        problems.append(f"dense_act_fn is {brief(repr(form))}, not one of {', '.join(ACTIVATIONS)}")
    if problems:
        raise RunError(
            f"{where} describes a model that triptych does not have: {'; '.join(problems)}."
        )
    config = t5.read_config({**values, "feed_forward_proj": form}, where, "t5")
    sparse: dict[str, Any] = {}
    for side, stack in config.stacks.items():
        if stack.layers > LONGEST_PATTERN:
            raise RunError(f"{where}: {LAYERS[side]} is {stack.layers}. Copy it again.")
        sparse[side] = dataclasses.replace(
            stack, **_experts(stack.layers, found[SPARSE[side]], found)
        )
    return dataclasses.replace(config, **sparse)


def _is_number(value: Any, least: float, below: float = math.inf) -> bool:
    return type(value) in (int, float) and least <= value < below


def _experts(layers: int, sparse: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dials of a stack with `sparse` blocks of experts."""
    pattern = _pattern(layers, sparse)
    if not any(pattern):
        return {}
    count = values["num_experts"]
    by_block = [count if one else 0 for one in pattern]
    return {
        "expert_capacity": values["expert_capacity"],
        "expert_jitter": float(values["router_jitter_noise"]) or None,
        **({"experts": count} if all(pattern) else {"by_block": {"experts": by_block}}),
    }


def _pattern(layers: int, sparse: int) -> list[bool]:
    """Tell which blocks have experts, of as many as are needed until it repeats."""
    step = layers // sparse if sparse else layers
    return [place % step == 1 or step == 1 for place in range(step)] or [False]


def _sparse_blocks(stack: StackConfig) -> int | None:
    """Return how many blocks config.json says to have experts, or None for another pattern."""
    is_sparse = [bool(stack.of_block(layer).experts) for layer in range(stack.layers)]
    for sparse in range(stack.layers + 2):
        pattern = _pattern(stack.layers, sparse)
        if all(one == pattern[layer % len(pattern)] for layer, one in enumerate(is_sparse)):
            return sparse
    return None


def _dense(config: ModelConfig) -> ModelConfig:
    """Return the T5 of the same size."""
    unset: dict[str, Any] = dict.fromkeys(EXPERTS)
    stacks: dict[str, Any] = {
        side: dataclasses.replace(stack, **unset) for side, stack in config.stacks.items()
    }
    return dataclasses.replace(config, **stacks)


def _counts(stack: StackConfig) -> set[int]:
    return {found for layer in range(stack.layers) if (found := stack.of_block(layer).experts)}


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which an encoder-decoder is not a Switch, with the expected values."""
    found = t5.refusals(_dense(config), "t5")
    counts: set[int] = set()
    for side, stack in config.stacks.items():
        counts |= _counts(stack)
        wanted: dict[str, object] = {
            "gated": False,
            "experts_per_token": None,
            "expert_capacity_factor": None,
            "expert_dropout": None,
        }
        found += differences(stack, wanted, f"{side}.", alone=True)
        if stack.activation not in ACTIVATIONS:
            found += differences(stack, {"activation": ACTIVATIONS[0]}, f"{side}.", alone=True)
        if set(stack.by_block or {}) - {"experts"} or _sparse_blocks(stack) is None:
            found.append(message("the blocks with experts are not evenly spread"))
        if _counts(stack) and stack.expert_capacity is None:
            found.append(message("its experts have no capacity"))
    if len(counts) != 1:
        found.append(message("it has {counts} experts", counts=sorted(counts) or 0))
    return found


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    values = t5.write_config(_dense(config), longest, tokenizer, KIND)
    values["dense_act_fn"] = values.pop("feed_forward_proj")
    del values["scale_decoder_outputs"]
    some = next(stack for stack in config.stacks.values() if _counts(stack))
    return {
        **values,
        "num_experts": _counts(some).pop(),
        "expert_capacity": some.expert_capacity,
        **{key: _sparse_blocks(config.stacks[side]) for side, key in SPARSE.items()},
        "router_jitter_noise": some.expert_jitter or 0.0,
        **PLAIN,
    }


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the embedding and both stacks, with experts and without."""
    rules: list[Rule] = []
    for rule in t5.body(config):
        if isinstance(rule, Rename) and ".DenseReluDense." in rule.theirs:
            theirs = rule.theirs.replace("DenseReluDense", "mlp")
            expert = theirs.replace("mlp.", "mlp.experts.expert_{e}.")
            ours = rule.ours.replace("feed_forward.", "feed_forward.experts.{e}.")
            rules += [dataclasses.replace(rule, theirs=theirs), Rename(expert, ours)]
            continue
        rules.append(rule)
    for side, last in (("encoder", 1), ("decoder", 2)):
        router = f"{side}.block.{{i}}.layer.{last}.mlp.router.classifier.weight"
        rules.append(Rename(router, f"{side}.blocks.{{i}}.feed_forward.router.weight"))
    return tuple(rules)


FAMILY = Family(
    name="a Switch",
    kinds=(KIND,),
    architecture="encoder-decoder",
    preset="transformer-base",
    task="text-to-text",
    classes=(
        PublishedClass(architecture="SwitchTransformersForConditionalGeneration", head="tokens"),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    fitted=t5.fitted,
    output=("lm_head.weight", "shared.weight"),
)
