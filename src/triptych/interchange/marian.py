"""Write encoder-decoders as classes of the library transformers: Marian and Blenderbot.

Marian (Junczys-Dowmunt et al. 2018) has the post-norm blocks of 2017, Blenderbot (Roller et al.
2021) has them pre-norm. Both read their positions from a table, which can hold sinusoids, so all
presets of the Transformer are one of them, whatever text they were trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..messages import message
from ..model.config import ModelConfig, StackConfig
from .config_reader import ACTIVATIONS, differences
from .folding import table_rows, with_position_table
from .name_map import NameMap
from .rules import Rename, Rule

if TYPE_CHECKING:
    from torch import Tensor

ARCHITECTURES = {"marian": "MarianMTModel", "blenderbot": "BlenderbotForConditionalGeneration"}
SIDES = ("encoder", "decoder")
SHARED = ("width", "activation", "dropout", "attention_dropout", "inner_dropout", "positions")


def kind_of(config: ModelConfig) -> str:
    """Return the model_type that comes nearest to an encoder-decoder."""
    assert config.encoder is not None, "an encoder-decoder has an encoder"
    return "marian" if config.encoder.norm_placement == "post" else "blenderbot"


def _stacks(config: ModelConfig) -> tuple[StackConfig, StackConfig]:
    encoder, decoder = config.encoder, config.decoder
    assert encoder is not None and decoder is not None, "only encoder-decoders are written"
    return encoder, decoder


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which an encoder-decoder is neither, with the expected values."""
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
            "norm_placement": encoder.norm_placement,
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


def write_config(
    config: ModelConfig, longest: int, begin: int, ends: list[int]
) -> dict[str, object]:
    """Return the config.json of a model without `refusals`.

    longest: tokens of a source; begin: the token that every answer begins with; ends: those that
    end one, of which the first also pads.
    """
    encoder, decoder = _stacks(config)
    assert not refusals(config), "the model has settings without a key"
    names = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    sizes: dict[str, object] = {}
    for side, stack in zip(SIDES, (encoder, decoder), strict=True):
        sizes |= {
            f"{side}_layers": stack.layers,
            f"{side}_attention_heads": stack.heads,
            f"{side}_ffn_dim": stack.inner_width,
        }
    return {
        "model_type": kind_of(config),
        "vocab_size": config.vocabulary_size,
        "d_model": encoder.width,
        **sizes,
        "max_position_embeddings": table_rows(config.stacks, longest),
        "activation_function": names[encoder.activation],
        "dropout": encoder.dropout,
        "attention_dropout": encoder.attention_dropout,
        "activation_dropout": encoder.inner_dropout,
        "scale_embedding": config.embedding_scale,
        "decoder_start_token_id": begin,
        "pad_token_id": ends[0],
        "forced_eos_token_id": None,
        "encoder_no_repeat_ngram_size": 0,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def prepared(tensors: Mapping[str, Tensor], config: ModelConfig, longest: int) -> dict[str, Tensor]:
    """Return our tensors with a table of positions for each stack."""
    return with_position_table(tensors, config.stacks, table_rows(config.stacks, longest))


def constants(config: ModelConfig) -> dict[str, Tensor]:
    """Return the bias of their logits, which ours have not."""
    import torch

    return {"final_logits_bias": torch.zeros(1, config.vocabulary_size)}


# Names of tensors ---------------------------------------------------------------------------------


def _both(theirs: str, ours: str) -> tuple[Rule, ...]:
    return tuple(Rename(f"{theirs}.{part}", f"{ours}.{part}") for part in ("weight", "bias"))


def _attention(theirs: str, ours: str, norm: str) -> tuple[Rule, ...]:
    parts = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}
    return (
        *(rule for old, new in parts.items() for rule in _both(f"{theirs}.{old}", f"{ours}.{new}")),
        *_both(f"{theirs}_layer_norm", f"{ours}_norm.{norm}"),
    )


def export_map(config: ModelConfig) -> NameMap:
    """Return the rules that write a run."""
    is_pre = kind_of(config) == "blenderbot"
    norm = "before" if is_pre else "after"
    rules: list[Rule] = [Rename("model.shared.weight", "embedding.weight")]
    for side in SIDES:
        theirs, ours = f"model.{side}.layers.{{i}}.", f"{side}.blocks.{{i}}."
        table = f"{side}_entrance.positions.weight"
        rules += [
            Rename(f"model.{side}.embed_positions.weight", table),
            *_attention(theirs + "self_attn", ours + "self_attention", norm),
            *_both(theirs + "fc1", ours + "feed_forward.inner"),
            *_both(theirs + "fc2", ours + "feed_forward.output"),
            *_both(theirs + "final_layer_norm", f"{ours}feed_forward_norm.{norm}"),
        ]
        if is_pre:
            rules += _both(f"model.{side}.layer_norm", f"{side}.final_norm")
    of_decoder = ("model.decoder.layers.{i}.encoder_attn", "decoder.blocks.{i}.cross_attention")
    return NameMap((*rules, *_attention(*of_decoder, norm)))
