"""Write encoder-decoders as classes of the library transformers: Marian and Blenderbot.

Marian (Junczys-Dowmunt et al. 2018) has the post-norm blocks of 2017, Blenderbot (Roller et al.
2021) has them pre-norm. Both read their positions from a table, which can hold sinusoids, so all
presets of the Transformer are one of them, whatever text they were trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ..data.tokenizers.subwords import Tokenizer
from ..messages import message
from ..model.config import ModelConfig, StackConfig
from .config_reader import ACTIVATIONS, differences
from .family import Family, PublishedClass, both
from .folding import table_rows, with_position_table
from .rules import Rename, Rule

if TYPE_CHECKING:
    from torch import Tensor

MARIAN, BLENDERBOT = "marian", "blenderbot"
PLACEMENTS = {MARIAN: "post", BLENDERBOT: "pre"}  # of their norms
SIDES = ("encoder", "decoder")
SHARED = ("width", "activation", "dropout", "attention_dropout", "inner_dropout", "positions")


def _stacks(config: ModelConfig) -> tuple[StackConfig, StackConfig]:
    encoder, decoder = config.encoder, config.decoder
    assert encoder is not None and decoder is not None, "only encoder-decoders are written"
    return encoder, decoder


def _refusals(config: ModelConfig, kind: str) -> list[str]:
    """List the settings by which an encoder-decoder is not of a kind, with expected values."""
    encoder, decoder = _stacks(config)
    found: list[str] = []
    for side, stack in zip(SIDES, (encoder, decoder), strict=True):
        if stack.positions not in ("sinusoidal", "learned"):
            found.append(
                message(
                    "{key} is {value} instead of {wanted}",
                    key=f"{side}.positions",
                    value=repr(stack.positions),
                    wanted="'sinusoidal' or 'learned'",
                )
            )
        wanted = {
            "norm_placement": PLACEMENTS[kind],
            "norm": "layer",
            "norm_epsilon": 1e-5,
            "embedding_norm": False,
            "gated": False,
            "bias": True,
            "segments": 0,
        }
        found += differences(stack, wanted, f"{side}.")
        if (stack.key_heads or stack.heads) != stack.heads:
            found.append(f"{side}.key_heads is {stack.key_heads} instead of {stack.heads}")
    alike = {key: getattr(encoder, key) for key in SHARED}
    if encoder.positions == "learned":
        alike["max_positions"] = encoder.max_positions
    found += differences(decoder, alike, "decoder.")
    return found + differences(config, {"tied_embeddings": True, "output_bias": False})


def _write_config(
    config: ModelConfig, longest: int, tokenizer: Tokenizer, kind: str
) -> dict[str, object]:
    """Return the config.json of a model without refusals.

    Every answer begins with the tokenizer's begin token, and its end token also pads.
    """
    encoder, decoder = _stacks(config)
    names = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    sizes: dict[str, object] = {}
    for side, stack in zip(SIDES, (encoder, decoder), strict=True):
        sizes |= {
            f"{side}_layers": stack.layers,
            f"{side}_attention_heads": stack.heads,
            f"{side}_ffn_dim": stack.inner_width,
        }
    return {
        "model_type": kind,
        "vocab_size": config.vocabulary_size,
        "d_model": encoder.width,
        **sizes,
        "max_position_embeddings": table_rows(config.stacks, longest),
        "activation_function": names[encoder.activation],
        "dropout": encoder.dropout,
        "attention_dropout": encoder.attention_dropout,
        "activation_dropout": encoder.inner_dropout,
        "scale_embedding": config.embedding_scale,
        "decoder_start_token_id": tokenizer.begin_id,
        "pad_token_id": tokenizer.end_id,
        "forced_eos_token_id": None,
        "encoder_no_repeat_ngram_size": 0,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def prepared(tensors: Mapping[str, Tensor], config: ModelConfig, longest: int) -> dict[str, Tensor]:
    """Return our tensors with a table of positions for each stack."""
    return with_position_table(tensors, config.stacks, table_rows(config.stacks, longest))


def constants(config: ModelConfig, chosen: PublishedClass) -> dict[str, Tensor]:
    """Return the bias of their logits, which ours have not."""
    import torch

    return {"final_logits_bias": torch.zeros(1, config.vocabulary_size)}


# Names of tensors ---------------------------------------------------------------------------------


def _attention(theirs: str, ours: str, norm: str) -> tuple[Rule, ...]:
    parts = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}
    return (
        *(rule for old, new in parts.items() for rule in both(f"{theirs}.{old}", f"{ours}.{new}")),
        *both(f"{theirs}_layer_norm", f"{ours}_norm.{norm}"),
    )


def _body(config: ModelConfig, kind: str) -> tuple[Rule, ...]:
    is_pre = kind == BLENDERBOT
    norm = "before" if is_pre else "after"
    rules: list[Rule] = [Rename("model.shared.weight", "embedding.weight")]
    for side in SIDES:
        theirs, ours = f"model.{side}.layers.{{i}}.", f"{side}.blocks.{{i}}."
        table = f"{side}_entrance.positions.weight"
        rules += [
            Rename(f"model.{side}.embed_positions.weight", table),
            *_attention(theirs + "self_attn", ours + "self_attention", norm),
            *both(theirs + "fc1", ours + "feed_forward.inner"),
            *both(theirs + "fc2", ours + "feed_forward.output"),
            *both(theirs + "final_layer_norm", f"{ours}feed_forward_norm.{norm}"),
        ]
        if is_pre:
            rules += both(f"model.{side}.layer_norm", f"{side}.final_norm")
    of_decoder = ("model.decoder.layers.{i}.encoder_attn", "decoder.blocks.{i}.cross_attention")
    return (*rules, *_attention(*of_decoder, norm))


def _family(kind: str, name: str, architecture: str) -> Family:
    return Family(
        name=name,
        kinds=(kind,),
        architecture="encoder-decoder",
        preset="transformer-base",
        classes=(PublishedClass(architecture=architecture, head="tokens"),),
        refusals=partial(_refusals, kind=kind),
        write_config=partial(_write_config, kind=kind),
        body=partial(_body, kind=kind),
        prepared=prepared,
        constants=constants,
    )


FAMILY = _family(MARIAN, "a Marian", "MarianMTModel")
PRE_NORM = _family(BLENDERBOT, "a Blenderbot", "BlenderbotForConditionalGeneration")
