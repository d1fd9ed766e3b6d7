"""Read and write DistilBERT as published (Sanh et al. 2019): config.json and names of tensors.

It is a BERT without segments and pooler. Its sizes are in `presets/bert.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..model.config import ModelConfig, StackConfig
from . import bert
from .config_reader import differences, read_settings, vocabulary_size
from .family import (
    ABSTENTION,
    CALIBRATION,
    FIRST_PIECE,
    FIRST_STATE,
    NO_CHAIN,
    NO_MATCHES,
    Family,
    PublishedClass,
    both,
)
from .rules import Rename, Rule, Tie

KIND = "distilbert"
KEYS = {  # setting -> key of config.json
    "layers": "n_layers",
    "width": "dim",
    "heads": "n_heads",
    "inner_width": "hidden_dim",
    "max_positions": "max_position_embeddings",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation": "activation",
}
NORM_EPSILON = 1e-12  # config.json has no key for another value


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type distilbert.

    Raises RunError naming all values that are not supported.
    """
    settings = read_settings(values, where, KEYS, bert.DEFAULTS, bert.PLAIN)
    stack = StackConfig(
        positions="learned", embedding_norm=True, norm_epsilon=NORM_EPSILON, **settings
    )
    return ModelConfig(
        encoder=stack, vocabulary_size=vocabulary_size(values), embedding_scale=False
    )


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not a DistilBERT, with expected values."""
    if config.encoder is None or config.decoder is not None:
        return bert.refusals(config)
    own = {"segments": 0, "norm_epsilon": NORM_EPSILON}
    return bert.refusals(config) + differences(config.encoder, own, "encoder.", alone=True)


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    return bert.written(config, KIND, KEYS)


# Names of tensors ---------------------------------------------------------------------------------

_BLOCK = "encoder.blocks.{i}."
BLOCKS: tuple[Rule, ...] = (
    *both("transformer.layer.{i}.attention.q_lin", _BLOCK + "self_attention.query"),
    *both("transformer.layer.{i}.attention.k_lin", _BLOCK + "self_attention.key"),
    *both("transformer.layer.{i}.attention.v_lin", _BLOCK + "self_attention.value"),
    *both("transformer.layer.{i}.attention.out_lin", _BLOCK + "self_attention.output"),
    *both("transformer.layer.{i}.sa_layer_norm", _BLOCK + "self_attention_norm.after"),
    *both("transformer.layer.{i}.ffn.lin1", _BLOCK + "feed_forward.inner"),
    *both("transformer.layer.{i}.ffn.lin2", _BLOCK + "feed_forward.output"),
    *both("transformer.layer.{i}.output_layer_norm", _BLOCK + "feed_forward_norm.after"),
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embeddings and the blocks."""
    return (*bert.ENTRANCE, *BLOCKS)


FAMILY = Family(
    name="a DistilBERT",
    kinds=(KIND,),
    architecture="encoder",
    preset="distilbert-base",
    prefix="distilbert.",
    classes=(
        PublishedClass(
            architecture="DistilBertForMaskedLM",
            head="masked-tokens",
            dials={"activation": "activation"},
            rules=(
                *both("vocab_transform", "head.transform"),
                *both("vocab_layer_norm", "head.norm"),
                Rename("vocab_projector.bias", "head.bias"),
                Tie("vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"),
            ),
        ),
        PublishedClass(
            architecture="DistilBertForSequenceClassification",
            head="classifier",
            rules=(
                *both("pre_classifier", "head.dense"),
                *both("classifier", "head.project"),
                *CALIBRATION,
            ),
            options={**FIRST_STATE, "activation": "relu"},
        ),
        PublishedClass(
            architecture="DistilBertForTokenClassification",
            head="tagger",
            rules=both("classifier", "head.output"),
            options=FIRST_PIECE,
            without=NO_CHAIN,
        ),
        PublishedClass(
            architecture="DistilBertForQuestionAnswering",
            head="span",
            rules=(*both("qa_outputs", "head.span"), *ABSTENTION),
            without=NO_MATCHES,
        ),
        PublishedClass(architecture="DistilBertModel", head="pooling", prefix=False),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
)
