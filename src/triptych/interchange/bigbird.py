"""Read and write BigBird as published (Zaheer et al. 2020): config.json and names of tensors.

It is a BERT whose attention is block-sparse, for texts of up to 4,096 tokens. As in the library
transformers, a text of few blocks has full attention.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..messages import message
from ..model.config import ModelConfig
from . import bert
from .encoder_classes import AS_MODEL, classes, classifier_of_first_state, masked_of_bert
from .family import ABSTENTION, NO_MATCHES, Family, PublishedClass, both

if TYPE_CHECKING:
    from torch import Tensor

KIND = "big_bird"
DEFAULTS: dict[str, object] = {**bert.DEFAULTS, "activation": "gelu_new", "max_positions": 4096}
SIZES = {"size": ("block_size", 64), "random": ("num_random_blocks", 3)}
FULL, SPARSE = "original_full", "block_sparse"
NO_BIAS = [False, False, False, True]  # of queries, keys and values


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type big_bird.

    Raises RunError naming all values that are not supported.
    """
    kind = values.get("attention_type", SPARSE)
    problems: list[str] = []
    if kind not in (FULL, SPARSE):
        problems = [f"attention_type is {brief(repr(kind))}, not {FULL} or {SPARSE}"]
    blocks: dict[str, int] = {}
    for (dial, (key, usual)), least in zip(SIZES.items(), (1, 0), strict=True):
        given = values.get(key, usual)
        if type(given) is not int or given < least:
            problems.append(f"{key} is {brief(repr(given))}")
        else:
            blocks[dial] = given
    for key in ("use_bias", "rescale_embeddings"):
        if type(values.get(key, False)) is not bool:
            problems.append(f"{key} is {brief(repr(values[key]))}")
    config = bert.read_config(values, where, defaults=DEFAULTS, problems=problems)
    assert config.encoder is not None, "a BigBird is an encoder"
    stack = dataclasses.replace(
        config.encoder,
        attention_blocks=blocks if kind == SPARSE else None,
        attention_biases=None if values.get("use_bias", True) else NO_BIAS,
    )
    return dataclasses.replace(
        config, encoder=stack, embedding_scale=values.get("rescale_embeddings") is True
    )


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not a BigBird, with expected values."""
    free = ["attention_blocks", "embedding_scale"]
    stack = config.encoder
    found: list[str] = []
    if stack is not None and stack.attention_biases == NO_BIAS:
        free.append("attention_biases")
    if stack is not None and "seed" in (stack.attention_blocks or {}):
        found = [message("{key} draws blocks", key="encoder.attention_blocks.seed")]
    return [*bert.refusals(config, free=free), *found]


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    assert config.encoder is not None, "a BigBird is an encoder"
    blocks = config.encoder.attention_blocks
    sizes = {key: (blocks or {}).get(dial, usual) for dial, (key, usual) in SIZES.items()}
    return {
        **bert.written(config, KIND, bert.KEYS),
        **({} if blocks is None else sizes),
        "attention_type": FULL if blocks is None else SPARSE,
        "use_bias": config.encoder.attention_biases is None,
        "rescale_embeddings": config.embedding_scale,
        "sep_token_id": tokenizer.end_id,
    }


def _constants(config: ModelConfig, chosen: PublishedClass, longest: int) -> dict[str, Tensor]:
    """Return the pooler that classes with a head hold and do not use."""
    import torch

    if chosen.head not in ("masked-tokens", "classifier", "tagger"):
        return {}
    assert config.encoder is not None, "a BigBird is an encoder"
    width = config.encoder.width
    return {
        "bert.pooler.weight": torch.zeros(width, width),
        "bert.pooler.bias": torch.zeros(width),
    }


FAMILY = Family(
    name="a BigBird",
    kinds=(KIND,),
    architecture="encoder",
    preset="bert-base",
    prefix="bert.",
    classes=classes(
        "BigBird",
        masked=masked_of_bert("BigBird", "bert."),
        classifier=classifier_of_first_state("BigBird", dials=AS_MODEL),
        span=PublishedClass(
            architecture="BigBirdForQuestionAnswering",
            head="span",
            rules=(
                *both("qa_classifier.intermediate.dense", "head.layer.feed_forward.inner"),
                *both("qa_classifier.output.dense", "head.layer.feed_forward.output"),
                *both("qa_classifier.output.LayerNorm", "head.layer.feed_forward_norm.after"),
                *both("qa_classifier.qa_outputs", "head.span"),
                *ABSTENTION,
            ),
            options={"head_layer": "feed_forward"},
            without=NO_MATCHES,
        ),
        pooler=both("pooler", "head.pooler"),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=bert.body,
    ignored=("cls.seq_relationship.weight", "cls.seq_relationship.bias"),
    has_segments=True,
    constants=_constants,
)
