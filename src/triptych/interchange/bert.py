"""Read and write BERT and DistilBERT as published: config.json and the names of tensors.

Their sizes are in `presets/bert.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..errors import RunError, brief
from ..messages import message
from ..model.config import ModelConfig, StackConfig
from .config_reader import differences, read_settings, vocabulary_size, written_settings
from .name_map import NameMap
from .rules import Ignore, Rename, Rule, Tie, Withhold, prefixed, respelt

# config.json --------------------------------------------------------------------------------------

KEYS: dict[str, dict[str, str]] = {  # model_type -> setting -> key
    "bert": {
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
    },
    "distilbert": {
        "layers": "n_layers",
        "width": "dim",
        "heads": "n_heads",
        "inner_width": "hidden_dim",
        "max_positions": "max_position_embeddings",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "activation": "activation",
    },
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


def read_config(values: Mapping[str, object], where: str) -> ModelConfig:
    """Read a config.json of model_type bert or distilbert.

    Raises RunError naming all values that are not supported.
    """
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in KEYS:
        raise RunError(
            f"{where} is of model_type {brief(repr(kind))}; triptych reads "
            f"{' and '.join(KEYS)}.{why(kind)}"
        )
    settings = read_settings(values, where, KEYS[kind], DEFAULTS, PLAIN)
    stack = StackConfig(
        positions="learned", embedding_norm=True, **{"norm_epsilon": 1e-12, **settings}
    )
    return ModelConfig(
        encoder=stack, vocabulary_size=vocabulary_size(values), embedding_scale=False
    )


def why(kind: object) -> str:
    """Explain why a model_type is not supported, if there is more to say."""
    if kind in ("roberta", "xlm-roberta", "camembert"):
        return (
            " RoBERTa counts its positions from the padding's number on and has no segments, "
            "which is not supported yet."
        )
    return ""


def refusals(config: ModelConfig) -> list[str]:
    """List the settings by which a model is neither BERT nor DistilBERT, with expected values."""
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
    }
    if stack.segments == 0:
        wanted["norm_epsilon"] = 1e-12  # a DistilBERT config.json has no key for another value
    found = differences(stack, wanted, "encoder.")
    if (stack.key_heads or stack.heads) != stack.heads:
        found.append(f"encoder.key_heads is {stack.key_heads} instead of {stack.heads}")
    if stack.inner_dropout:
        found.append(f"encoder.inner_dropout is {stack.inner_dropout} instead of 0")
    own = {"embedding_scale": False, "tied_embeddings": True, "output_bias": False}
    return found + differences(config, own)


def write_config(config: ModelConfig) -> dict[str, object]:
    """Return the config.json of a model without `refusals`.

    It is a DistilBERT if there are no segments, else a BERT.
    """
    stack = config.encoder
    assert stack is not None and not refusals(config), "the model has settings without a key"
    kind = "bert" if stack.segments else "distilbert"
    return {
        "model_type": kind,
        "vocab_size": config.vocabulary_size,
        **written_settings(stack, KEYS[kind]),
        "dtype": "float32",
    }


# Names of tensors ---------------------------------------------------------------------------------


def _both(theirs: str, ours: str) -> tuple[Rule, ...]:
    return Rename(f"{theirs}.weight", f"{ours}.weight"), Rename(f"{theirs}.bias", f"{ours}.bias")


_BLOCK = "encoder.blocks.{i}."
_ENTRANCE: tuple[Rule, ...] = (
    Rename("embeddings.word_embeddings.weight", "embedding.weight"),
    Rename("embeddings.position_embeddings.weight", "encoder_entrance.positions.weight"),
    *_both("embeddings.LayerNorm", "encoder_entrance.norm"),
    Ignore("embeddings.position_ids", "which counts from 0 and is not a weight"),
    Ignore("embeddings.token_type_ids", "which is zero and not a weight"),
)
BODIES: dict[str, tuple[Rule, ...]] = {
    "bert": (
        *_ENTRANCE,
        Rename("embeddings.token_type_embeddings.weight", "encoder_entrance.segments.weight"),
        *_both("encoder.layer.{i}.attention.self.query", _BLOCK + "self_attention.query"),
        *_both("encoder.layer.{i}.attention.self.key", _BLOCK + "self_attention.key"),
        *_both("encoder.layer.{i}.attention.self.value", _BLOCK + "self_attention.value"),
        *_both("encoder.layer.{i}.attention.output.dense", _BLOCK + "self_attention.output"),
        *_both(
            "encoder.layer.{i}.attention.output.LayerNorm", _BLOCK + "self_attention_norm.after"
        ),
        *_both("encoder.layer.{i}.intermediate.dense", _BLOCK + "feed_forward.inner"),
        *_both("encoder.layer.{i}.output.dense", _BLOCK + "feed_forward.output"),
        *_both("encoder.layer.{i}.output.LayerNorm", _BLOCK + "feed_forward_norm.after"),
    ),
    "distilbert": (
        *_ENTRANCE,
        *_both("transformer.layer.{i}.attention.q_lin", _BLOCK + "self_attention.query"),
        *_both("transformer.layer.{i}.attention.k_lin", _BLOCK + "self_attention.key"),
        *_both("transformer.layer.{i}.attention.v_lin", _BLOCK + "self_attention.value"),
        *_both("transformer.layer.{i}.attention.out_lin", _BLOCK + "self_attention.output"),
        *_both("transformer.layer.{i}.sa_layer_norm", _BLOCK + "self_attention_norm.after"),
        *_both("transformer.layer.{i}.ffn.lin1", _BLOCK + "feed_forward.inner"),
        *_both("transformer.layer.{i}.ffn.lin2", _BLOCK + "feed_forward.output"),
        *_both("transformer.layer.{i}.output_layer_norm", _BLOCK + "feed_forward_norm.after"),
    ),
}
POOLER = _both("pooler.dense", "head.pooler")  # in BERT only, as part of the body
MASKED_WORDS: dict[str, tuple[Rule, ...]] = {
    "bert": (
        *_both("cls.predictions.transform.dense", "head.transform"),
        *_both("cls.predictions.transform.LayerNorm", "head.norm"),
        Rename("cls.predictions.bias", "head.bias"),
        Tie("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        Tie("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ),
    "distilbert": (
        *_both("vocab_transform", "head.transform"),
        *_both("vocab_layer_norm", "head.norm"),
        Rename("vocab_projector.bias", "head.bias"),
        Tie("vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"),
    ),
}
OTHER_HEADS = ("classifier", "pre_classifier", "qa_outputs", "cls.seq_relationship")
# Names in files of 2018 and 2019.
OLD_NORMS = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


@dataclass(frozen=True, kw_only=True)
class Export:
    """Describe how a run for a task is written.

    architecture: the architecture's name; prefix: the body's names have a prefix; rules: those of
    the head; options: values of the task's options that the architecture requires; without: values
    that it has nothing for.
    """

    architecture: str
    prefix: bool = True
    rules: tuple[Rule, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    without: Mapping[str, object] = field(default_factory=dict)

    def refusals(self, options: Mapping[str, object]) -> list[str]:
        """List the task's options that the architecture does not compute."""
        found: list[str] = [
            message(
                "{key} is {value} instead of {wanted}",
                key=f"task.{key}",
                value=repr(options[key]),
                wanted=repr(value),
            )
            for key, value in self.options.items()
            if options[key] != value
        ]
        return found + [
            message("{key} is {value}", key=f"task.{key}", value=repr(options[key]))
            for key, value in self.without.items()
            if options.get(key) == value
        ]


