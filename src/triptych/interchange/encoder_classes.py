"""The classes of published encoders that differ only by their heads' names and activations."""

from __future__ import annotations

from collections.abc import Mapping

from .family import (
    ABSTENTION,
    CALIBRATION,
    FIRST_PIECE,
    FIRST_STATE,
    NO_CHAIN,
    NO_MATCHES,
    PublishedClass,
    both,
)
from .rules import Rename, Rule, Tie

TWO_LAYERS: tuple[Rule, ...] = (
    *both("classifier.dense", "head.dense"),
    *both("classifier.out_proj", "head.project"),
)
POOLER = both("pooler.dense", "head.pooler")  # of the first state (Devlin et al. 2018, section 3.1)
AS_MODEL: Mapping[str, str] = {"activation": "activation"}  # a head's activation is the model's


def classes(
    name: str,
    *,
    masked: PublishedClass | None,
    classifier: PublishedClass,
    span: PublishedClass | None = None,
    others: tuple[PublishedClass, ...] = (),
    pooler: tuple[Rule, ...] = POOLER,
) -> tuple[PublishedClass, ...]:
    """Return the classes of a family, whose names begin with `name`; the base is the last.

    others: Further classes of the same heads.
    """
    tagger = PublishedClass(
        architecture=f"{name}ForTokenClassification",
        head="tagger",
        rules=both("classifier", "head.output"),
        options=FIRST_PIECE,
        without=NO_CHAIN,
    )
    usual = PublishedClass(
        architecture=f"{name}ForQuestionAnswering",
        head="span",
        rules=(*both("qa_outputs", "head.span"), *ABSTENTION),
        without=NO_MATCHES,
    )
    base = PublishedClass(architecture=f"{name}Model", head="pooling", prefix=False, body=pooler)
    heads = () if masked is None else (masked,)
    return (*heads, classifier, *others, tagger, span or usual, base)


def masked_of_bert(name: str, prefix: str) -> PublishedClass:
    """Return the class for masked words with BERT's head, whose activation is the model's."""
    theirs = "cls.predictions."
    return PublishedClass(
        architecture=f"{name}ForMaskedLM",
        head="masked-tokens",
        dials=AS_MODEL,
        rules=(
            *both(f"{theirs}transform.dense", "head.transform"),
            *both(f"{theirs}transform.LayerNorm", "head.norm"),
            Rename(f"{theirs}bias", "head.bias"),
            Tie(f"{theirs}decoder.weight", f"{prefix}embeddings.word_embeddings.weight"),
            Tie(f"{theirs}decoder.bias", f"{theirs}bias"),
        ),
    )


def masked_of_roberta(name: str, prefix: str) -> PublishedClass:
    """Return the class for masked words with RoBERTa's head, whose activation is GELU."""
    return PublishedClass(
        architecture=f"{name}ForMaskedLM",
        head="masked-tokens",
        rules=(
            *both("lm_head.dense", "head.transform"),
            *both("lm_head.layer_norm", "head.norm"),
            Rename("lm_head.bias", "head.bias"),
            Tie("lm_head.decoder.weight", f"{prefix}embeddings.word_embeddings.weight"),
            Tie("lm_head.decoder.bias", "lm_head.bias"),
        ),
    )


def classifier_of_first_state(
    name: str,
    rules: tuple[Rule, ...] = TWO_LAYERS,
    body: tuple[Rule, ...] = (),
    *,
    activation: str = "tanh",
    dials: Mapping[str, str] | None = None,
) -> PublishedClass:
    """Return the class for classification by a dense layer over the first state."""
    return PublishedClass(
        architecture=f"{name}ForSequenceClassification",
        head="classifier",
        body=body,
        rules=(*rules, *CALIBRATION),
        options={**FIRST_STATE, "activation": activation},
        dials=dials or {},
    )
