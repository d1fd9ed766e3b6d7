"""Read and write the encoder-decoders that are a BART but for a few settings, each a `Kin`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from ..data.tokenizers.subwords import Tokenizer
from ..errors import RunError
from ..messages import message
from ..model.config import ModelConfig, StackConfig
from .config_reader import differences, read_settings, vocabulary_size, written_settings
from .family import Family, PublishedClass, Tensors, both
from .folding import table_rows
from .rules import Ignore, Rename, Rule, Tie

if TYPE_CHECKING:
    from torch import Tensor

Sinusoids = Literal["interleaved", "halves", "fairseq"]
BIAS = "final_logits_bias"
LAYOUTS: tuple[Sinusoids, ...] = ("halves", "interleaved", "fairseq")
NEAR = 1e-5  # between the same sinusoids, computed in other ways
SIDES = ("encoder", "decoder")
DEFAULTS: dict[str, str | float] = {
    "max_positions": 1024,
    "activation": "gelu",
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "inner_dropout": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class Kin:
    """Say in what a family differs from a BART.

    Args:
        kind: Its model_type.
        name: With its article.
        architecture: Its class.
        task: What it is imported for where nothing is said.
        is_pre: Its norms are before each part, with a final one.
        sinusoids: The layout of its fixed positions; None: they are learned.
        any_positions: Its table is a weight, so that it can hold any layout, or be learned.
        keeps_table: Its fixed positions are among its weights.
        first_position: The row that the first token reads.
        embedding_norm: A norm follows the embeddings.
        defaults: Values of missing keys that differ.
    """

    kind: str
    name: str
    architecture: str
    task: str
    is_pre: bool = False
    sinusoids: Sinusoids | None = None
    any_positions: bool = False
    keeps_table: bool = False
    first_position: int = 0
    embedding_norm: bool = False
    defaults: Mapping[str, str | float | bool] = field(default_factory=dict)


def family(kin: Kin) -> Family:
    """Return the family of a kin."""
    return Family(
        name=kin.name,
        kinds=(kin.kind,),
        architecture="encoder-decoder",
        preset="transformer-base",
        task=kin.task,
        classes=(PublishedClass(architecture=kin.architecture, head="tokens"),),
        read_config=partial(read_config, kin=kin),
        refusals=partial(refusals, kin=kin),
        write_config=partial(write_config, kin=kin),
        body=partial(_body, kin=kin),
        constants=partial(_constants, kin=kin),
        fitted=partial(_fitted, kin=kin),
        output=("lm_head.weight", "model.shared.weight"),
    )


# config.json --------------------------------------------------------------------------------------


def _keys(side: str) -> dict[str, str]:
    return {
        "layers": f"{side}_layers",
        "width": "d_model",
        "heads": f"{side}_attention_heads",
        "inner_width": f"{side}_ffn_dim",
        "max_positions": "max_position_embeddings",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "inner_dropout": "activation_dropout",
        "activation": "activation_function",
    }


def _positions(sinusoids: Sinusoids | None) -> dict[str, object]:
    if sinusoids is None:
        return {"positions": "learned"}
    return {"positions": "sinusoidal", "sinusoids": sinusoids}


def _settings(kin: Kin) -> dict[str, object]:
    """Return the settings of both stacks that make a model one of the family."""
    return {
        "norm_placement": "pre" if kin.is_pre else "post",
        "norm": "layer",
        "norm_epsilon": 1e-5,
        "gated": False,
        "bias": True,
        "segments": 0,
        "embedding_norm": kin.embedding_norm,
        "first_position": kin.first_position,
        **_positions(kin.sinusoids),
    }


def read_config(values: Mapping[str, object], where: str, kin: Kin) -> ModelConfig:
    """Read a config.json of a kin. Raises RunError naming all values that are not supported."""
    plain = {"quantization_config": None, "share_encoder_decoder_embeddings": True}
    defaults = {**DEFAULTS, **kin.defaults}
    scaled = values.get("scale_embedding", kin.defaults.get("scale_embedding", False))
    stacks: dict[str, StackConfig] = {}
    problems: list[str] = []
    for side in SIDES:
        try:
            settings = read_settings(values, where, _keys(side), defaults, plain)
        except RunError as error:
            problems += [one for one in [str(error)] if one not in problems]
            continue
        rows = settings["max_positions"] + kin.first_position
        stacks[side] = StackConfig(**{**_settings(kin), **settings, "max_positions": rows})  # type: ignore[arg-type]
    if problems:
        raise RunError(" ".join(problems))
    return ModelConfig(
        **stacks,  # type: ignore[arg-type]
        vocabulary_size=vocabulary_size(values),
        embedding_scale=scaled is True,
        tied_embeddings=values.get("tie_word_embeddings") is not False,
    )


def _fitted(config: ModelConfig, tensors: Tensors, kin: Kin) -> ModelConfig:
    """Return the configuration with what only the tensors say.

    It is whether logits have a bias, which older files lack, and what a table of positions holds.
    """
    found = dataclasses.replace(config, output_bias=BIAS in tensors)
    if not kin.any_positions:
        return found
    sides = {
        side: dataclasses.replace(stack, **_positions(_layout(side, stack, tensors, kin)))  # type: ignore[arg-type]
        for side, stack in found.stacks.items()
    }
    return dataclasses.replace(found, **sides)  # type: ignore[arg-type]


def _layout(side: str, stack: StackConfig, tensors: Tensors, kin: Kin) -> Sinusoids | None:
    """Return the layout of the sinusoids that a side's table holds, or None for a learned one."""
    import torch

    from ..model.positions import sinusoids

    table = tensors.get(f"model.{side}.embed_positions.weight")
    if table is None or table.shape != (stack.max_positions, stack.width):
        return kin.sinusoids
    for layout in LAYOUTS:
        if torch.allclose(table.float(), sinusoids(table.shape[0], stack.width, layout), atol=NEAR):
            return layout
    return None


