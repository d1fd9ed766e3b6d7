"""Translate names and layouts of tensors between GGUF and the library transformers.

llama.cpp rotates neighbours within a head of the architecture llama, so its query and key rows are
in another order (Su et al. 2021, section 3.4.2); its Gemma holds weights of norms plus 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = re.compile(r"blk\.(0|[1-9][0-9]*)\.(.+)\.(weight|bias)")
ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Describe how an architecture of GGUF is named in the library transformers.

    Args:
        kind: The model_type there.
        prefix: What names begin with there.
        layers: The list of blocks there.
        outside: Names outside of blocks, theirs by those of GGUF, without weight and bias.
        inside: Names inside a block.
        transposed: Names of GGUF of matrices that are stored as (inputs, outputs) there.
        rotates_neighbours: Query and key rows are in llama.cpp's order.
        norm_offset: What is added to the weights of norms in GGUF.
        rotary: Positions are rotations, with metadata on them.
        head_width: Heads have a width of their own there, which config.json must name.
        epsilon: The key of the norms' epsilon in GGUF and there.
        activation: The key of the activation there, and the only values that llama.cpp computes.
        more: Keys of config.json with the only value that llama.cpp computes.
        sizes: Keys of config.json by those of GGUF.
    """

    kind: str
    architecture: str
    outside: Mapping[str, str]
    inside: Mapping[str, str]
    sizes: Mapping[str, str]
    epsilon: tuple[str, str]
    activation: tuple[str, tuple[str, ...]]
    prefix: str = "model."
    layers: str = "layers"
    transposed: tuple[str, ...] = ()
    rotates_neighbours: bool = False
    norm_offset: float = 0.0
    rotary: bool = True
    head_width: bool = False
    more: Mapping[str, object] = field(default_factory=dict)


_SIZES = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "context_length": "max_position_embeddings",
}
_OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
}
_GATED = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_RMS = ("attention.layer_norm_rms_epsilon", "rms_norm_eps")
_LAYER_NORM = "attention.layer_norm_epsilon"
_GELU = ("gelu_pytorch_tanh", "gelu_new", "gelu")  # llama.cpp computes all of them as the first


def _llama(kind: str, architecture: str, neighbours: bool = False, norms: bool = False) -> Architecture:  # fmt: skip # noqa: E501
    return Architecture(
        kind=kind,
        architecture=architecture,
        outside=_OUTSIDE,
        inside={**_ATTENTION, **_GATED, **(_HEAD_NORMS if norms else {})},
        sizes=_SIZES,
        epsilon=_RMS,
        activation=("hidden_act", ("silu",)),
        rotates_neighbours=neighbours,
        head_width=norms,
    )


LLAMA = _llama("llama", "LlamaForCausalLM", neighbours=True)
ARCHITECTURES: dict[str, Architecture] = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": _llama("qwen2", "Qwen2ForCausalLM"),
    "qwen3": _llama("qwen3", "Qwen3ForCausalLM", norms=True),
    "gemma3": Architecture(
        kind="gemma3_text",
        architecture="Gemma3ForCausalLM",
        outside=_OUTSIDE,
        inside={
            **_ATTENTION, **_GATED, **_HEAD_NORMS,
            "post_attention_norm": "post_attention_layernorm",
            "ffn_norm": "pre_feedforward_layernorm",
            "post_ffw_norm": "post_feedforward_layernorm",
        },
        sizes=_SIZES,
        epsilon=_RMS,
        activation=("hidden_activation", ("gelu_pytorch_tanh",)),
        norm_offset=1.0,
        head_width=True,
    ),
    "gpt2": Architecture(
        kind="gpt2",
        architecture="GPT2LMHeadModel",
        prefix="transformer.",
        layers="h",
        outside={
            "token_embd": "transformer.wte", "position_embd": "transformer.wpe",
            "output_norm": "transformer.ln_f", "output": "lm_head",
        },
        inside={
            "attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj",
            "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj",
        },
        sizes={
            "block_count": "n_layer", "embedding_length": "n_embd",
            "feed_forward_length": "n_inner", "attention.head_count": "n_head",
            "context_length": "n_positions",
        },
        epsilon=(_LAYER_NORM, "layer_norm_epsilon"),
        activation=("activation_function", ("gelu_new", "gelu_pytorch_tanh", "gelu")),
        transposed=("attn_qkv", "attn_output", "ffn_up", "ffn_down"),
        rotary=False,
    ),
    "starcoder2": Architecture(
        kind="starcoder2",
        architecture="Starcoder2ForCausalLM",
        outside=_OUTSIDE,
        inside={**_ATTENTION, "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"},
        sizes=_SIZES,
        epsilon=(_LAYER_NORM, "norm_epsilon"),
        activation=("hidden_act", _GELU),
        more={"use_bias": True},
    ),
}  # fmt: skip
BY_KIND = {one.kind: name for name, one in ARCHITECTURES.items() if name != "mistral"}
BY_KIND |= {"mistral": "llama", "gemma3": "gemma3"}


