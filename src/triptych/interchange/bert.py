"""Read and write BERT as published (Devlin et al. 2018): config.json and the names of tensors.

Its sizes are in `presets/bert.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.tokenizers.subwords import Tokenizer
from ..model.config import ModelConfig, StackConfig
from .config_reader import differences, read_settings, vocabulary_size, written_settings
from .encoder_classes import classes, classifier_of_first_state, masked_of_bert
from .family import Family, both
from .rules import Ignore, Rename, Rule

KIND = "bert"
KEYS = {  # setting -> key of config.json
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "inner_width": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "segments": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "norm_epsilon": "layer_norm_eps",
    "activation": "hidden_act",
}
# For missing keys, as in the library that wrote the config.json.
DEFAULTS: dict[str, str | float] = {
    "segments": 2,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "norm_epsilon": 1e-12,
    "activation": "gelu",
    "max_positions": 512,
}
PLAIN: dict[str, object] = {  # keys without a setting here, with the only value that is supported
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "pruned_heads": {},
    "tie_word_embeddings": True,
    "embedding_size": None,
    "quantization_config": None,
}


def read_config(
    values: Mapping[str, object],
    where: str,
    keys: Mapping[str, str] = KEYS,
    defaults: Mapping[str, object] = DEFAULTS,
    plain: Mapping[str, object] = PLAIN,
    problems: Sequence[str] = (),
) -> ModelConfig:
    """Read a config.json of model_type bert, or of a kin with keys or defaults of its own.

    Raises RunError naming all values that are not supported, and the problems.
    """
    settings = read_settings(values, where, keys, defaults, plain, problems)
    stack = StackConfig(positions="learned", embedding_norm=True, **settings)
    return ModelConfig(
        encoder=stack, vocabulary_size=vocabulary_size(values), embedding_scale=False
    )


def refusals(
    config: ModelConfig,
    dials: Mapping[str, object] | None = None,
    free: Sequence[str] = (),
) -> list[str]:
    """List the settings by which a model is not a BERT, with expected values.

    A kin has other values of some `dials`, and any value of those that are `free`.
    """
    stack = config.encoder
    if stack is None or config.decoder is not None:
        return ["it has a decoder, but BERT has an encoder only"]
    wanted = {
        "positions": "learned",
        "norm_placement": "post",
        "norm": "layer",
        "embedding_norm": True,
        "gated": False,
        "bias": True,
        **(dials or {}),
        **{key: getattr(stack, key) for key in free if hasattr(stack, key)},
    }
    found = differences(stack, wanted, "encoder.")
    if (stack.key_heads or stack.heads) != stack.heads:
        found.append(f"encoder.key_heads is {stack.key_heads} instead of {stack.heads}")
    if stack.inner_dropout:
        found.append(f"encoder.inner_dropout is {stack.inner_dropout} instead of 0")
    own = {"embedding_scale": False, "tied_embeddings": True, "output_bias": False}
    own |= {key: getattr(config, key) for key in free if hasattr(config, key)}
    return found + differences(config, own)


def write_config(config: ModelConfig, longest: int, tokenizer: Tokenizer) -> dict[str, object]:
    """Return the config.json of a model without `refusals`."""
    return written(config, KIND, KEYS)


def written(config: ModelConfig, kind: str, keys: Mapping[str, str]) -> dict[str, object]:
    """Return the config.json of an encoder whose settings all have a key."""
    assert config.encoder is not None, "the model is an encoder"
    return {
        "model_type": kind,
        "vocab_size": config.vocabulary_size,
        **written_settings(config.encoder, keys),
        "dtype": "float32",
    }


# Names of tensors ---------------------------------------------------------------------------------

_BLOCK = "encoder.blocks.{i}."
ENTRANCE: tuple[Rule, ...] = (
    Rename("embeddings.word_embeddings.weight", "embedding.weight"),
    Rename("embeddings.position_embeddings.weight", "encoder_entrance.positions.weight"),
    *both("embeddings.LayerNorm", "encoder_entrance.norm"),
    Ignore("embeddings.position_ids", "which counts from 0 and is not a weight"),
    Ignore("embeddings.token_type_ids", "which is zero and not a weight"),
)
SEGMENTS = Rename("embeddings.token_type_embeddings.weight", "encoder_entrance.segments.weight")
BLOCKS: tuple[Rule, ...] = (
    *both("encoder.layer.{i}.attention.self.query", _BLOCK + "self_attention.query"),
    *both("encoder.layer.{i}.attention.self.key", _BLOCK + "self_attention.key"),
    *both("encoder.layer.{i}.attention.self.value", _BLOCK + "self_attention.value"),
    *both("encoder.layer.{i}.attention.output.dense", _BLOCK + "self_attention.output"),
    *both("encoder.layer.{i}.attention.output.LayerNorm", _BLOCK + "self_attention_norm.after"),
    *both("encoder.layer.{i}.intermediate.dense", _BLOCK + "feed_forward.inner"),
    *both("encoder.layer.{i}.output.dense", _BLOCK + "feed_forward.output"),
    *both("encoder.layer.{i}.output.LayerNorm", _BLOCK + "feed_forward_norm.after"),
)


def body(config: ModelConfig) -> tuple[Rule, ...]:
    """Return the rules of the body: the embeddings and the blocks."""
    return (*ENTRANCE, SEGMENTS, *BLOCKS)


FAMILY = Family(
    name="a BERT",
    kinds=(KIND,),
    architecture="encoder",
    preset="bert-base",
    prefix="bert.",
    classes=classes(
        "Bert",
        masked=masked_of_bert("Bert", "bert."),
        classifier=classifier_of_first_state(
            "Bert", both("classifier", "head.project"), both("pooler.dense", "head.dense")
        ),
    ),
    read_config=read_config,
    refusals=refusals,
    write_config=write_config,
    body=body,
    ignored=("cls.seq_relationship.weight", "cls.seq_relationship.bias"),
    # names in files of 2018 and 2019
    spellings={"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"},
    has_segments=True,
)
