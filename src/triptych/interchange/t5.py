"""Read and write T5, T5 1.1 and Flan (Raffel et al. 2020; Shazeer 2020), and mT5 (Xue et al. 2021).

A T5 learns a bias for each distance instead of positions, does not scale the scores of attention,
has RMS norms before each part and no biases. T5 1.1 and its kin have a gated feed-forward network
and an output of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

from ..data.tokenizers.subwords import Tokenizer
from ..errors import brief
from ..model.config import ModelConfig, StackConfig
from ..model.dials import RELATIVE_BUCKETS, RELATIVE_FARTHEST
from .bart_like import answer_keys
from .config_reader import ACTIVATIONS, differences, read_settings, vocabulary_size
from .family import Family, PublishedClass, Tensors
from .rules import Ignore, Rename, Rule, Tie

KEYS = {  # setting -> key of config.json
    "layers": "num_layers",
    "width": "d_model",
    "heads": "num_heads",
    "inner_width": "d_ff",
    "head_width": "d_kv",
    "dropout": "dropout_rate",
    "norm_epsilon": "layer_norm_epsilon",
    "activation": "dense_act_fn",
}
DEFAULTS: dict[str, str | float] = {"dropout": 0.1, "norm_epsilon": 1e-6}
PLAIN: dict[str, object] = {
    "relative_attention_num_buckets": RELATIVE_BUCKETS,
    "relative_attention_max_distance": RELATIVE_FARTHEST,
    "quantization_config": None,
}
SETTINGS: dict[str, object] = {
    "positions": "relative",
    "norm_placement": "pre",
    "norm": "rms",
    "bias": False,
    "embedding_norm": False,
    "segments": 0,
    "attention_scale": 1.0,
}
FORMS = {"relu": "relu", "gated-gelu": "gelu_new", "gated-silu": "silu", "gelu": "gelu"}


def read_config(values: Mapping[str, object], where: str, kind: str) -> ModelConfig:
    """Read a config.json of a T5. Raises RunError naming all values that are not supported."""
    form = values.get("feed_forward_proj", "gated-gelu" if kind == "mt5" else "relu")
    problems: list[str] = []
    if not isinstance(form, str) or form not in FORMS:
        problems = [f"feed_forward_proj is {brief(repr(form))}, not one of {', '.join(FORMS)}"]
        form = "relu"
    given = {**values, "dense_act_fn": FORMS[form]}
    settings = read_settings(given, where, KEYS, DEFAULTS, PLAIN, problems, False)
    shared = {
        **SETTINGS,
        **settings,
        "gated": form.startswith("gated"),
        "inner_dropout": settings["dropout"],
        "attention_dropout": settings["dropout"],
    }
    if settings["head_width"] * settings["heads"] == settings["width"]:
        del shared["head_width"]
    layers = values.get("num_decoder_layers")
    of_decoder = {"layers": settings["layers"] if layers is None else layers}
    own = read_settings({**given, "num_layers": of_decoder["layers"]}, where, KEYS, DEFAULTS, PLAIN,
                        (), False)  # fmt: skip
    # The first T5 scales its states, and alone is tied (section 2.1 of the paper's code).
    is_tied = values.get("tie_word_embeddings") is not False
    is_scaled = kind != "mt5" and values.get("scale_decoder_outputs", is_tied) is not False
    return ModelConfig(
        encoder=StackConfig(**shared),  # type: ignore[arg-type]
        decoder=StackConfig(**{**shared, "layers": own["layers"]}),  # type: ignore[arg-type]
        vocabulary_size=vocabulary_size(values),
        embedding_scale=False,
        tied_embeddings=is_tied,
        output_scale=settings["width"] ** -0.5 if is_scaled else None,
    )


def fitted(config: ModelConfig, tensors: Tensors) -> ModelConfig:
    """Return the configuration with an output of its own where the file holds another one.

    Newer files of T5 1.1 say that it is tied.
    """
    head, shared = tensors.get("lm_head.weight"), tensors.get("shared.weight")
    if head is None or shared is None:
        return dataclasses.replace(config, tied_embeddings=True)
    is_tied = head.shape == shared.shape and bool((head == shared).all())
    return dataclasses.replace(config, tied_embeddings=is_tied)


def refusals(config: ModelConfig, kind: str) -> list[str]:
    """List the settings by which an encoder-decoder is not a T5, with the expected values."""
    encoder, decoder = config.encoder, config.decoder
    assert encoder is not None and decoder is not None, "only both are written"
    found: list[str] = []
    for side, stack in config.stacks.items():
        wanted = {
            **SETTINGS,
            "head_width": stack.head_width,
            "inner_dropout": stack.dropout,
            "attention_dropout": stack.dropout,
        }
        found += differences(stack, wanted, f"{side}.")
        if (stack.key_heads or stack.heads) != stack.heads:
            found.append(f"{side}.key_heads is {stack.key_heads} instead of {stack.heads}")
    keys = ("width", "heads", "head_width", "inner_width", "dropout", "norm_epsilon", "gated")
    alike = {key: getattr(encoder, key) for key in (*keys, "activation")}
    found += differences(decoder, alike, "decoder.", alone=True)
    own: dict[str, object] = {"embedding_scale": False, "output_bias": False}
    if kind == "mt5" or config.output_scale is not None:
        own["output_scale"] = None if kind == "mt5" else encoder.width**-0.5
    return found + differences(config, {**own, "source_vocabulary_size": None})


def write_config(
    config: ModelConfig, longest: int, tokenizer: Tokenizer, kind: str
) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    encoder, decoder = config.encoder, config.decoder
    assert encoder is not None and decoder is not None, "only both are written"
    name = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}[encoder.activation]
    forms = {theirs: form for form, theirs in FORMS.items() if encoder.gated == ("gated" in form)}
    return {
        "model_type": kind,
        "vocab_size": config.vocabulary_size,
        "d_model": encoder.width,
        "d_kv": encoder.size_of_head,
        "d_ff": encoder.inner_width,
        "num_layers": encoder.layers,
        "num_decoder_layers": decoder.layers,
        "num_heads": encoder.heads,
        "dropout_rate": encoder.dropout,
        "layer_norm_epsilon": encoder.norm_epsilon,
        "feed_forward_proj": forms.get(name, "relu"),
        **answer_keys(tokenizer),
        "tie_word_embeddings": config.tied_embeddings and config.output_scale is not None,
        "scale_decoder_outputs": config.output_scale is not None,
        "is_encoder_decoder": True,
        "dtype": "float32",
    }


# Names of tensors ---------------------------------------------------------------------------------


def _part(theirs: str, ours: str, norm: str, names: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules of one part of a block: its matrices and its norm."""
    head = theirs.rsplit(".", 1)[0]
    return (
        *(Rename(f"{theirs}.{old}.weight", f"{ours}.{new}.weight") for old, new in names.items()),
        Rename(f"{head}.layer_norm.weight", f"{norm}.before.weight"),
    )


ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "output"}
PLAIN_NETWORK = {"wi": "inner", "wo": "output"}
GATED_NETWORK = {"wi_0": "gate", "wi_1": "inner", "wo": "output"}


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the embedding and both stacks."""
    assert config.encoder is not None, "a T5 has an encoder"
    network = GATED_NETWORK if config.encoder.gated else PLAIN_NETWORK
    rules: list[Rule] = [Rename("shared.weight", "embedding.weight")]
    for side, last in (("encoder", 1), ("decoder", 2)):
        theirs, ours = f"{side}.block.{{i}}.layer.", f"{side}.blocks.{{i}}."
        rules += [
            Tie(f"{side}.embed_tokens.weight", "shared.weight"),
            *_part(
                f"{theirs}0.SelfAttention",
                f"{ours}self_attention",
                f"{ours}self_attention_norm",
                ATTENTION,
            ),
            *_part(
                f"{theirs}{last}.DenseReluDense",
                f"{ours}feed_forward",
                f"{ours}feed_forward_norm",
                network,
            ),
            Rename(
                f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                f"{side}.position_bias.weight",
            ),
            Rename(f"{side}.final_layer_norm.weight", f"{side}.final_norm.weight"),
        ]
    cross = "decoder.blocks.{i}.cross_attention"
    rules += _part("decoder.block.{i}.layer.1.EncDecAttention", cross, f"{cross}_norm", ATTENTION)
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    return (*rules, Ignore(unused, "which no version of the class reads"))


def _family(kind: str, name: str, architecture: str) -> Family:
    return Family(
        name=name,
        kinds=(kind,),
        architecture="encoder-decoder",
        preset="transformer-base",
        task="text-to-text",
        classes=(PublishedClass(architecture=architecture, head="tokens"),),
        read_config=partial(read_config, kind=kind),
        refusals=partial(refusals, kind=kind),
        write_config=partial(write_config, kind=kind),
        body=body,
        fitted=fitted,
        output=("lm_head.weight", "shared.weight"),
    )


FAMILY = _family("t5", "a T5", "T5ForConditionalGeneration")
MT5 = _family("mt5", "an mT5", "MT5ForConditionalGeneration")