THRESHOLDS = Withhold(
    "head.thresholds", "the architecture has none: the probability above which each label applies"
)
CALIBRATION: tuple[Rule, ...] = (
    Withhold("head.temperature", "the architecture has none: divide its logits by it"),
    THRESHOLDS,
)
ABSTENTION: tuple[Rule, ...] = (
    Withhold(
        "head.threshold",
        "the architecture has none: how much more likely no answer must be, in nats",
    ),
    Withhold("head.can_abstain", "the architecture has none"),
)
EXPORTS: dict[tuple[str, str], Export] = {
    ("bert", "pooling"): Export(architecture="BertModel", prefix=False, rules=POOLER),
    ("distilbert", "pooling"): Export(architecture="DistilBertModel", prefix=False),
    ("bert", "masked-tokens"): Export(architecture="BertForMaskedLM", rules=MASKED_WORDS["bert"]),
    ("distilbert", "masked-tokens"): Export(
        architecture="DistilBertForMaskedLM", rules=MASKED_WORDS["distilbert"]
    ),
    ("bert", "classifier"): Export(
        architecture="BertForSequenceClassification",
        rules=(
            *_both("bert.pooler.dense", "head.dense"),
            *_both("classifier", "head.project"),
            *CALIBRATION,
        ),
        options={"pooling": "first", "hidden": True, "shortcut": False, "bigrams": 0},
    ),
    ("bert", "span"): Export(
        architecture="BertForQuestionAnswering",
        rules=(*_both("qa_outputs", "head.span"), *ABSTENTION),
        without={"match_feature": True},
    ),
    ("distilbert", "span"): Export(
        architecture="DistilBertForQuestionAnswering",
        rules=(*_both("qa_outputs", "head.span"), *ABSTENTION),
        without={"match_feature": True},
    ),
    ("bert", "tagger"): Export(
        architecture="BertForTokenClassification",
        rules=_both("classifier", "head.output"),
        options={"pooling": "first", "bigrams": 0},
        without={"decoding": "crf"},
    ),
    ("distilbert", "tagger"): Export(
        architecture="DistilBertForTokenClassification",
        rules=_both("classifier", "head.output"),
        options={"pooling": "first", "bigrams": 0},
        without={"decoding": "crf"},
    ),
}


