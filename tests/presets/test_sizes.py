"""The published sizes, counted by formula and by building."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from triptych.errors import UsageError
from triptych.model.build import build
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.model.dials import pattern
from triptych.presets import PRESETS, active_parameter_count, configure, parameter_count
from triptych.presets.estimate import size_of
from triptych.runs.sizes import bytes_needed

SHARED_2017 = 37_000  # Vaswani et al. 2017, section 5.1


def sized(name: str, **more: Any) -> Any:
    return dataclasses.replace(PRESETS[name], vocabulary_size=SHARED_2017, **more)


def block(width: int, inner: int, attentions: int) -> int:
    """A block by the formulas of sections 3.1 to 3.3: W_q, W_k, W_v, W_o with biases, two layers, a
    norm for each.
    """
    attention = 4 * (width * width + width)
    feed_forward = width * inner + inner + inner * width + width
    return attentions * attention + feed_forward + (attentions + 1) * 2 * width


@pytest.mark.parametrize(
    ("name", "width", "inner", "millions"),
    [("transformer-base", 512, 2048, 65), ("transformer-big", 1024, 4096, 213)],
)
def test_the_sizes_of_2017(name: str, width: int, inner: int, millions: float) -> None:
    by_formula = SHARED_2017 * width + 6 * (block(width, inner, 1) + block(width, inner, 2))
    assert parameter_count(sized(name)) == by_formula
    assert by_formula / 1e6 == pytest.approx(millions, rel=0.03)  # table 3 of the paper


def test_base_and_big_to_the_last_number() -> None:
    assert parameter_count(sized("transformer-base")) == 63_082_496
    assert parameter_count(sized("transformer-big")) == 214_245_376


@pytest.mark.parametrize(
    ("name", "vocabulary", "parameters"),
    [  # as published, without BERT's pooler (width x width + width)
        ("bert-base", 30_522, 109_482_240 - (768 * 768 + 768)),
        ("bert-large", 30_522, 335_141_888 - (1024 * 1024 + 1024)),
        ("distilbert-base", 30_522, 66_362_880),
        # without the two rows of each table of positions that are never read
        ("bart-base", 50_265, 139_420_416 - 2 * 2 * 768),
        ("gpt2", 50_257, 124_439_808),
        ("gpt2-medium", 50_257, 354_823_168),
        ("gpt2-large", 50_257, 774_030_080),
        ("gpt2-xl", 50_257, 1_557_611_200),
        ("llama-7b", 32_000, 6_738_415_616),
        ("mixtral-8x7b", 32_000, 46_702_792_704),
        ("switch-base-8", 32_128, 619_339_008),
    ],
)
def test_the_published_sizes(name: str, vocabulary: int, parameters: int) -> None:
    assert (
        parameter_count(dataclasses.replace(PRESETS[name], vocabulary_size=vocabulary))
        == parameters
    )


@pytest.mark.parametrize(
    ("name", "vocabulary", "active"),
    [  # Jiang et al. 2024: 13 B; Switch: as many as T5's base size, and 12 routers
        ("mixtral-8x7b", 32_000, 12_879_925_248),
        ("switch-base-8", 32_128, 222_903_552 + 12 * 8 * 768),
    ],
)
def test_the_parameters_of_a_token(name: str, vocabulary: int, active: int) -> None:
    config = dataclasses.replace(PRESETS[name], vocabulary_size=vocabulary)
    assert active_parameter_count(config) == active
    assert f"{active:,} parameters used by each token" in size_of(config)
    assert "of 8 experts a token" in size_of(config)
    dense = dataclasses.replace(PRESETS["gpt2"], vocabulary_size=vocabulary)
    assert active_parameter_count(dense) == parameter_count(dense)
    assert "expert" not in size_of(dense)


def test_experts_are_counted_before_they_are_built() -> None:
    """Each is Python objects too, so many tiny ones need more memory than their weights."""
    stack = StackConfig(layers=1, width=2, heads=1, inner_width=1, experts=10**9)
    config = ModelConfig(decoder=stack, vocabulary_size=5)
    assert bytes_needed(config) > 4e13 > 1e3 * 4 * parameter_count(config) / 1e3


def fewer(config: Any) -> Any:
    """Each kind of block once or twice, and few experts: modules take time to build."""
    if isinstance(config, RecurrentConfig):
        return config
    stacks: dict[str, Any] = {}
    for side, stack in config.stacks.items():
        turns = {
            key: [min(one, 3) if key == "experts" else one for one in values]
            for key, values in (stack.by_block or {}).items()
        }
        experts = min(stack.experts, 3) if stack.experts else None
        layers = min(stack.layers, pattern(stack) + 1)
        stacks[side] = dataclasses.replace(
            stack, layers=layers, by_block=turns or None, experts=experts
        )
    return dataclasses.replace(config, **stacks)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("source", [None, 500])
def test_count_is_what_is_built(name: str, source: int | None) -> None:
    config = fewer(sized(name, source_vocabulary_size=source))
    with torch.device("meta"):
        model = build(config)
    assert parameter_count(config) == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    "dials",
    [
        {"positions": "learned", "max_positions": 77},
        {"gated": True, "activation": "silu", "norm": "rms", "bias": False},
        {"key_heads": 2, "positions": "rotary", "norm_placement": "pre"},
        {"tied_embeddings": False, "output_bias": True},
        {"encoder": {"layers": 1}, "decoder": {"layers": 4, "inner_width": 96}},
    ],
)
def test_count_follows_every_dial(dials: dict[str, Any]) -> None:
    config = configure("transformer-tiny", dials)
    assert isinstance(config, ModelConfig)
    config = dataclasses.replace(config, vocabulary_size=90)
    with torch.device("meta"):
        model = build(config)
    assert parameter_count(config) == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("attention", [True, False])
def test_count_of_the_recurrent_model(attention: bool) -> None:
    config = configure("recurrent-small", {"attention": attention})
    assert isinstance(config, RecurrentConfig)
    config = dataclasses.replace(config, vocabulary_size=90)
    with torch.device("meta"):
        model = build(config)
    assert parameter_count(config) == sum(parameter.numel() for parameter in model.parameters())


def test_a_dial_goes_to_both_stacks_and_its_own_wins() -> None:
    config = configure("transformer-small", {"dropout": 0.3, "decoder": {"dropout": 0.1}})
    assert isinstance(config, ModelConfig) and config.encoder and config.decoder
    assert (config.encoder.dropout, config.decoder.dropout) == (0.3, 0.1)


@pytest.mark.parametrize(
    ("name", "dials", "said"),
    [
        ("transformer-smal", {}, "Did you mean 'transformer-small'"),
        ("transformer-small", {"layer": 3}, "Did you mean 'model.layers'"),
        ("recurrent-small", {"heads": 3}, "for preset recurrent-small"),
        ("transformer-small", {"heads": 5}, "must be a multiple of heads 5"),
        ("transformer-small", {"dropout": 1.0}, "below 1"),
        (
            "transformer-small",
            {"key_heads": -2},
            "model.encoder.key_heads is -2; it must be a whole number of at least 1",
        ),
        (
            "transformer-small",
            {"decoder": {"max_positions": 0}},
            "model.decoder.max_positions is 0",
        ),
        ("transformer-small", {"segments": -1}, "segments is -1"),
        (
            "transformer-small",
            {"norm_epsilon": -1.0},
            "norm_epsilon is -1.0; it must be a number above 0",
        ),
        ("transformer-small", {"rotary_base": 0.0}, "rotary_base is 0.0"),
        (
            "recurrent-small",
            {"width": 0},
            "model.width is 0; it must be a whole number of at least 1",
        ),
        (
            "recurrent-small",
            {"dropout": 2.0},
            "model.dropout is 2.0; it must be a number from 0 to below 1",
        ),
    ],
)
def test_what_cannot_be_is_refused(name: str, dials: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        configure(name, dials)
