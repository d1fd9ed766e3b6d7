"""Read and write OLMo 2 as published (OLMo team 2025, section 3).

It is a Llama whose norms follow each part, before the sum, and with norms of all queries and of all
keys.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..model.config import StackConfig
from .llama_like import ATTENTION, HEAD_NORMS, NETWORK, Kin, Own, family, norms


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    return {"attention_biases": [True] * 4} if values.get("attention_bias") is True else {}


def _write(stack: StackConfig) -> Own:
    return {"attention_bias": stack.attention_biases is not None}


FAMILY = family(
    Kin(
        kind="olmo2",
        name="an OLMo 2",
        architecture="Olmo2ForCausalLM",
        settings={"bias": False, "norm_placement": "branch", "query_key_norm": "whole"},
        defaults={"norm_epsilon": 1e-5},
        plain={"clip_qkv": None},
        free=("attention_biases",),
        read=_read,
        write=_write,
        layers=(
            *ATTENTION,
            *NETWORK,
            *HEAD_NORMS,
            *norms(
                post_attention_layernorm="self_attention_norm.branch",
                post_feedforward_layernorm="feed_forward_norm.branch",
            ),
        ),
    )
)
