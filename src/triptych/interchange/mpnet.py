"""Read and write MPNet as published (Song et al. 2020): config.json and names of tensors.

It is a RoBERTa without segments that also learns a bias for each distance, as T5 does, which all
blocks share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..model.config import ModelConfig
from ..model.dials import RELATIVE_BUCKETS
from . import bert, roberta
from .encoder_classes import classes, classifier_of_first_state, masked_of_roberta
from .family import Family, both
from .rules import Rename, Rule

KIND = "mpnet"
KEYS = {dial: key for dial, key in bert.KEYS.items() if dial != "segments"}
DEFAULTS = {dial: value for dial, value in bert.DEFAULTS.items() if dial != "segments"}
# The class takes 1 for the padding's number, whatever config.json says.
PLAIN: dict[str, object] = {
    **bert.PLAIN,
    "relative_attention_num_buckets": RELATIVE_BUCKETS,
    "pad_token_id": roberta.PADDING,
}
DIALS: dict[str, object] = {
    "segments": 0,
    "relative_bias": True,
    "first_position": roberta.PADDING + 1,
}


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type mpnet.

    Raises RunError naming all values that are not supported.
    """
    config = bert.read_config(values, where, KEYS, DEFAULTS, PLAIN)
    assert config.encoder is not None, "an MPNet is an encoder"
    return dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, **DIALS))


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not an MPNet, with expected values."""
    return bert.refusals(config, DIALS)


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    return {**bert.written(config, KIND, KEYS), "pad_token_id": roberta.PADDING}


# Names of tensors ---------------------------------------------------------------------------------

_BLOCK, _LAYER = "encoder.blocks.{i}.", "encoder.layer.{i}."
BODY: tuple[Rule, ...] = (
    *bert.ENTRANCE,
    Rename("encoder.relative_attention_bias.weight", "encoder.position_bias.weight"),
    *both(_LAYER + "attention.attn.q", _BLOCK + "self_attention.query"),
    *both(_LAYER + "attention.attn.k", _BLOCK + "self_attention.key"),
    *both(_LAYER + "attention.attn.v", _BLOCK + "self_attention.value"),
    *both(_LAYER + "attention.attn.o", _BLOCK + "self_attention.output"),
    *both(_LAYER + "attention.LayerNorm", _BLOCK + "self_attention_norm.after"),
    *both(_LAYER + "intermediate.dense", _BLOCK + "feed_forward.inner"),
    *both(_LAYER + "output.dense", _BLOCK + "feed_forward.output"),
    *both(_LAYER + "output.LayerNorm", _BLOCK + "feed_forward_norm.after"),
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embeddings and the blocks."""
    return BODY


FAMILY = Family(
    name="an MPNet",
    kinds=(KIND,),
    architecture="encoder",
    preset="bert-base",
    prefix="mpnet.",
    classes=classes(
        "MPNet",
        masked=masked_of_roberta("MPNet", "mpnet."),
        classifier=classifier_of_first_state("MPNet"),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
)