def has_masked_words(kind: str, names: Collection[str]) -> bool:
    """Tell whether the tensors have a head that predicts masked words."""
    return any(isinstance(rule, Rename) and rule.theirs in names for rule in MASKED_WORDS[kind])


def has_pooler(names: Collection[str]) -> bool:
    """Tell whether the tensors have BERT's pooler for the first state.

    See Devlin et al. 2018, section 3.1.
    """
    return any(name.endswith("pooler.dense.weight") for name in names)


def name_map(kind: str, head: str, names: Collection[str]) -> NameMap:
    """Return the rules that read tensors of these `names` as a run with a `head`.

    head: pooling or masked-tokens.
    """
    prefix = f"{kind}." if any(name.startswith(f"{kind}.") for name in names) else ""
    body, masked = BODIES[kind], MASKED_WORDS[kind]
    if kind == "bert":
        body += (
            POOLER
            if head == "pooling"
            else _left_out(POOLER, "a run for masked words has no pooler")
        )
    own = masked if head == "masked-tokens" else _left_out(masked, "the head of another task")
    others = tuple(
        Ignore(f"{one}.{part}", "the head of another task")
        for one in OTHER_HEADS
        for part in ("weight", "bias")
    )
    rules = (*prefixed(prefix, body), *own, *others)
    return NameMap(
        respelt(rules, OLD_NORMS)
        if any(name.endswith("LayerNorm.gamma") for name in names)
        else rules
    )


def export_map(kind: str, export: Export) -> NameMap:
    """Return the rules that write a run."""
    return NameMap((*prefixed(f"{kind}." if export.prefix else "", BODIES[kind]), *export.rules))


def _left_out(rules: tuple[Rule, ...], reason: str) -> tuple[Rule, ...]:
    return tuple(Ignore(rule.theirs, reason) for rule in rules if not isinstance(rule, Withhold))
