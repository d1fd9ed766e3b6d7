"""Read and write StarCoder2 as published (Lozhkov et al. 2024), and decoders that are like it.

It is the class of the library transformers with their parts: pre-norm blocks, a feed-forward
network of two layers, rotary positions. Presets decoder-small and decoder-tiny are such.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig, StackConfig
from .family import both
from .folding import with_scaled_rows
from .llama_like import ATTENTION, BLOCK, LAYER, Kin, Own, family
from .llama_like import refusals as refusals_of_kin
from .llama_like import write_config as write_config_of_kin
from .rules import Rename

if TYPE_CHECKING:
    from torch import Tensor

KIND = "starcoder2"


def _read(values: Mapping[str, object], problems: list[str]) -> Own:
    size, has_bias = values.get("sliding_window"), values.get("use_bias", True)
    if size is not None and (type(size) is not int or size < 1):
        problems.append(f"sliding_window is {brief(repr(size))}")
    if type(has_bias) is not bool:
        problems.append(f"use_bias is {brief(repr(has_bias))}, not true or false")
    embedded, dropped = (values.get(f"{one}_dropout", 0.0) for one in ("embedding", "residual"))
    if embedded != dropped:
        problems.append(f"embedding_dropout is {brief(repr(embedded))}, not {brief(repr(dropped))}")
    return {"attention_window": size, "bias": has_bias}


def _write(stack: StackConfig) -> Own:
    return {
        "embedding_dropout": stack.dropout,
        "sliding_window": stack.attention_window,
        "use_bias": stack.bias,
    }


KIN = Kin(
    kind=KIND,
    name="a StarCoder2",
    architecture="Starcoder2ForCausalLM",
    settings={"norm": "layer", "gated": False},
    shared={"tied_embeddings": True},
    defaults={
        "dropout": 0.0,
        "max_positions": 4096,
        "norm_epsilon": 1e-5,
        "activation": "gelu_pytorch_tanh",
    },
    keys={"dropout": "residual_dropout", "norm_epsilon": "norm_epsilon"},
    free=("bias", "attention_window"),
    read=_read,
    write=_write,
    layers=(
        *ATTENTION,
        *both(LAYER + "input_layernorm", BLOCK + "self_attention_norm.before"),
        *both(LAYER + "post_attention_layernorm", BLOCK + "feed_forward_norm.before"),
        *both(LAYER + "mlp.c_fc", BLOCK + "feed_forward.inner"),
        *both(LAYER + "mlp.c_proj", BLOCK + "feed_forward.output"),
        Rename("norm.bias", "decoder.final_norm.bias"),
    ),
    preset="decoder-small",
)


def is_tied(config: ModelConfig) -> bool:
    """Tell whether the output is the embedding as it is written."""
    return config.tied_embeddings and not config.embedding_scale


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a decoder is not a StarCoder2, with the expected values."""
    return refusals_of_kin(dataclasses.replace(config, embedding_scale=False), KIN)


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`; scaled embeddings are not tied."""
    plain = dataclasses.replace(config, embedding_scale=False, tied_embeddings=is_tied(config))
    return write_config_of_kin(plain, longest, tokenizer, KIN)


def prepared(tensors: Mapping[str, Tensor], config: ModelConfig, longest: int) -> dict[str, Tensor]:
    """Return our tensors as StarCoder2 computes with them: it has no scale of embeddings."""
    return dict(tensors) if is_tied(config) else with_scaled_rows(tensors, config)


FAMILY = dataclasses.replace(
    family(KIN),
    refusals=refusals,
    write_config=write_config,
    is_tied=is_tied,
    prepared=prepared,
)
