"""Write pre-norm encoders as classes of the library transformers: ESM and Megatron-BERT.

Both have BERT's blocks with the norm before each part, as presets encoder-small and encoder-tiny
have. ESM (Lin et al. 2023) has rotary positions and reads one text; Megatron-BERT (Shoeybi et al.
2019) has a table of positions, which can hold sinusoids, and segments for two texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ..data.tokenizers.subwords import Tokenizer
from ..messages import message
from ..model.config import ModelConfig, StackConfig
from .config_reader import differences, written_settings
from .family import (
    ABSTENTION,
    FIRST_PIECE,
    FIRST_STATE,
    NO_CHAIN,
    NO_MATCHES,
    THRESHOLDS,
    Family,
    PublishedClass,
    both,
)
from .folding import (
    table_rows,
    with_first_segment,
    with_position_table,
    with_scaled_rows,
    with_temperature,
)
from .rules import Rename, Rule, Withhold

if TYPE_CHECKING:
    from torch import Tensor

ESM, MEGATRON = "esm", "megatron-bert"
KEYS = {  # setting -> key of config.json
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "inner_width": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "norm_epsilon": "layer_norm_eps",
}
LEAST_SEGMENTS = 2  # of a tokenizer's pairs


def _stack(config: ModelConfig) -> StackConfig:
    assert config.encoder is not None and config.decoder is None, "only encoders are written"
    return config.encoder


def _refusals(config: ModelConfig, kind: str) -> list[str]:
    """List the settings by which an encoder is not of a model_type, with expected values."""
    stack = _stack(config)
    wanted: dict[str, object] = {
        "norm_placement": "pre",
        "norm": "layer",
        "embedding_norm": False,
        "gated": False,
        "bias": True,
        "inner_dropout": 0.0,
    }
    found: list[str] = []
    if kind == ESM:
        wanted |= {"positions": "rotary", "activation": "gelu", "rotary_base": stack.rotary_base}
    elif stack.positions not in ("sinusoidal", "learned"):
        found = [
            message(
                "{key} is {value} instead of {wanted}",
                key="encoder.positions",
                value=repr(stack.positions),
                wanted="'sinusoidal' or 'learned'",
            )
        ]
    found += differences(stack, wanted, "encoder.")
    if (stack.key_heads or stack.heads) != stack.heads:
        found.append(f"encoder.key_heads is {stack.key_heads} instead of {stack.heads}")
    return found + differences(config, {"output_bias": False, "tied_embeddings": True})


def _write_config(
    config: ModelConfig, longest: int, tokenizer: Tokenizer, kind: str
) -> dict[str, object]:
    """Return the config.json of a model without refusals. Its end token also pads."""
    stack = _stack(config)
    common: dict[str, object] = {
        "model_type": kind,
        "vocab_size": config.vocabulary_size,
        **written_settings(stack, KEYS),
        "pad_token_id": tokenizer.end_id,
        "tie_word_embeddings": False,
        "dtype": "float32",
    }
    if kind == ESM:
        return {
            **common,
            "position_embedding_type": "rotary",
            "rope_theta": stack.rotary_base,
            "emb_layer_norm_before": False,
            "token_dropout": False,
            "max_position_embeddings": max(longest, stack.max_positions),
        }
    return {
        **common,
        **written_settings(stack, {"activation": "hidden_act"}),
        "max_position_embeddings": table_rows(config.stacks, longest),
        "type_vocab_size": max(stack.segments, LEAST_SEGMENTS),
    }


def _prepared(
    tensors: Mapping[str, Tensor], config: ModelConfig, longest: int, kind: str
) -> dict[str, Tensor]:
    """Return our tensors as a model of that type computes with them."""
    import torch

    found = with_temperature(with_scaled_rows(tensors, config))
    if kind == ESM:
        return with_first_segment(found, "encoder")
    found = with_position_table(found, config.stacks, table_rows(config.stacks, longest))
    none = torch.zeros(LEAST_SEGMENTS, _stack(config).width)
    return {"encoder_entrance.segments.weight": none, **found}


def _esm_constants(config: ModelConfig, chosen: PublishedClass, longest: int) -> dict[str, Tensor]:
    """Return tensors of theirs that hold nothing learnt, so that a load misses none."""
    import torch

    stack, prefix = _stack(config), "esm." if chosen.prefix else ""
    width, pairs = stack.width, stack.layers * stack.heads
    shapes = {"contact_head.regression.weight": (1, pairs), "contact_head.regression.bias": (1,)}
    if not chosen.prefix:
        shapes |= {"pooler.dense.weight": (width, width), "pooler.dense.bias": (width,)}
    evens = torch.arange(0, stack.size_of_head, 2, dtype=torch.float)
    angles = {"rotary_embeddings.inv_freq": stack.rotary_base ** -(evens / stack.size_of_head)}
    unused = {name: torch.zeros(shape) for name, shape in shapes.items()}
    return {prefix + name: one for name, one in {**angles, **unused}.items()}


# Names of tensors ---------------------------------------------------------------------------------


_BLOCK, _LAYER = "encoder.blocks.{i}.", "encoder.layer.{i}."
_SHARED: tuple[Rule, ...] = (
    Rename("embeddings.word_embeddings.weight", "embedding.weight"),
    *both(_LAYER + "attention.self.query", _BLOCK + "self_attention.query"),
    *both(_LAYER + "attention.self.key", _BLOCK + "self_attention.key"),
    *both(_LAYER + "attention.self.value", _BLOCK + "self_attention.value"),
    *both(_LAYER + "attention.output.dense", _BLOCK + "self_attention.output"),
    *both(_LAYER + "intermediate.dense", _BLOCK + "feed_forward.inner"),
    *both(_LAYER + "output.dense", _BLOCK + "feed_forward.output"),
)
BODIES: dict[str, tuple[Rule, ...]] = {
    ESM: (
        *_SHARED,
        *both(_LAYER + "attention.LayerNorm", _BLOCK + "self_attention_norm.before"),
        *both(_LAYER + "LayerNorm", _BLOCK + "feed_forward_norm.before"),
        *both("encoder.emb_layer_norm_after", "encoder.final_norm"),
    ),
    MEGATRON: (
        *_SHARED,
        Rename("embeddings.position_embeddings.weight", "encoder_entrance.positions.weight"),
        Rename("embeddings.token_type_embeddings.weight", "encoder_entrance.segments.weight"),
        *both(_LAYER + "attention.ln", _BLOCK + "self_attention_norm.before"),
        *both(_LAYER + "ln", _BLOCK + "feed_forward_norm.before"),
        *both("encoder.ln", "encoder.final_norm"),
    ),
}
_UNUSED_OUTPUT = Withhold("output.weight", "the task reads texts and writes none")
_CALIBRATION: tuple[Rule, ...] = (
    Withhold("head.temperature", "which its logits are divided by already"),
    THRESHOLDS,
)
_ESM_CLASSES = (
    PublishedClass(
        architecture="EsmForMaskedLM",
        head="masked-tokens",
        rules=(
            *both("lm_head.dense", "head.transform"),
            *both("lm_head.layer_norm", "head.norm"),
            Rename("lm_head.bias", "head.bias"),
            Rename("lm_head.decoder.weight", "output.weight"),
        ),
    ),
    PublishedClass(
        architecture="EsmForSequenceClassification",
        head="classifier",
        rules=(
            *both("classifier.dense", "head.dense"),
            *both("classifier.out_proj", "head.project"),
            *_CALIBRATION,
            _UNUSED_OUTPUT,
        ),
        options=FIRST_STATE,
    ),
    PublishedClass(
        architecture="EsmForTokenClassification",
        head="tagger",
        rules=(*both("classifier", "head.output"), _UNUSED_OUTPUT),
        options=FIRST_PIECE,
        without=NO_CHAIN,
    ),
    PublishedClass(architecture="EsmModel", head="pooling", prefix=False, rules=(_UNUSED_OUTPUT,)),
)
_MEGATRON_CLASSES = (
    PublishedClass(
        architecture="MegatronBertForSequenceClassification",
        head="classifier",
        body=both("pooler.dense", "head.dense"),
        rules=(*both("classifier", "head.project"), *_CALIBRATION, _UNUSED_OUTPUT),
        options=FIRST_STATE,
    ),
    PublishedClass(
        architecture="MegatronBertForTokenClassification",
        head="tagger",
        rules=(*both("classifier", "head.output"), _UNUSED_OUTPUT),
        options=FIRST_PIECE,
        without=NO_CHAIN,
    ),
    PublishedClass(
        architecture="MegatronBertForQuestionAnswering",
        head="span",
        rules=(*both("qa_outputs", "head.span"), *ABSTENTION, _UNUSED_OUTPUT),
        without=NO_MATCHES,
    ),
)


def _body(config: ModelConfig, kind: str) -> tuple[Rule, ...]:
    return BODIES[kind]


PLAIN = Family(
    name="an ESM",
    kinds=(ESM,),
    architecture="encoder",
    preset="encoder-small",
    prefix="esm.",
    classes=_ESM_CLASSES,
    refusals=partial(_refusals, kind=ESM),
    write_config=partial(_write_config, kind=ESM),
    body=partial(_body, kind=ESM),
    prepared=partial(_prepared, kind=ESM),
    constants=_esm_constants,
)
PAIRS = Family(
    name="a Megatron-BERT",
    kinds=(MEGATRON,),
    architecture="encoder",
    preset="encoder-small",
    prefix="bert.",
    classes=_MEGATRON_CLASSES,
    refusals=partial(_refusals, kind=MEGATRON),
    write_config=partial(_write_config, kind=MEGATRON),
    body=partial(_body, kind=MEGATRON),
    has_segments=True,
    prepared=partial(_prepared, kind=MEGATRON),
)
