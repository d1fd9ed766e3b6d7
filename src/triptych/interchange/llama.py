"""Read and write Llama as published: config.json and the names of tensors.

Its sizes are with those of its family in `presets/gpt.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig, StackConfig
from .config_reader import (
    FamilySettings,
    differences,
    read_settings,
    vocabulary_size,
    written_settings,
)
from .family import Family, PublishedClass
from .rules import Ignore, Rename, Rule

KIND, ARCHITECTURE, PRESET, PREFIX = "llama", "LlamaForCausalLM", "llama-small", "model."
KEYS = {  # setting -> key of config.json
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "key_heads": "num_key_value_heads",
    "inner_width": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "attention_dropout": "attention_dropout",
    "norm_epsilon": "rms_norm_eps",
    "activation": "hidden_act",
    "rotary_base": "rope_theta",
}
DEFAULTS: dict[str, str | float] = {
    "max_positions": 2048,
    "attention_dropout": 0.0,
    "norm_epsilon": 1e-6,
    "activation": "silu",
    "rotary_base": 10000.0,
}
# Keys without a setting here, with the only value that is supported.
PLAIN: dict[str, object] = {"rope_scaling": None, "quantization_config": None}
SETTINGS: FamilySettings = {  # the settings of a Llama (Touvron et al. 2023, section 2.2)
    "positions": "rotary",
    "norm_placement": "pre",
    "norm": "rms",
    "gated": True,
    "embedding_norm": False,
    "segments": 0,
    "inner_dropout": 0.0,
}


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type llama.

    Raises RunError naming all values that are not supported.
    """
    width, heads, turned = (
        values.get("hidden_size"),
        values.get("num_attention_heads"),
        values.get("rope_parameters") or {},
    )
    problems = []
    if not isinstance(turned, Mapping):
        problems, turned = [f"rope_parameters is {brief(repr(turned))}"], {}
    if turned.get("rope_type", "default") != "default":
        problems.append(
            f"rope_parameters.rope_type is {brief(repr(turned['rope_type']))}, not 'default'"
        )
    if (
        type(width) is int
        and type(heads) is int
        and heads > 0
        and not _head_fits(values.get("head_dim"), width, heads)
    ):
        problems.append(
            f"head_dim {brief(repr(values.get('head_dim')))} times {heads} heads is not "
            f"hidden_size {width}"
        )
    biases = bool(values.get("attention_bias")), bool(values.get("mlp_bias"))
    if biases[0] != biases[1]:
        problems.append(
            f"attention_bias is {biases[0]} and mlp_bias is {biases[1]}; they must be the same"
        )
    given = {**values, "num_key_value_heads": values.get("num_key_value_heads") or heads}
    if "rope_theta" in turned:
        given["rope_theta"] = turned["rope_theta"]
    settings = read_settings(given, where, KEYS, DEFAULTS, PLAIN, problems)
    return ModelConfig(
        decoder=StackConfig(**SETTINGS, **settings, bias=biases[0], dropout=0.0),
        vocabulary_size=vocabulary_size(values),
        embedding_scale=False,
        tied_embeddings=values.get("tie_word_embeddings") is True,
    )


def _head_fits(given: object, width: int, heads: int) -> bool:
    """Tell whether the heads' width, given or derived, times their number is the model's width."""
    return (given if type(given) is int and given else width // heads) * heads == width and (
        given is None or type(given) is int
    )


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a decoder is not a Llama, with the expected values."""
    assert config.decoder is not None, "only decoder-only models are written as Llama"
    return differences(config.decoder, SETTINGS, "decoder.") + differences(
        config, {"embedding_scale": False, "output_bias": False}
    )


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`.

    longest: the number of tokens that it was trained to read.
    """
    stack = config.decoder
    assert stack is not None and not refusals(config), "the model has settings without a key"
    return {
        "model_type": KIND,
        "vocab_size": config.vocabulary_size,
        **written_settings(stack, KEYS),
        "num_key_value_heads": stack.key_heads or stack.heads,
        "max_position_embeddings": max(longest, stack.max_positions),
        "rope_parameters": {"rope_theta": stack.rotary_base, "rope_type": "default"},
        "attention_bias": stack.bias,
        "mlp_bias": stack.bias,
        "tie_word_embeddings": config.tied_embeddings,
        "dtype": "float32",
    }


# Names of tensors ---------------------------------------------------------------------------------

_BLOCK = "decoder.blocks.{i}."


def _layer(theirs: str, ours: str) -> tuple[Rule, ...]:
    return tuple(
        Rename(f"layers.{{i}}.{theirs}.{part}", f"{_BLOCK}{ours}.{part}")
        for part in ("weight", "bias")
    )


BODY: tuple[Rule, ...] = (
    Rename("embed_tokens.weight", "embedding.weight"),
    Rename("layers.{i}.input_layernorm.weight", _BLOCK + "self_attention_norm.before.weight"),
    *_layer("self_attn.q_proj", "self_attention.query"),
    *_layer("self_attn.k_proj", "self_attention.key"),
    *_layer("self_attn.v_proj", "self_attention.value"),
    *_layer("self_attn.o_proj", "self_attention.output"),
    Rename(
        "layers.{i}.post_attention_layernorm.weight", _BLOCK + "feed_forward_norm.before.weight"
    ),
    *_layer("mlp.gate_proj", "feed_forward.gate"),
    *_layer("mlp.up_proj", "feed_forward.inner"),
    *_layer("mlp.down_proj", "feed_forward.output"),
    Rename("norm.weight", "decoder.final_norm.weight"),
    Ignore(
        "layers.{i}.self_attn.rotary_emb.inv_freq", "which follows from the base of the rotations"
    ),
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embedding and the blocks."""
    return BODY


FAMILY = Family(
    name="a Llama",
    kinds=(KIND,),
    architecture="decoder",
    preset=PRESET,
    prefix=PREFIX,
    classes=(PublishedClass(architecture=ARCHITECTURE, head="tokens"),),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    output=("lm_head.weight", "embed_tokens.weight"),
)
