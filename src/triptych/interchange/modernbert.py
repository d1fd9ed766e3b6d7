"""Read and write ModernBERT as published (Warner et al. 2024): config.json and names of tensors.

Its blocks have norms before their parts, rotary positions and a gated feed-forward network, and no
biases at all. Most of them see a window, with a rotation of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig, StackConfig
from .bert import written
from .config_reader import differences, read_settings, vocabulary_size
from .encoder_classes import AS_MODEL
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
from .rules import Rename, Rule, Split, Tie

KIND = "modernbert"
KEYS = {  # setting -> key of config.json
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "inner_width": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "dropout": "embedding_dropout",
    "attention_dropout": "attention_dropout",
    "inner_dropout": "mlp_dropout",
    "norm_epsilon": "norm_eps",
    "activation": "hidden_activation",
}
DEFAULTS: dict[str, object] = {
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "inner_dropout": 0.0,
    "norm_epsilon": 1e-5,
    "activation": "gelu",
    "max_positions": 8192,
}
PLAIN: dict[str, object] = {
    "norm_bias": False,
    "attention_bias": False,
    "mlp_bias": False,
    "classifier_bias": False,
    "decoder_bias": True,
    "tie_word_embeddings": True,
    "quantization_config": None,
}
DIALS: dict[str, object] = {
    "norm_placement": "pre",
    "norm": "layer",
    "norm_bias": False,
    "first_norm": False,
    "gated": True,
    "bias": False,
    "positions": "rotary",
    "embedding_norm": True,
    "segments": 0,
}
WIDE, NEAR = "full_attention", "sliding_attention"
BASES = {WIDE: ("global_rope_theta", 160_000.0), NEAR: ("local_rope_theta", 10_000.0)}
WINDOW, EVERY = 128, 3  # usual values of local_attention and of the blocks between wide ones


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type modernbert.

    Raises RunError naming all values that are not supported.
    """
    problems: list[str] = []
    kinds, bases = _kinds(values, problems), _bases(values, problems)
    window = values.get("local_attention", WINDOW)
    if type(window) is not int or window < 2:
        problems.append(f"local_attention is {brief(repr(window))}")
    given = values.get("hidden_activation", DEFAULTS["activation"])
    plain = {**PLAIN, "classifier_activation": given}
    if "classifier_activation" not in values and given != "gelu":
        problems.append("classifier_activation is missing")
    settings = read_settings(values, where, KEYS, DEFAULTS, plain, problems)
    own: dict[str, list[Any]] = {
        "attention_window": [None if kind == WIDE else window for kind in kinds],
        "rotary_base": [bases[kind] for kind in kinds],
    }
    stack: dict[str, Any] = {**DIALS, **settings, "rotary_base": bases[kinds[0]]}
    if len(kinds) == 1:
        stack["attention_window"] = own["attention_window"][0]
    else:
        stack["by_block"] = own
    return ModelConfig(
        encoder=StackConfig(**stack),
        vocabulary_size=vocabulary_size(values),
        embedding_scale=False,
    )


def _kinds(values: Mapping[str, object], problems: list[str]) -> list[str]:
    """Return the kinds of attention that blocks take in turn."""
    layers, given = values.get("num_hidden_layers"), values.get("layer_types")
    if given is None:
        every = values.get("global_attn_every_n_layers", EVERY)
        if type(every) is int and every > 0:
            return [WIDE, *[NEAR] * (every - 1)]
        problems.append(f"global_attn_every_n_layers is {brief(repr(every))}")
        return [WIDE]
    kinds = cast("list[Any]", given) if isinstance(given, list) else []
    if len(kinds) != layers or not kinds or any(one not in (WIDE, NEAR) for one in kinds):
        problems.append(f"layer_types is {brief(repr(given))}, not {WIDE} or {NEAR} by block")
        return [WIDE]
    lengths = range(1, len(kinds) + 1)
    repeat = next(
        length
        for length in lengths
        if all(kind == kinds[place % length] for place, kind in enumerate(kinds))
    )
    return [str(one) for one in kinds[:repeat]]


