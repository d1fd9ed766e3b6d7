"""Read and write GPT-NeoX and Pythia as published (Black et al. 2022, section 2; Biderman 2023).

Attention and feed-forward read the same input, each after a norm of its own; a part of each head is
rotated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..model.config import ModelConfig, StackConfig
from .family import both
from .llama_like import BLOCK, LAYER, Kin, Own, family
from .rotations import BASE, SHARE
from .rules import Ignore, Rename, Rule, Split

_QKV = tuple(f"{BLOCK}self_attention.{part}" for part in ("query", "key", "value"))


def _complete(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return config.json with the rotations under the names of other families."""
    names = {"rotary_pct": SHARE, "rotary_emb_base": BASE}
    old = {new: values[name] for name, new in names.items() if values.get(name) is not None}
    return {SHARE: 0.25, **old, **values}


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    found: Own = {}
    for key in ("use_parallel_residual", "attention_bias"):
        if type(values.get(key, True)) is not bool:
            problems.append(f"{key} is {values[key]!r}, not true or false")
    if values.get("use_parallel_residual", True):
        found["parallel"] = "two_norms"
    if not values.get("attention_bias", True):
        found["attention_biases"] = [False] * 4
    return found


def _write(stack: StackConfig) -> Own:
    return {
        "use_parallel_residual": stack.parallel is not None,
        "attention_bias": stack.attention_biases is None,
        "rotary_pct": stack.rotary_share,
        "rotary_emb_base": stack.rotary_base,
        SHARE: stack.rotary_share,
    }


def _refuse(stack: StackConfig) -> list[str]:
    found: list[str] = []
    if stack.head_width is not None:
        found.append(f"decoder.head_width is {stack.head_width} instead of None")
    if stack.key_heads not in (None, stack.heads):
        found.append(f"decoder.key_heads is {stack.key_heads} instead of {stack.heads}")
    if stack.attention_biases not in (None, [False] * 4):
        found.append(f"decoder.attention_biases is {stack.attention_biases} instead of None")
    if stack.parallel == "one_norm":
        found.append("decoder.parallel is 'one_norm' instead of 'two_norms'")
    return found


KIN = Kin(
    kind="gpt_neox",
    name="a GPT-NeoX",
    architecture="GPTNeoXForCausalLM",
    settings={"norm": "layer", "gated": False, "bias": True},
    defaults={"dropout": 0.0, "norm_epsilon": 1e-5, "activation": "gelu"},
    keys={"dropout": "hidden_dropout", "norm_epsilon": "layer_norm_eps"},
    plain={"head_dim": None},
    free=("parallel", "rotary_share", "attention_biases"),
    complete=_complete,
    read=_read,
    write=_write,
    refuse=_refuse,
    preset="gpt2",
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the queries, keys and values of each head follow each other."""
    assert config.decoder is not None, "a GPT-NeoX has a decoder"
    width = config.decoder.size_of_head
    return (
        Rename("embed_in.weight", "embedding.weight"),
        *(
            Split(
                f"{LAYER}attention.query_key_value.{kind}",
                tuple(f"{part}.{kind}" for part in _QKV),
                heads_of=width,
            )
            for kind in ("weight", "bias")
        ),
        *both(LAYER + "attention.dense", BLOCK + "self_attention.output"),
        *both(LAYER + "mlp.dense_h_to_4h", BLOCK + "feed_forward.inner"),
        *both(LAYER + "mlp.dense_4h_to_h", BLOCK + "feed_forward.output"),
        *both(LAYER + "input_layernorm", BLOCK + "self_attention_norm.before"),
        *both(LAYER + "post_attention_layernorm", BLOCK + "feed_forward_norm.before"),
        *both("final_layer_norm", "decoder.final_norm"),
        *(
            Ignore(f"{LAYER}attention.{name}", "a constant")
            for name in ("bias", "masked_bias", "rotary_emb.inv_freq")
        ),
    )


FAMILY = dataclasses.replace(
    family(KIN), prefix="gpt_neox.", body=body, output=("embed_out.weight", "embed_in.weight")
)
