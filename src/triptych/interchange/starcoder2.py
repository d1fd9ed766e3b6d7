"""Write decoders with rotary positions and layer norms as StarCoder2 (Lozhkov et al. 2024).

It is the class of the library transformers with their parts: pre-norm blocks, biases everywhere, a
feed-forward network of two layers, rotary positions. Presets decoder-small and decoder-tiny are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..data.tokenizers.subwords import Tokenizer
from ..model.config import ModelConfig
from .config_reader import FamilySettingsWithBias, differences, written_settings
from .family import Family, PublishedClass, both
from .folding import with_scaled_rows
from .rules import Rename, Rule

if TYPE_CHECKING:
    from torch import Tensor

KIND, ARCHITECTURE, PREFIX = "starcoder2", "Starcoder2ForCausalLM", "model."
KEYS = {  # setting -> key of config.json
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "inner_width": "intermediate_size",
    "dropout": "residual_dropout",
    "attention_dropout": "attention_dropout",
    "norm_epsilon": "norm_epsilon",
    "activation": "hidden_act",
    "bias": "use_bias",
}
SETTINGS: FamilySettingsWithBias = {
    "positions": "rotary",
    "norm_placement": "pre",
    "norm": "layer",
    "gated": False,
    "embedding_norm": False,
    "segments": 0,
    "inner_dropout": 0.0,
    "bias": True,
}


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a decoder is not a StarCoder2, with the expected values."""
    assert config.decoder is not None, "only decoder-only models are written as StarCoder2"
    return differences(config.decoder, SETTINGS, "decoder.") + differences(
        config, {"output_bias": False}
    )


def is_tied(config: ModelConfig) -> bool:
    """Tell whether the output is the embedding as it is written."""
    return config.tied_embeddings and not config.embedding_scale


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
        "embedding_dropout": stack.dropout,
        "max_position_embeddings": max(longest, stack.max_positions),
        "rope_parameters": {"rope_theta": stack.rotary_base, "rope_type": "default"},
        "sliding_window": None,
        "tie_word_embeddings": is_tied(config),
        "dtype": "float32",
    }


def prepared(tensors: Mapping[str, Tensor], config: ModelConfig, longest: int) -> dict[str, Tensor]:
    """Return our tensors as StarCoder2 computes with them: it has no scale of embeddings."""
    return dict(tensors) if is_tied(config) else with_scaled_rows(tensors, config)


# Names of tensors ---------------------------------------------------------------------------------

_BLOCK = "decoder.blocks.{i}."


BODY: tuple[Rule, ...] = (
    Rename("embed_tokens.weight", "embedding.weight"),
    *both("layers.{i}.input_layernorm", _BLOCK + "self_attention_norm.before"),
    *both("layers.{i}.self_attn.q_proj", _BLOCK + "self_attention.query"),
    *both("layers.{i}.self_attn.k_proj", _BLOCK + "self_attention.key"),
    *both("layers.{i}.self_attn.v_proj", _BLOCK + "self_attention.value"),
    *both("layers.{i}.self_attn.o_proj", _BLOCK + "self_attention.output"),
    *both("layers.{i}.post_attention_layernorm", _BLOCK + "feed_forward_norm.before"),
    *both("layers.{i}.mlp.c_fc", _BLOCK + "feed_forward.inner"),
    *both("layers.{i}.mlp.c_proj", _BLOCK + "feed_forward.output"),
    *both("norm", "decoder.final_norm"),
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embedding and the blocks."""
    return BODY


FAMILY = Family(
    name="a StarCoder2",
    kinds=(KIND,),
    architecture="decoder",
    preset="decoder-small",
    prefix=PREFIX,
    classes=(PublishedClass(architecture=ARCHITECTURE, head="tokens"),),
    refusals=refusals,
    write_config=write_config,
    body=body,
    output=("lm_head.weight", "embed_tokens.weight"),
    is_tied=is_tied,
    prepared=prepared,
)