def refusals(config: ModelConfig, kin: Kin) -> list[str]:
    """List the settings by which an encoder-decoder is not a kin, with the expected values."""
    assert config.encoder is not None and config.decoder is not None, "only both are written"
    found: list[str] = []
    shared = ("width", "activation", "dropout", "attention_dropout", "inner_dropout")
    settings = _settings(kin)
    if kin.any_positions:
        settings |= {key: getattr(config.encoder, key) for key in ("positions", "sinusoids")}
    for side, stack in config.stacks.items():
        if kin.any_positions and stack.positions not in ("sinusoidal", "learned"):
            found.append(
                message(
                    "{key} is {value} instead of {wanted}",
                    key=f"{side}.positions",
                    value=repr(stack.positions),
                    wanted="'sinusoidal' or 'learned'",
                )
            )
        found += differences(stack, settings, f"{side}.")
        if (stack.key_heads or stack.heads) != stack.heads:
            found.append(f"{side}.key_heads is {stack.key_heads} instead of {stack.heads}")
    same_rows = config.encoder.positions == "learned" or not kin.any_positions
    keys = (*shared, *(["max_positions"] if same_rows else []))
    alike = {key: getattr(config.encoder, key) for key in keys}
    found += differences(config.decoder, alike, "decoder.", alone=True)
    return found + differences(config, {"source_vocabulary_size": None})


def write_config(
    config: ModelConfig, longest: int, tokenizer: Tokenizer, kin: Kin
) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    encoder, decoder = config.encoder, config.decoder
    assert encoder is not None and decoder is not None, "only both are written"
    return {
        "model_type": kin.kind,
        "vocab_size": config.vocabulary_size,
        **written_settings(encoder, _keys("encoder")),
        **written_settings(decoder, _keys("decoder")),
        "max_position_embeddings": table_rows(config.stacks, longest) - kin.first_position,
        "scale_embedding": config.embedding_scale,
        **answer_keys(tokenizer),
        "encoder_no_repeat_ngram_size": 0,
        "tie_word_embeddings": config.tied_embeddings,
        "is_encoder_decoder": True,
        "dtype": "float32",
    }


def answer_keys(tokenizer: Tokenizer) -> dict[str, object]:
    """Return the keys that say how an answer begins and ends. The end token also pads."""
    first, *more = tokenizer.starts(next(iter(tokenizer.tags), None))
    return {
        "decoder_start_token_id": first,
        **({"forced_bos_token_id": more[0]} if more else {}),
        "pad_token_id": tokenizer.end_id,
        "forced_eos_token_id": None,
    }


# Names of tensors ---------------------------------------------------------------------------------


def _attention(theirs: str, ours: str, norm: str) -> tuple[Rule, ...]:
    parts = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}
    return (
        *(rule for old, new in parts.items() for rule in both(f"{theirs}.{old}", f"{ours}.{new}")),
        *both(f"{theirs}_layer_norm", f"{ours}_norm.{norm}"),
    )


def _body(config: ModelConfig, kin: Kin) -> tuple[Rule, ...]:
    norm = "before" if kin.is_pre else "after"
    rules: list[Rule] = [
        Rename("model.shared.weight", "embedding.weight"),
    ]
    if config.output_bias:
        rules.append(Rename(BIAS, "output_bias", leading_axis=True))
    for side in SIDES:
        theirs, ours = f"model.{side}.layers.{{i}}.", f"{side}.blocks.{{i}}."
        table = f"model.{side}.embed_positions.weight"
        rules += [
            Tie(f"model.{side}.embed_tokens.weight", "model.shared.weight"),
            *_attention(theirs + "self_attn", ours + "self_attention", norm),
            *both(theirs + "fc1", ours + "feed_forward.inner"),
            *both(theirs + "fc2", ours + "feed_forward.output"),
            *both(theirs + "final_layer_norm", f"{ours}feed_forward_norm.{norm}"),
            Rename(table, f"{side}_entrance.positions.weight")
            if config.stacks[side].positions == "learned"
            else Ignore(table, "which are fixed sinusoids"),
        ]
        if kin.is_pre:
            rules += both(f"model.{side}.layer_norm", f"{side}.final_norm")
        if kin.embedding_norm:
            rules += both(f"model.{side}.layernorm_embedding", f"{side}_entrance.norm")
    of_decoder = ("model.decoder.layers.{i}.encoder_attn", "decoder.blocks.{i}.cross_attention")
    return (*rules, *_attention(*of_decoder, norm))


def _is_computed(stack: StackConfig, kin: Kin) -> bool:
    """Tell whether the class computes the table itself and saves none."""
    return kin.kind == "marian" and stack.sinusoids == kin.sinusoids


def _constants(
    config: ModelConfig, chosen: PublishedClass, longest: int, kin: Kin
) -> dict[str, Tensor]:
    """Return the tables of fixed positions that a class keeps among its weights, and no bias."""
    import torch

    from ..model.positions import sinusoids

    found: dict[str, Tensor] = {}
    if kin.any_positions and not config.output_bias:
        found[BIAS] = torch.zeros(1, config.vocabulary_size)
    if kin.keeps_table:
        rows = table_rows(config.stacks, longest)
        found |= {
            f"model.{side}.embed_positions.weight": sinusoids(rows, stack.width, stack.sinusoids)
            for side, stack in config.stacks.items()
            if stack.positions == "sinusoidal" and not _is_computed(stack, kin)
        }
    return found
