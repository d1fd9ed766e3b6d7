"""Test BERT and DistilBERT: config.json both ways, names of tensors, equal states."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from toy_folder import CONFIG, WORDS, tensors
from triptych.errors import RunError
from triptych.interchange import bert, distilbert
from triptych.interchange.families import READ
from triptych.interchange.family import Family, PublishedClass
from triptych.interchange.rules import Rename, Withhold
from triptych.model.build import build
from triptych.model.config import ModelConfig
from triptych.presets import PRESETS, configure

NONE: Any = None  # a tokenizer, which these families do not ask
DISTIL: dict[str, Any] = {
    "model_type": "distilbert",
    "vocab_size": 21,
    "dim": 8,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 12,
    "max_position_embeddings": 64,
    "activation": "gelu",
    "dropout": 0.1,
    "attention_dropout": 0.3,
}


def wanted(
    config: ModelConfig, masked: bool = False, pooler: bool = False
) -> dict[str, tuple[int, ...]]:
    assert config.encoder is not None
    width, size = config.encoder.width, config.vocabulary_size
    found = {name: tuple(tensor.shape) for name, tensor in build(config).state_dict().items()}
    head = {
        "transform.weight": (width, width),
        "transform.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "bias": (size,),
    }
    found |= {f"head.{name}": shape for name, shape in head.items()} if masked else {}
    return found | (
        {"head.pooler.weight": (width, width), "head.pooler.bias": (width,)} if pooler else {}
    )


@pytest.mark.parametrize(
    "values", [CONFIG, DISTIL, {**CONFIG, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5}]
)
def test_config_there_and_back(values: dict[str, Any]) -> None:
    family = READ[values["model_type"]]
    assert family.read_config is not None
    config = family.read_config(values, "config.json")
    assert (
        config.encoder is not None
        and config.encoder.attention_dropout == 0.3
        and config.encoder.embedding_norm
    )
    written = family.write_config(config, 64, NONE)
    assert {key: values[key] for key in written if key in values} == {
        key: written[key] for key in written if key in values
    }
    assert family.read_config(written, "config.json") == config


@pytest.mark.parametrize("name", ["bert-base", "bert-large", "distilbert-base"])
def test_presets_are_what_their_config_says(name: str) -> None:
    config, module = dataclasses.replace(PRESETS[name], vocabulary_size=30_522), bert
    if name.startswith("distil"):
        module = distilbert
    assert (
        isinstance(config, ModelConfig)
        and module.read_config(module.write_config(config, 512, NONE), "config.json") == config
    )


def test_what_a_config_says_that_we_have_not_is_said_at_once() -> None:
    values = {
        **CONFIG,
        "is_decoder": True,
        "hidden_act": "mish",
        "position_embedding_type": "relative_key",
        "hidden_size": "8",
    }
    del values["vocab_size"]
    with pytest.raises(RunError) as caught:
        bert.read_config(values, "x/config.json")
    for part in (
        "x/config.json",
        "vocab_size is missing",
        "is_decoder is True",
        "'relative_key'",
        "'mish'",
        "hidden_size is '8'",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_attention_heads", 0),
        ("hidden_size", 0),
        ("num_hidden_layers", 0),
        ("vocab_size", "21"),
        ("vocab_size", 21.5),
        ("vocab_size", -3),
        ("max_position_embeddings", 0),
        ("hidden_dropout_prob", 1.5),
        ("hidden_dropout_prob", -0.5),
        ("layer_norm_eps", -1e-12),
    ],
)
def test_sizes_that_cannot_be_are_said_by_their_key(key: str, value: Any) -> None:
    with pytest.raises(RunError) as caught:
        bert.read_config({**CONFIG, key: value}, "config.json")
    assert f"{key} is {value!r}" in str(caught.value)


def test_heads_that_do_not_divide_the_width_are_said() -> None:
    with pytest.raises(
        RunError,
        match="hidden_size 8, 3 heads and 3 key heads: each must be a multiple of the next",
    ):
        bert.read_config({**CONFIG, "num_attention_heads": 3}, "config.json")


def test_models_without_a_like_name_their_dials() -> None:
    config = configure("encoder-small", {})
    assert isinstance(config, ModelConfig)
    text = "; ".join(bert.refusals(config))
    for part in (
        "positions is 'rotary' instead of 'learned'",
        "norm_placement is 'pre'",
        "embedding_norm is False",
        "embedding_scale is True",
    ):
        assert part in text
    whole = configure("transformer-small", {})
    assert isinstance(whole, ModelConfig) and bert.refusals(whole) == [
        "it has a decoder, but BERT has an encoder only"
    ]
    assert not distilbert.refusals(PRESETS["distilbert-base"])  # type: ignore[arg-type]


@pytest.mark.parametrize("pooler", [True, False])
def test_names_of_2018_and_second_names(pooler: bool) -> None:
    config = bert.read_config(CONFIG, "config.json")
    held = tensors(pooler=True, masked=True)
    held["cls.predictions.decoder.weight"] = held["bert.embeddings.word_embeddings.weight"].clone()
    held |= {
        "cls.seq_relationship.weight": torch.ones(2, 8),
        "cls.seq_relationship.bias": torch.ones(2),
    }
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): one
        for name, one in held.items()
    }
    assert bert.FAMILY.published(["BertForPreTraining"], held).head == "masked-tokens"
    published = bert.FAMILY.class_of("pooling" if pooler else "masked-tokens")
    assert published is not None
    shapes = wanted(config, masked=not pooler, pooler=pooler)
    ours, certificate = bert.FAMILY.name_map(published, config, held).to_ours(held, shapes)
    again, _ = bert.FAMILY.name_map(published, config, old).to_ours(old, shapes)
    assert all(torch.equal(ours[name], again[name]) for name in shapes)
    assert "cls.seq_relationship.weight" in certificate.ignored
    assert ("bert.pooler.dense.weight" in certificate.ignored) == (not pooler)
    assert ("cls.predictions.decoder.weight" in certificate.tied) == (not pooler)


def masked_logits(model: Any, states: Tensor, held: dict[str, Tensor]) -> Tensor:
    """Compute transform, GELU, norm, token table and bias (Devlin et al. 2018, section 3.1)."""
    x = functional.gelu(
        functional.linear(states, held["head.transform.weight"], held["head.transform.bias"])
    )
    x = functional.layer_norm(
        x, (states.shape[1],), held["head.norm.weight"], held["head.norm.bias"], 1e-12
    )
    return functional.linear(x, model.embedding.weight, held["head.bias"])


@pytest.mark.parametrize("kind", ["Bert", "DistilBert"])
@pytest.mark.parametrize("masked", [True, False])
def test_the_same_states_as_transformers(kind: str, masked: bool) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers, the oracle of imports, is not installed"
    )
    values, family = (CONFIG, bert.FAMILY) if kind == "Bert" else (DISTIL, distilbert.FAMILY)
    published = family.class_of("masked-tokens" if masked else "pooling")
    assert published is not None and family.read_config is not None
    torch.manual_seed(7)
    there: nn.Module = getattr(transformers, f"{kind}ForMaskedLM" if masked else f"{kind}Model")(
        getattr(transformers, f"{kind}Config")(
            **{
                key: value
                for key, value in values.items()
                if key not in ("model_type", "architectures")
            }
        )
    ).eval()
    for parameter in there.parameters():
        # Biases and norms differ from their initial values.
        parameter.data = torch.randn_like(parameter) * 0.3
    if masked:
        there.tie_weights()  # type: ignore[operator]
    config, theirs, has_pooler = (
        family.read_config(values, "config.json"),
        dict(there.state_dict()),
        kind == "Bert" and not masked,
    )
    names = family.name_map(published, config, theirs)
    ours, _ = names.to_ours(theirs, wanted(config, masked, has_pooler))
    model = build(config)
    model.load_state_dict(
        {name: tensor for name, tensor in ours.items() if not name.startswith("head.")}
    )
    ids, lengths, segments = (
        torch.randint(0, len(WORDS), (12,)),
        [9, 3],
        torch.tensor([0] * 4 + [1] * 5 + [0] * 3),
    )
    mask = torch.tensor([[1] * 9, [1] * 3 + [0] * 6])
    padded = torch.zeros(2, 9, dtype=torch.int64)
    padded[mask.bool()] = ids
    more = {"token_type_ids": torch.tensor([[0] * 4 + [1] * 5, [0] * 9])} if kind == "Bert" else {}
    with torch.no_grad():
        states = model.eval()(source=ids, source_lengths=torch.tensor(lengths), segments=segments)
        found = masked_logits(model, states, ours) if masked else states
        answer = there(padded, attention_mask=mask, **more)
    expected = (answer.logits if masked else answer.last_hidden_state)[mask.bool()]
    assert (found - expected).abs().max() < 1e-5
    back = family.export_map(published, config).to_theirs(ours)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in back.items())
    assert {name.replace("decoder.weight", "") for name in theirs.keys() - back.keys()} <= {
        "cls.predictions.",
        "cls.predictions.decoder.bias",
        "vocab_projector.weight",
        "bert.embeddings.position_ids",
    }


CLASSES = [(one, each) for one in (bert.FAMILY, distilbert.FAMILY) for each in one.classes]


@pytest.mark.parametrize(("family", "published"), CLASSES)
def test_an_export_leaves_nothing_out(family: Family, published: PublishedClass) -> None:
    """Check that every tensor is written, except for second names and constants."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers, the oracle of imports, is not installed"
    )
    values = CONFIG if family is bert.FAMILY else DISTIL
    configuration = (
        transformers.BertConfig if family is bert.FAMILY else transformers.DistilBertConfig
    )
    dials = {
        key: value for key, value in values.items() if key not in ("model_type", "architectures")
    }
    there = getattr(transformers, published.architecture)(configuration(**dials)).state_dict()
    written, others = set(), set()
    assert family.read_config is not None
    config = family.read_config(values, "config.json")
    for rule in family.export_map(published, config).rules:
        if not isinstance(rule, Withhold):
            (written if isinstance(rule, Rename) else others).update(
                rule.theirs.format(i=layer) for layer in range(2)
            )
    assert written == there.keys() - others
