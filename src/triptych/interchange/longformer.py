"""Read and write Longformer as published (Beltagy et al. 2020): config.json and names of tensors.

It is a RoBERTa whose tokens see a window, of which the classes let some see everything: the first
token for classification, a question for answers, and none for others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig
from . import bert, roberta
from .encoder_classes import classes, classifier_of_first_state, masked_of_roberta
from .family import Family, both
from .rules import Rule

KIND = "longformer"
WINDOW = 512  # usual value of attention_window
GLOBALS = {"classifier": "first", "span": "question"}  # by head
OWN = ("attention_window", "attention_globals", "by_block")


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type longformer.

    Raises RunError naming all values that are not supported.
    """
    given = values.get("attention_window", WINDOW)
    layers = values.get("num_hidden_layers")
    windows = given if isinstance(given, list) else [given]
    problems: list[str] = []
    if not windows or any(type(one) is not int or one < 2 or one % 2 for one in windows):
        problems = [f"attention_window is {brief(repr(given))}, not even numbers of tokens"]
    elif isinstance(given, list) and len(given) != layers:
        problems = [f"attention_window lists {len(given)} blocks of {layers!r}"]
    config = roberta.read_config(values, where, problems)
    assert config.encoder is not None, "a Longformer is an encoder"
    stack = dataclasses.replace(
        config.encoder,
        attention_window=windows[0],
        attention_globals="none",
        by_block={"attention_window": windows} if len(set(windows)) > 1 else None,
    )
    return dataclasses.replace(config, encoder=stack)


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not a Longformer, with expected values."""
    stack = config.encoder
    if stack is None or stack.attention_globals is None:
        return [*roberta.refusals(config), "encoder.attention_globals is None"]
    own = {key for key in stack.by_block or {} if key != "attention_window"}
    found = [f"encoder.by_block has {key}" for key in sorted(own)]
    windows = [stack.of_block(layer).attention_window or 1 for layer in range(stack.layers)]
    if any(one % 2 for one in windows):
        found.append("encoder.attention_window is odd or unset")
    return [*roberta.refusals(config, OWN), *found]


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    stack = config.encoder
    assert stack is not None, "a Longformer is an encoder"
    windows = [stack.of_block(layer).attention_window for layer in range(stack.layers)]
    return {
        **bert.written(config, KIND, bert.KEYS),
        "pad_token_id": stack.first_position - 1,
        "sep_token_id": tokenizer.end_id,
        "attention_window": windows,
    }


_SELF, _OURS = "encoder.layer.{i}.attention.self.", "encoder.blocks.{i}.self_attention.globals."
PROJECTIONS: tuple[Rule, ...] = (
    *both(_SELF + "query_global", _OURS + "query"),
    *both(_SELF + "key_global", _OURS + "key"),
    *both(_SELF + "value_global", _OURS + "value"),
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embeddings and the blocks."""
    return (*bert.body(config), *PROJECTIONS)


FAMILY = Family(
    name="a Longformer",
    kinds=(KIND,),
    architecture="encoder",
    preset="bert-base",
    prefix="longformer.",
    classes=tuple(
        dataclasses.replace(one, stack={"attention_globals": GLOBALS.get(one.head, "none")})
        for one in classes(
            "Longformer",
            masked=masked_of_roberta("Longformer", "longformer."),
            classifier=classifier_of_first_state("Longformer"),
        )
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
)
