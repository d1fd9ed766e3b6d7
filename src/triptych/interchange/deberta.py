"""Read and write DeBERTa-v3 and its kin of v2 as published (He et al. 2021, 2023).

The attention of a DeBERTa reads contents and relative positions apart; v2 and v3 share the
projections of both, and v3 has no positions in its embeddings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig
from . import bert
from .encoder_classes import AS_MODEL, classes, classifier_of_first_state, masked_of_bert
from .family import Family, PublishedClass, both
from .rules import Ignore, Rename, Rule, prefixed, respelt

KIND = "deberta-v2"
DEFAULTS: dict[str, object] = {**bert.DEFAULTS, "segments": 0, "norm_epsilon": 1e-7}
NEEDED: dict[str, object] = {  # keys that must be given, as those of v3 are
    "relative_attention": True,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}
PLAIN: dict[str, object] = {
    **bert.PLAIN,
    **NEEDED,
    "conv_kernel_size": 0,
    "pooler_hidden_act": "gelu",
}
BOTH_WAYS = {"c2p", "p2c"}


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type deberta-v2.

    Raises RunError naming all values that are not supported.
    """
    width = values.get("hidden_size")
    plain = {**PLAIN, "pooler_hidden_size": width, "embedding_size": width}
    problems = [f"{key} is missing, not {value!r}" for key, value in NEEDED.items()
                if values.get(key) is None]  # fmt: skip
    ways = values.get("pos_att_type")
    parts = ways.lower().split("|") if isinstance(ways, str) else ways
    given = {str(one).strip() for one in parts} if isinstance(parts, list) else set[str]()
    if given != BOTH_WAYS:
        problems.append(f"pos_att_type is {brief(repr(ways))}, not both c2p and p2c")
    sizes = {key: values.get(key, -1) for key in ("position_buckets", "max_relative_positions")}
    problems += [
        f"{key} is {brief(repr(size))}" for key, size in sizes.items() if type(size) is not int
    ]
    config = bert.read_config(values, where, bert.KEYS, DEFAULTS, plain, problems)
    assert config.encoder is not None, "a DeBERTa is an encoder"
    buckets, farthest = (size if isinstance(size, int) else -1 for size in sizes.values())
    farthest = farthest if farthest > 0 else config.encoder.max_positions
    stack = dataclasses.replace(
        config.encoder,
        positions="none" if values.get("position_biased_input", True) is False else "learned",
        disentangled={**({"buckets": buckets} if buckets > 0 else {}), "farthest": farthest},
    )
    return dataclasses.replace(config, encoder=stack)


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not a DeBERTa, with expected values."""
    stack = config.encoder
    if stack is None or stack.disentangled is None:
        return [*bert.refusals(config), "encoder.disentangled is None"]
    free = ["disentangled", *(["positions"] if stack.positions == "none" else [])]
    return bert.refusals(config, free=free)


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    stack = config.encoder
    assert stack is not None and stack.disentangled is not None, "a DeBERTa is disentangled"
    return {
        **bert.written(config, KIND, bert.KEYS),
        **NEEDED,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": stack.disentangled.get("buckets", -1),
        "max_relative_positions": stack.disentangled["farthest"],
        "position_biased_input": stack.positions == "learned",
        "pooler_hidden_size": stack.width,
    }


# Names of tensors ---------------------------------------------------------------------------------


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embeddings, the relative positions and the blocks."""
    stack = config.encoder
    assert stack is not None, "a DeBERTa is an encoder"
    entrance = bert.ENTRANCE
    if stack.positions != "learned":
        table = "embeddings.position_embeddings.weight"
        entrance = tuple(rule for rule in entrance if getattr(rule, "theirs", "") != table)
        entrance += (Ignore(table, "which the class does not read"),)
    spelt = {
        f"self.{ours}.{kind}": f"self.{ours}_proj.{kind}"
        for ours in ("query", "key", "value")
        for kind in ("weight", "bias")
    }
    return (
        *entrance,
        *((bert.SEGMENTS,) if stack.segments else ()),
        *respelt(bert.BLOCKS, spelt),
        Rename("encoder.rel_embeddings.weight", "encoder.relative.weight"),
        *both("encoder.LayerNorm", "encoder.relative.norm"),
    )


_OLDER = masked_of_bert("DebertaV2", "deberta.")
_NEWER = PublishedClass(
    architecture="DebertaV2ForMaskedLM",
    head="masked-tokens",
    dials=AS_MODEL,
    values={"legacy": False},
    rules=prefixed(
        "lm_predictions.lm_head.",
        (*both("dense", "head.transform"), *both("LayerNorm", "head.norm"),
         Rename("bias", "head.bias")),
    ),
)  # fmt: skip

FAMILY = Family(
    name="a DeBERTa-v3",
    kinds=(KIND,),
    architecture="encoder",
    preset="bert-base",
    prefix="deberta.",
    classes=classes(
        "DebertaV2",
        masked=dataclasses.replace(_OLDER, values={"legacy": True}),
        others=(_NEWER,),
        classifier=classifier_of_first_state(
            "DebertaV2",
            (*both("pooler.dense", "head.dense"), *both("classifier", "head.project")),
            activation="gelu",
        ),
        pooler=(),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    ignored=tuple(
        f"mask_predictions.{part}.{kind}"
        for part in ("dense", "LayerNorm", "classifier")
        for kind in ("weight", "bias")
    ),
    has_segments=True,
)
