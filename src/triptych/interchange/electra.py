"""Read and write ELECTRA as published (Clark et al. 2020): config.json and names of tensors.

It is a BERT whose embeddings may be narrower than its states. The generator predicts masked words;
the discriminator, which is the model that is used, has a head that has no task here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig
from . import bert
from .encoder_classes import classes, classifier_of_first_state
from .family import Family, PublishedClass, both
from .rules import Rename, Rule, Tie

KIND = "electra"
EMBEDDING = 128  # usual value of embedding_size
PLAIN = {key: value for key, value in bert.PLAIN.items() if key != "embedding_size"}


def embedding_size(values: Mapping[str, object], problems: list[str]) -> int:
    """Return the width of the embeddings, or add a problem."""
    given = values.get("embedding_size", EMBEDDING)
    if type(given) is int and given > 0:
        return given
    problems.append(f"embedding_size is {brief(repr(given))}")
    return EMBEDDING


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type electra.

    Raises RunError naming all values that are not supported.
    """
    problems: list[str] = []
    width = embedding_size(values, problems)
    config = bert.read_config(values, where, plain=PLAIN, problems=problems)
    is_narrow = width != values["hidden_size"]
    return dataclasses.replace(config, embedding_width=width if is_narrow else None)


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not an ELECTRA, with expected values."""
    return bert.refusals(config, free=("embedding_width",))


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    assert config.encoder is not None, "an ELECTRA is an encoder"
    width = config.embedding_width or config.encoder.width
    return {**bert.written(config, KIND, bert.KEYS), "embedding_size": width}


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embeddings and the blocks."""
    narrow = both("embeddings_project", "encoder_entrance.projection")
    return (*bert.body(config), *(narrow if config.embedding_width else ()))


FAMILY = Family(
    name="an ELECTRA",
    kinds=(KIND,),
    architecture="encoder",
    preset="bert-base",
    prefix="electra.",
    classes=classes(
        "Electra",
        masked=PublishedClass(
            architecture="ElectraForMaskedLM",
            head="masked-tokens",
            rules=(
                *both("generator_predictions.dense", "head.transform"),
                *both("generator_predictions.LayerNorm", "head.norm"),
                Rename("generator_lm_head.bias", "head.bias"),
                Tie("generator_lm_head.weight", "electra.embeddings.word_embeddings.weight"),
            ),
        ),
        classifier=classifier_of_first_state("Electra", activation="gelu"),
        pooler=(),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    ignored=tuple(
        f"discriminator_predictions.{part}.{kind}"
        for part in ("dense", "dense_prediction")
        for kind in ("weight", "bias")
    ),
    has_segments=True,
)
