"""Read and write RoBERTa, XLM-R and CamemBERT as published: config.json and names of tensors.

RoBERTa (Liu et al. 2019) is a BERT with one segment, whose positions count from the row after the
padding's; XLM-R (Conneau et al. 2020) and CamemBERT (Martin et al. 2020) differ by their texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

from ..data.tokenizers.subwords import Tokenizer
from ..errors import RunError, brief
from ..model.config import ModelConfig
from . import bert
from .config_reader import differences
from .encoder_classes import classes, classifier_of_first_state, masked_of_roberta
from .family import Family

PADDING = 1  # the usual number of the padding token


def read_config(
    values: Mapping[str, object], where: str, problems: Sequence[str] = ()
) -> ModelConfig:
    """Read a config.json of model_type roberta, xlm-roberta or camembert.

    Raises RunError naming all values that are not supported, and the problems.
    """
    config = bert.read_config(values, where, problems=problems)
    padding = values.get("pad_token_id", PADDING)
    assert config.encoder is not None, "a BERT is an encoder"
    rows = config.encoder.max_positions
    if type(padding) is not int or not 0 <= padding < rows - 1:
        raise RunError(
            f"{where} has pad_token_id {brief(repr(padding))}; positions begin after it, so it "
            f"must be a number below {rows - 1:,}, of the {rows:,} positions."
        )
    stack = dataclasses.replace(config.encoder, first_position=padding + 1)
    return dataclasses.replace(config, encoder=stack)


def refusals(config: ModelConfig, free: Sequence[str] = ()) -> list[str]:
    """List the settings by which a model is not a RoBERTa, with expected values.

    A kin has any value of those dials that are `free`.
    """
    if config.encoder is None or config.encoder.first_position == 0:
        return [*bert.refusals(config, free=free), "encoder.first_position is 0 instead of 2"]
    plain = dataclasses.replace(config.encoder, first_position=0)
    own = differences(config.encoder, {"segments": 1}, "encoder.", alone=True)
    return bert.refusals(dataclasses.replace(config, encoder=plain), free=free) + own


def _write_config(
    config: ModelConfig, longest: int, tokenizer: Tokenizer, kind: str
) -> dict[str, object]:
    assert config.encoder is not None, "a RoBERTa is an encoder"
    padding = config.encoder.first_position - 1
    return {**bert.written(config, kind, bert.KEYS), "pad_token_id": padding}


def _family(kind: str, name: str, prefix: str) -> Family:
    """Return one of the three, whose classes have names that begin with `prefix`."""
    return Family(
        name=name,
        kinds=(kind,),
        architecture="encoder",
        preset="bert-base",
        prefix="roberta.",
        classes=classes(
            prefix,
            masked=masked_of_roberta(prefix, "roberta."),
            classifier=classifier_of_first_state(prefix),
        ),
        read_config=read_config,
        refusals=refusals,
        write_config=partial(_write_config, kind=kind),
        body=bert.body,
    )


FAMILY = _family("roberta", "a RoBERTa", "Roberta")
XLM = _family("xlm-roberta", "an XLM-R", "XLMRoberta")
CAMEMBERT = _family("camembert", "a CamemBERT", "Camembert")
