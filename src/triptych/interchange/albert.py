"""Read and write ALBERT as published (Lan et al. 2020): config.json and names of tensors.

It is a BERT of one block that is computed again and again, with narrower embeddings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..model.config import ModelConfig
from . import bert
from .electra import embedding_size
from .encoder_classes import AS_MODEL, classes, classifier_of_first_state
from .family import Family, PublishedClass, both
from .rules import Rename, Rule, Tie

KIND = "albert"
DEFAULTS: dict[str, object] = {
    **bert.DEFAULTS,
    "activation": "gelu_new",
    "dropout": 0.0,
    "attention_dropout": 0.0,
}
ONE_BLOCK: dict[str, object] = {"num_hidden_groups": 1, "inner_group_num": 1}
PLAIN = {key: value for key, value in bert.PLAIN.items() if key != "embedding_size"} | ONE_BLOCK


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type albert.

    Raises RunError naming all values that are not supported.
    """
    problems: list[str] = []
    width = embedding_size(values, problems)
    config = bert.read_config(values, where, defaults=DEFAULTS, plain=PLAIN, problems=problems)
    assert config.encoder is not None, "an ALBERT is an encoder"
    stack = dataclasses.replace(config.encoder, shared_layers=True)
    return dataclasses.replace(config, encoder=stack, embedding_width=width)


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not an ALBERT, with expected values."""
    found = bert.refusals(config, {"shared_layers": True}, ("embedding_width",))
    return [*found, *(["embedding_width is None"] if config.embedding_width is None else [])]


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    return {
        **bert.written(config, KIND, bert.KEYS),
        **ONE_BLOCK,
        "embedding_size": config.embedding_width,
    }


# Names of tensors ---------------------------------------------------------------------------------

_LAYER, _BLOCK = "encoder.albert_layer_groups.0.albert_layers.0.", "encoder.blocks.0."
BODY: tuple[Rule, ...] = (
    *bert.ENTRANCE,
    bert.SEGMENTS,
    *both("encoder.embedding_hidden_mapping_in", "encoder_entrance.projection"),
    *both(_LAYER + "attention.query", _BLOCK + "self_attention.query"),
    *both(_LAYER + "attention.key", _BLOCK + "self_attention.key"),
    *both(_LAYER + "attention.value", _BLOCK + "self_attention.value"),
    *both(_LAYER + "attention.dense", _BLOCK + "self_attention.output"),
    *both(_LAYER + "attention.LayerNorm", _BLOCK + "self_attention_norm.after"),
    *both(_LAYER + "ffn", _BLOCK + "feed_forward.inner"),
    *both(_LAYER + "ffn_output", _BLOCK + "feed_forward.output"),
    *both(_LAYER + "full_layer_layer_norm", _BLOCK + "feed_forward_norm.after"),
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embeddings and the block."""
    return BODY


FAMILY = Family(
    name="an ALBERT",
    kinds=(KIND,),
    architecture="encoder",
    preset="bert-base",
    prefix="albert.",
    classes=classes(
        "Albert",
        masked=PublishedClass(
            architecture="AlbertForMaskedLM",
            head="masked-tokens",
            dials=AS_MODEL,
            rules=(
                *both("predictions.dense", "head.transform"),
                *both("predictions.LayerNorm", "head.norm"),
                Rename("predictions.bias", "head.bias"),
                Tie("predictions.decoder.weight", "albert.embeddings.word_embeddings.weight"),
                Tie("predictions.decoder.bias", "predictions.bias"),
            ),
        ),
        classifier=classifier_of_first_state(
            "Albert", both("classifier", "head.project"), both("pooler", "head.dense")
        ),
        pooler=both("pooler", "head.pooler"),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    ignored=("sop_classifier.classifier.weight", "sop_classifier.classifier.bias"),
    has_segments=True,
)
