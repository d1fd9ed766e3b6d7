"""Write pre-norm encoders as classes of the library transformers: ESM and Megatron-BERT.

Both have BERT's blocks with the norm before each part, as presets encoder-small and encoder-tiny
have. ESM (Lin et al. 2023) has rotary positions and reads one text; Megatron-BERT (Shoeybi et al.
2019) has a table of positions, which can hold sinusoids, and segments for two texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..messages import message
from ..model.config import ModelConfig, StackConfig
from .bert import ABSTENTION, THRESHOLDS, Export
from .config_reader import differences, written_settings
from .folding import (
    table_rows,
    with_first_segment,
    with_position_table,
    with_scaled_rows,
    with_temperature,
)
from .name_map import NameMap
from .rules import Rename, Rule, Withhold, prefixed

if TYPE_CHECKING:
    from torch import Tensor

ESM, MEGATRON = "esm", "megatron-bert"
NAMES = {ESM: "an ESM", MEGATRON: "a Megatron-BERT"}
PREFIXES = {ESM: "esm.", MEGATRON: "bert."}
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


def kind_of(stack: StackConfig, is_pair: bool) -> str:
    """Return the model_type that comes nearest to an encoder."""
    return ESM if stack.positions == "rotary" and not is_pair else MEGATRON


def refusals(config: ModelConfig, kind: str) -> list[str]:
    """List the settings by which an encoder is not of a model_type, with expected values."""
    stack = config.encoder
    assert stack is not None and config.decoder is None, "only encoder-only models are written"
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


def write_config(config: ModelConfig, kind: str, longest: int, end: int) -> dict[str, object]:
    """Return the config.json of a model without `refusals`.

    longest: tokens that are read at once; end: the token that also pads.
    """
    stack = config.encoder
    assert stack is not None and not refusals(config, kind), "the model has settings without a key"
    common: dict[str, object] = {
        "model_type": kind,
        "vocab_size": config.vocabulary_size,
        **written_settings(stack, KEYS),
        "pad_token_id": end,
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


def prepared(
    tensors: Mapping[str, Tensor], config: ModelConfig, kind: str, longest: int
) -> dict[str, Tensor]:
    """Return our tensors as a model of that type computes with them."""
    import torch

    assert config.encoder is not None, "only encoder-only models are written"
    found = with_temperature(with_scaled_rows(tensors, config))
    if kind == ESM:
        return with_first_segment(found, "encoder")
    found = with_position_table(found, config.stacks, table_rows(config.stacks, longest))
    none = torch.zeros(LEAST_SEGMENTS, config.encoder.width)
    return {"encoder_entrance.segments.weight": none, **found}


def constants(config: ModelConfig, kind: str, export: Export) -> dict[str, Tensor]:
    """Return tensors of theirs that hold nothing learnt, so that a load misses none."""
    import torch

    if kind != ESM or config.encoder is None:
        return {}
    stack, prefix = config.encoder, PREFIXES[ESM] if export.prefix else ""
    width, pairs = stack.width, stack.layers * stack.heads
    shapes = {"contact_head.regression.weight": (1, pairs), "contact_head.regression.bias": (1,)}
    if not export.prefix:
        shapes |= {"pooler.dense.weight": (width, width), "pooler.dense.bias": (width,)}
    evens = torch.arange(0, stack.size_of_head, 2, dtype=torch.float)
    angles = {"rotary_embeddings.inv_freq": stack.rotary_base ** -(evens / stack.size_of_head)}
    unused = {name: torch.zeros(shape) for name, shape in shapes.items()}
    return {prefix + name: one for name, one in {**angles, **unused}.items()}


# Names of tensors ---------------------------------------------------------------------------------


def _both(theirs: str, ours: str) -> tuple[Rule, ...]:
    return tuple(Rename(f"{theirs}.{part}", f"{ours}.{part}") for part in ("weight", "bias"))


_BLOCK, _LAYER = "encoder.blocks.{i}.", "encoder.layer.{i}."
_SHARED: tuple[Rule, ...] = (
    Rename("embeddings.word_embeddings.weight", "embedding.weight"),
    *_both(_LAYER + "attention.self.query", _BLOCK + "self_attention.query"),
    *_both(_LAYER + "attention.self.key", _BLOCK + "self_attention.key"),
    *_both(_LAYER + "attention.self.value", _BLOCK + "self_attention.value"),
    *_both(_LAYER + "attention.output.dense", _BLOCK + "self_attention.output"),
    *_both(_LAYER + "intermediate.dense", _BLOCK + "feed_forward.inner"),
    *_both(_LAYER + "output.dense", _BLOCK + "feed_forward.output"),
)
BODIES: dict[str, tuple[Rule, ...]] = {
    ESM: (
        *_SHARED,
        *_both(_LAYER + "attention.LayerNorm", _BLOCK + "self_attention_norm.before"),
        *_both(_LAYER + "LayerNorm", _BLOCK + "feed_forward_norm.before"),
        *_both("encoder.emb_layer_norm_after", "encoder.final_norm"),
    ),
    MEGATRON: (
        *_SHARED,
        Rename("embeddings.position_embeddings.weight", "encoder_entrance.positions.weight"),
        Rename("embeddings.token_type_embeddings.weight", "encoder_entrance.segments.weight"),
        *_both(_LAYER + "attention.ln", _BLOCK + "self_attention_norm.before"),
        *_both(_LAYER + "ln", _BLOCK + "feed_forward_norm.before"),
        *_both("encoder.ln", "encoder.final_norm"),
    ),
}
_UNUSED_OUTPUT = Withhold("output.weight", "the task reads texts and writes none")
_CALIBRATION: tuple[Rule, ...] = (
    Withhold("head.temperature", "which its logits are divided by already"),
    THRESHOLDS,
)
_FIRST = {"pooling": "first", "hidden": True, "shortcut": False, "bigrams": 0}
_TAGS = {"pooling": "first", "bigrams": 0}
EXPORTS: dict[tuple[str, str], Export] = {
    (ESM, "pooling"): Export(architecture="EsmModel", prefix=False, rules=()),
    (ESM, "masked-tokens"): Export(
        architecture="EsmForMaskedLM",
        rules=(
            *_both("lm_head.dense", "head.transform"),
            *_both("lm_head.layer_norm", "head.norm"),
            Rename("lm_head.bias", "head.bias"),
            Rename("lm_head.decoder.weight", "output.weight"),
        ),
    ),
    (ESM, "classifier"): Export(
        architecture="EsmForSequenceClassification",
        rules=(
            *_both("classifier.dense", "head.dense"),
            *_both("classifier.out_proj", "head.project"),
            *_CALIBRATION,
        ),
        options=_FIRST,
    ),
    (ESM, "tagger"): Export(
        architecture="EsmForTokenClassification",
        rules=_both("classifier", "head.output"),
        options=_TAGS,
        without={"decoding": "crf"},
    ),
    (MEGATRON, "classifier"): Export(
        architecture="MegatronBertForSequenceClassification",
        rules=(
            *_both("bert.pooler.dense", "head.dense"),
            *_both("classifier", "head.project"),
            *_CALIBRATION,
        ),
        options=_FIRST,
    ),
    (MEGATRON, "tagger"): Export(
        architecture="MegatronBertForTokenClassification",
        rules=_both("classifier", "head.output"),
        options=_TAGS,
        without={"decoding": "crf"},
    ),
    (MEGATRON, "span"): Export(
        architecture="MegatronBertForQuestionAnswering",
        rules=(*_both("qa_outputs", "head.span"), *ABSTENTION),
        without={"match_feature": True},
    ),
}


def export_map(kind: str, export: Export) -> NameMap:
    """Return the rules that write a run."""
    body = prefixed(PREFIXES[kind] if export.prefix else "", BODIES[kind])
    writes = any("output.weight" in rule.parts for rule in export.rules if isinstance(rule, Rename))
    return NameMap((*body, *export.rules, *(() if writes else (_UNUSED_OUTPUT,))))