def to_published(
    tensors: Mapping[str, Tensor], of: Architecture, heads: int, key_heads: int, where: str
) -> dict[str, Tensor]:
    """Return tensors of GGUF under the names of the library transformers.

    Raises RunError naming all tensors that the architecture has not.
    """
    found: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, tensor in tensors.items():
        if name == ROPE_FACTORS:
            continue  # read with the sizes
        block = BLOCK.fullmatch(name)
        part, ending = block.group(2, 3) if block else name.rpartition(".")[::2]
        theirs = (of.inside if block else of.outside).get(part)
        if theirs is None or ending not in ("weight", "bias"):
            unknown.append(name[:60])
            continue
        if of.rotates_neighbours and part in ("attn_q", "attn_k"):
            count = heads if part == "attn_q" else key_heads
            tensor = tensor.unflatten(0, (count, -1, 2)).transpose(1, 2).flatten(0, 2)
        if of.norm_offset and part.endswith("norm"):
            tensor = tensor - of.norm_offset
        if part in of.transposed and tensor.ndim == 2:
            tensor = tensor.T
        place = f"{of.prefix}{of.layers}.{block.group(1)}." if block else ""
        found[f"{place}{theirs}.{ending}"] = tensor.contiguous()
    if unknown:
        raise RunError(
            "{where} holds tensors that are not of its architecture as triptych reads it: {names}"
            "{more}. A model with experts or adapters in GGUF is not read here; take the folder "
            "of the library transformers.",
            where=where, names=", ".join(unknown[:5]),
            more=f" and {len(unknown) - 5} more" if len(unknown) > 5 else "",
        )  # fmt: skip
    return found


def to_gguf(
    tensors: Mapping[str, Tensor], of: Architecture, heads: int, key_heads: int
) -> dict[str, Tensor]:
    """Return tensors of the library transformers under the names of GGUF.

    Raises RunError for a tensor without a name there.
    """
    outside = {theirs: ours for ours, theirs in of.outside.items()}
    inside = {theirs: ours for ours, theirs in of.inside.items()}
    pattern = re.compile(re.escape(of.prefix + of.layers) + r"\.([0-9]+)\.(.+)\.(weight|bias)")
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        block = pattern.fullmatch(name)
        theirs, ending = block.group(2, 3) if block else name.rpartition(".")[::2]
        part = (inside if block else outside).get(theirs)
        if part is None:
            raise RunError(
                "The tensor {name} has no name in GGUF's architecture {kind}.",
                name=name, kind=of.kind,
            )  # fmt: skip
        if of.rotates_neighbours and part in ("attn_q", "attn_k"):
            count = heads if part == "attn_q" else key_heads
            tensor = tensor.unflatten(0, (count, 2, -1)).transpose(1, 2).flatten(0, 2)
        if of.norm_offset and part.endswith("norm"):
            tensor = tensor + of.norm_offset
        if part in of.transposed and tensor.ndim == 2:
            tensor = tensor.T
        place = f"blk.{block.group(1)}." if block else ""
        found[f"{place}{part}.{ending}"] = tensor.contiguous()
    return found
