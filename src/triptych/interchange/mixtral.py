"""Read and write Mixtral as published (Jiang et al. 2024): a Mistral with experts.

A router sends each token to a few of the feed-forward networks of a block (section 2.1).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import brief
from ..model.config import StackConfig
from .llama_like import ATTENTION, BLOCK, LARGEST, LAYER, NORMS, Kin, Own, family
from .rules import Rename

COUNTS = {"experts": ("num_local_experts", 8), "experts_per_token": ("num_experts_per_tok", 2)}
_EXPERT = ("block_sparse_moe.experts.{e}.", "feed_forward.experts.{e}.")


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    found: Own = {}
    for dial, (key, default) in COUNTS.items():
        count = found[dial] = values.get(key, default)
        # a token's share of one expert would be its probability here, and 1 there
        if type(count) is not int or not 2 <= count < LARGEST:
            problems.append(f"{key} is {brief(repr(count))}, not at least 2")
    size, jitter = values.get("sliding_window"), values.get("router_jitter_noise", 0.0)
    if size is not None and (type(size) is not int or size < 1):
        problems.append(f"sliding_window is {brief(repr(size))}")
    if type(jitter) not in (int, float) or not 0 <= jitter < 1:  # type: ignore[operator]
        problems.append(f"router_jitter_noise is {brief(repr(jitter))}")
    return {**found, "attention_window": size, "expert_jitter": jitter or None}


def _write(stack: StackConfig) -> Own:
    return {
        **{key: getattr(stack, dial) for dial, (key, _) in COUNTS.items()},
        "sliding_window": stack.attention_window,
        "router_jitter_noise": stack.expert_jitter or 0.0,
    }


def _refuse(stack: StackConfig) -> list[str]:
    return [
        f"decoder.{dial} is {getattr(stack, dial)} instead of at least 2"
        for dial in COUNTS
        if (getattr(stack, dial) or 0) < 2
    ]


FAMILY = family(
    Kin(
        kind="mixtral",
        name="a Mixtral",
        architecture="MixtralForCausalLM",
        settings={"bias": False},
        defaults={"rotary_base": 1e6, "max_positions": 131_072, "norm_epsilon": 1e-5},
        free=("attention_window", *COUNTS, "expert_jitter"),
        read=_read,
        write=_write,
        refuse=_refuse,
        layers=(
            *ATTENTION,
            *NORMS,
            Rename(LAYER + "block_sparse_moe.gate.weight", BLOCK + "feed_forward.router.weight"),
            *(
                Rename(f"{LAYER}{_EXPERT[0]}{theirs}.weight", f"{BLOCK}{_EXPERT[1]}{ours}.weight")
                for theirs, ours in (("w1", "gate"), ("w2", "output"), ("w3", "inner"))
            ),
        ),
    )
)
