"""Read and write GPT-2 as published: config.json and the names of tensors.

Its sizes are with those of its family in `presets/gpt.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..model.config import ModelConfig, StackConfig
from .config_reader import (
    FamilySettingsWithBias,
    differences,
    read_settings,
    vocabulary_size,
    written_settings,
)
from .family import Family, PublishedClass, both
from .rules import Ignore, Rename, Rule, Split

KIND, ARCHITECTURE, PRESET, PREFIX = "gpt2", "GPT2LMHeadModel", "gpt2", "transformer."
KEYS = {  # setting -> key of config.json
    "layers": "n_layer",
    "width": "n_embd",
    "heads": "n_head",
    "inner_width": "n_inner",
    "max_positions": "n_positions",
    "dropout": "resid_pdrop",
    "attention_dropout": "attn_pdrop",
    "norm_epsilon": "layer_norm_epsilon",
    "activation": "activation_function",
}
DEFAULTS: dict[str, str | float] = {
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "norm_epsilon": 1e-5,
    "activation": "gelu_new",
}
PLAIN: dict[str, object] = {  # keys without a setting here, with the only value that is supported
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "quantization_config": None,
}
SETTINGS: FamilySettingsWithBias = {  # the settings of a GPT-2 (Radford et al. 2019, section 2.3)
    "positions": "learned",
    "norm_placement": "pre",
    "norm": "layer",
    "gated": False,
    "bias": True,
    "embedding_norm": False,
    "segments": 0,
    "inner_dropout": 0.0,
}


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type gpt2.

    Raises RunError naming all values that are not supported.
    """
    width = values.get("n_embd")
    inner = values.get("n_inner") or (4 * width if type(width) is int else 1)
    embedded, dropped = values.get("embd_pdrop", 0.1), values.get("resid_pdrop", 0.1)
    problems = (
        [f"embd_pdrop is {embedded!r}, not {dropped!r} as resid_pdrop"]
        if embedded != dropped
        else []
    )
    settings = read_settings({**values, "n_inner": inner}, where, KEYS, DEFAULTS, PLAIN, problems)
    return ModelConfig(
        decoder=StackConfig(**SETTINGS, **settings),
        vocabulary_size=vocabulary_size(values),
        embedding_scale=False,
        tied_embeddings=values.get("tie_word_embeddings") is not False,
    )


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a decoder is not a GPT-2, with the expected values."""
    stack = config.decoder
    assert stack is not None, "only decoder-only models are written as GPT-2"
    found = differences(stack, SETTINGS, "decoder.")
    if (stack.key_heads or stack.heads) != stack.heads:
        found.append(f"decoder.key_heads is {stack.key_heads} instead of {stack.heads}")
    return found + differences(config, {"embedding_scale": False, "output_bias": False})


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    stack = config.decoder
    assert stack is not None and not refusals(config), "the model has settings without a key"
    return {
        "model_type": KIND,
        "vocab_size": config.vocabulary_size,
        **written_settings(stack, KEYS),
        "embd_pdrop": stack.dropout,
        "tie_word_embeddings": config.tied_embeddings,
        "dtype": "float32",
    }


# Names of tensors ---------------------------------------------------------------------------------

_BLOCK = "decoder.blocks.{i}."
_PARTS = tuple(f"{_BLOCK}self_attention.{part}" for part in ("query", "key", "value"))


BODY: tuple[Rule, ...] = (  # GPT-2 stores its linear maps as (inputs, outputs)
    Rename("wte.weight", "embedding.weight"),
    Rename("wpe.weight", "decoder_entrance.positions.weight"),
    *both("h.{i}.ln_1", _BLOCK + "self_attention_norm.before"),
    Split("h.{i}.attn.c_attn.weight", tuple(f"{part}.weight" for part in _PARTS), transpose=True),
    Split("h.{i}.attn.c_attn.bias", tuple(f"{part}.bias" for part in _PARTS)),
    *both("h.{i}.attn.c_proj", _BLOCK + "self_attention.output", transpose=True),
    *both("h.{i}.ln_2", _BLOCK + "feed_forward_norm.before"),
    *both("h.{i}.mlp.c_fc", _BLOCK + "feed_forward.inner", transpose=True),
    *both("h.{i}.mlp.c_proj", _BLOCK + "feed_forward.output", transpose=True),
    *both("ln_f", "decoder.final_norm"),
    Ignore("h.{i}.attn.bias", "which is the causal mask"),
    Ignore("h.{i}.attn.masked_bias", "which is the causal mask"),
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embedding and the blocks."""
    return BODY


FAMILY = Family(
    name="a GPT-2",
    kinds=(KIND,),
    architecture="decoder",
    preset=PRESET,
    prefix=PREFIX,
    classes=(PublishedClass(architecture=ARCHITECTURE, head="tokens"),),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    output=("lm_head.weight", "wte.weight"),
)
