"""Read and write StableLM as published (Tow et al. 2023; Bellagente et al. 2024, section 2).

It is a Llama with layer norms, rotations of a part of each head and, in StableLM 2, biases of
query, key and value. Attention and feed-forward may read the same input after one norm.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import brief
from ..model.config import StackConfig
from .family import both
from .llama_like import ATTENTION, BLOCK, LAYER, NETWORK, Kin, Own, family
from .rotations import SHARE
from .rules import Rename

_BIASES = [True, True, True, False]
_KEYS: dict[str, tuple[str, object]] = {  # key -> dial and its value if the key is true
    "use_qkv_bias": ("attention_biases", _BIASES),
    "use_parallel_residual": ("parallel", "one_norm"),
}


def _complete(values: Mapping[str, object]) -> Mapping[str, object]:
    return {SHARE: 0.25, **values}


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    found: Own = {}
    for key, (dial, value) in _KEYS.items():
        given = values.get(key, False)
        if type(given) is not bool:
            problems.append(f"{key} is {brief(repr(given))}, not true or false")
        elif given:
            found[dial] = value
    return found


def _write(stack: StackConfig) -> Own:
    return {
        "use_qkv_bias": stack.attention_biases == _BIASES,
        "use_parallel_residual": stack.parallel is not None,
        "qk_layernorm": False,
        SHARE: stack.rotary_share,  # also a whole one, which is not the class's default
    }


def _refuse(stack: StackConfig) -> list[str]:
    found: list[str] = []
    if stack.head_width is not None:
        found.append(f"decoder.head_width is {stack.head_width} instead of None")
    if stack.attention_biases not in (None, [False] * 4, _BIASES):
        found.append(f"decoder.attention_biases is {stack.attention_biases} instead of {_BIASES}")
    if stack.parallel == "two_norms":
        found.append("decoder.parallel is 'two_norms' instead of 'one_norm'")
    return found


FAMILY = family(
    Kin(
        kind="stablelm",
        name="a StableLM",
        architecture="StableLmForCausalLM",
        settings={"norm": "layer", "bias": False},
        defaults={"dropout": 0.0, "max_positions": 4096, "norm_epsilon": 1e-5},
        keys={"dropout": "hidden_dropout", "norm_epsilon": "layer_norm_eps"},
        plain={"head_dim": None, "qk_layernorm": False},
        free=("attention_biases", "parallel", "rotary_share"),
        complete=_complete,
        read=_read,
        write=_write,
        refuse=_refuse,
        layers=(
            *ATTENTION,
            *NETWORK,
            *both(LAYER + "input_layernorm", BLOCK + "self_attention_norm.before"),
            *both(LAYER + "post_attention_layernorm", BLOCK + "feed_forward_norm.before"),
            Rename("norm.bias", "decoder.final_norm.bias"),
        ),
    )
)