def _bases(values: Mapping[str, object], problems: list[str]) -> dict[str, float]:
    """Return the base of the rotation of each kind of attention."""
    tables = values.get("rope_parameters")
    found: dict[str, float] = {}
    for kind, (key, usual) in BASES.items():
        table = cast("dict[str, Any]", tables).get(kind) if isinstance(tables, dict) else None
        table = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
        base = table.get("rope_theta", values.get(key))
        base = usual if base is None else base
        if isinstance(base, bool) or not isinstance(base, (int, float)) or not 0 < base < 1e300:
            problems.append(f"{key} is {brief(repr(base))}")
            base = usual
        if table.get("rope_type", "default") != "default":
            problems.append(f"rope_parameters.{kind} is {brief(repr(table))}, not default")
        found[kind] = float(base)
    return found


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is not a ModernBERT, with expected values."""
    stack = config.encoder
    if stack is None or config.decoder is not None:
        return ["it has a decoder, but ModernBERT has an encoder only"]
    free = ("by_block", "attention_window")
    found = differences(stack, {**DIALS, **{key: getattr(stack, key) for key in free}}, "encoder.")
    if (stack.key_heads or stack.heads) != stack.heads:
        found.append(f"encoder.key_heads is {stack.key_heads} instead of {stack.heads}")
    own = stack.by_block or {}
    found += [f"encoder.by_block has {key}" for key in own.keys() - {*free, "rotary_base"}]
    blocks = [stack.of_block(layer) for layer in range(stack.layers)]
    windows = {one.attention_window for one in blocks} - {None}
    bases = {(one.attention_window is None, one.rotary_base) for one in blocks}
    if len(windows) > 1 or len(bases) > len({wide for wide, _ in bases}):
        found.append("its blocks have several windows, or several rotary_base for one of them")
    model = {"embedding_scale": False, "tied_embeddings": True, "output_bias": False}
    return found + differences(config, model)


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    stack = config.encoder
    assert stack is not None, "a ModernBERT is an encoder"
    blocks = [stack.of_block(layer) for layer in range(stack.layers)]
    kinds = [WIDE if one.attention_window is None else NEAR for one in blocks]
    bases = {kind: usual for kind, (_, usual) in BASES.items()}
    bases |= {kind: one.rotary_base for kind, one in zip(kinds, blocks, strict=True)}
    windows = [one.attention_window for one in blocks if one.attention_window is not None]
    pieces = {"bos": tokenizer.begin_id, "cls": tokenizer.begin_id, "eos": tokenizer.end_id,
              "sep": tokenizer.end_id, "pad": tokenizer.end_id}  # fmt: skip
    return {
        **{f"{key}_token_id": number for key, number in pieces.items()},
        **written(config, KIND, KEYS),
        **PLAIN,
        "classifier_activation": written(config, KIND, KEYS)["hidden_activation"],
        "layer_types": kinds,
        "local_attention": windows[0] if windows else WINDOW,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()
        },
    }


# Names of tensors ---------------------------------------------------------------------------------

_LAYER, _BLOCK = "layers.{i}.", "encoder.blocks.{i}."
BODY: tuple[Rule, ...] = (
    Rename("embeddings.tok_embeddings.weight", "embedding.weight"),
    Rename("embeddings.norm.weight", "encoder_entrance.norm.weight"),
    Rename(_LAYER + "attn_norm.weight", _BLOCK + "self_attention_norm.before.weight"),
    Split(
        _LAYER + "attn.Wqkv.weight",
        tuple(f"{_BLOCK}self_attention.{part}.weight" for part in ("query", "key", "value")),
    ),
    Rename(_LAYER + "attn.Wo.weight", _BLOCK + "self_attention.output.weight"),
    Rename(_LAYER + "mlp_norm.weight", _BLOCK + "feed_forward_norm.before.weight"),
    Split(
        _LAYER + "mlp.Wi.weight",
        (_BLOCK + "feed_forward.gate.weight", _BLOCK + "feed_forward.inner.weight"),
    ),
    Rename(_LAYER + "mlp.Wo.weight", _BLOCK + "feed_forward.output.weight"),
    Rename("final_norm.weight", "encoder.final_norm.weight"),
)
HEAD: tuple[Rule, ...] = (
    Rename("head.dense.weight", "head.layer.dense.weight"),
    Rename("head.norm.weight", "head.layer.norm.weight"),
)
NORMED: Mapping[str, object] = {"head_layer": "normed"}


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embeddings and the blocks."""
    return BODY


def _classifier(theirs: str, ours: str) -> PublishedClass:
    """Return the class for classification that pools as `classifier_pooling` says."""
    return PublishedClass(
        architecture="ModernBertForSequenceClassification",
        head="classifier",
        rules=(*HEAD, *both("classifier", "head.project"), *CALIBRATION),
        options={**FIRST_STATE, **NORMED, "pooling": ours, "hidden": False},
        values={"classifier_pooling": theirs},
    )


FAMILY = Family(
    name="a ModernBERT",
    kinds=(KIND,),
    architecture="encoder",
    preset="encoder-small",
    prefix="model.",
    classes=(
        PublishedClass(
            architecture="ModernBertForMaskedLM",
            head="masked-tokens",
            dials=AS_MODEL,
            rules=(
                Rename("head.dense.weight", "head.transform.weight"),
                Rename("head.norm.weight", "head.norm.weight"),
                Rename("decoder.bias", "head.bias"),
                Tie("decoder.weight", "model.embeddings.tok_embeddings.weight"),
            ),
        ),
        _classifier("cls", "first"),
        _classifier("mean", "mean"),
        PublishedClass(
            architecture="ModernBertForTokenClassification",
            head="tagger",
            rules=(*HEAD, *both("classifier", "head.output")),
            options={**FIRST_PIECE, **NORMED},
            without=NO_CHAIN,
        ),
        PublishedClass(
            architecture="ModernBertForQuestionAnswering",
            head="span",
            rules=(*HEAD, *both("classifier", "head.span"), *ABSTENTION),
            options=NORMED,
            without=NO_MATCHES,
        ),
        PublishedClass(architecture="ModernBertModel", head="pooling", prefix=False),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
)
