"""Dials: what is written of them, what does not fit, and blocks of one stack that differ."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from test_transformer import DIALS, SMALL, make

from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.model.dials import SET_ONLY, misfit, pattern, written
from triptych.model.masks import CAUSAL
from triptych.model.transformer import Transformer
from triptych.runs.files import model_config
from triptych.runs.sizes import parameter_count

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
LONGROPE = {
    "rope_type": "longrope",
    "original_max_position_embeddings": 8,
    "long_factor": [1.0, 1.0, 1.0, 1.0],
    "short_factor": [1, 1, 1, 1],
}


@pytest.mark.parametrize("dials", DIALS)
@pytest.mark.parametrize("architecture", ["encoder", "decoder", "both"])
def test_numbers_are_counted_from_the_dials(dials: str, architecture: str) -> None:
    model = make(dials, architecture)
    assert parameter_count(model.config) == sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize("dials", DIALS)
def test_what_is_written_is_read_again(dials: str) -> None:
    config = make(dials).config
    values = json.loads(json.dumps({"kind": "transformer", **written(config)}))
    assert model_config(values) == config


def test_dials_that_are_not_set_are_not_written() -> None:
    config = ModelConfig(decoder=StackConfig())
    names = {field.name for field in dataclasses.fields(StackConfig)}
    values = written(config)
    assert set(values["decoder"]) == names - set(SET_ONLY)
    assert values["decoder"]["key_heads"] is None and "output_scale" not in values
    assert list(values["decoder"])[-1] == "inner_dropout"
    assert written(RecurrentConfig()) == dataclasses.asdict(RecurrentConfig())


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"heads": 3}, "width 32 must be a multiple of heads 3"),
        ({"key_heads": 3}, "a multiple of key_heads 3"),
        ({"head_width": 7, "positions": "rotary"}, "even width, not 7"),
        ({"by_block": {"width": [4]}}, "by_block has 'width'; it may have inner_width"),
        ({"by_block": {"inner_width": []}}, "it must list a value for each block"),
        ({"by_block": {"inner_width": 3}}, "it must list a value for each block"),
        ({"by_block": {"inner_width": [0]}}, "holds 0, which inner_width cannot be"),
        ({"by_block": {"gated": [1]}}, "holds 1, which gated cannot be"),
        ({"by_block": {"activation": ["tanh"]}}, "holds 'tanh', which activation cannot be"),
        ({"by_block": {"key_heads": [4, 3]}}, "a multiple of key_heads 3"),
        ({"positions": "rotary", "rotary_share": 0.4}, "rotary_share leaves 3"),
        ({"positions": "rotary", "rotary_share": 0.1}, "rotary_share leaves 0"),
        ({"by_block": {"positions": ["none"]}}, "chooses between rotary and none, as must"),
        ({"positions": "none", "by_block": {"positions": ["alibi"]}}, "chooses between rotary"),
        ({"by_block": {"rotary_base": [0.0]}}, "holds 0.0, which rotary_base cannot be"),
        ({"by_block": {"rotary_base": [float("inf")]}}, "holds inf, which rotary_base cannot be"),
        *(
            ({"positions": "rotary", "rotary_scaling": scaling}, said)
            for scaling, said in [
                ({}, "rope_type is None; it must be one of linear, dynamic"),
                ({"rope_type": ["yarn"]}, "it must be one of linear, dynamic"),
                ({"rope_type": "linear"}, "lacks factor"),
                ({"rope_type": "linear", "factor": -1.0}, "factor is -1.0; it must be above 0"),
                ({"rope_type": "linear", "factor": 2.0, "a": 1}, "has 'a'; linear may have factor"),
                ({"rope_type": "dynamic", "factor": 2.0}, "lacks original_max_position"),
                ({**LLAMA3, "high_freq_factor": 1.0}, "must be above low_freq_factor"),
                ({**LONGROPE, "long_factor": [1.0]}, "it must be 4 positive numbers"),
                (LONGROPE, "needs factor or attention_factor"),
            ]
        ),
        ({"norm_offset": 1.0}, "weights of rms norms, but norm is 'layer'"),
        ({"parallel": "one_norm"}, "parallel needs norm_placement 'pre', not 'post'"),
        ({"first_norm": False}, "has no norm that first_norm could leave out"),
        ({"shared_layers": True, "by_block": {"gated": [True]}}, "makes all blocks one"),
        ({"first_position": 1024}, "past the table's 1024 rows"),
        ({"by_block": {"experts": [0, -1]}}, "holds -1, which experts cannot be"),
        ({"experts": 2, "experts_per_token": 3}, "there are only 2 experts"),
        ({"experts_per_token": 2}, "experts_per_token needs experts, and no block has any"),
        ({"expert_jitter": 0.1, "by_block": {"experts": [0, None]}}, "expert_jitter needs experts"),
        (
            {"experts": 4, "experts_per_token": 2, "expert_capacity": 3},
            "experts with a capacity need experts_per_token 1, not 2",
        ),
        (
            {"experts": 4, "expert_capacity": 3, "expert_capacity_factor": 1.0},
            "set the same; leave out one",
        ),
        ({"attention_biases": [True]}, "true or false four times"),
        ({"attention_biases": [True, True, True, None]}, "true or false four times"),
    ],
)
def test_what_does_not_fit(dials: dict[str, Any], said: str) -> None:
    problem = misfit(StackConfig(**{**SMALL, **dials}))
    assert problem is not None and said in problem


def test_a_hostile_pattern_costs_no_time() -> None:
    long = {"gated": [True] * 9973, "inner_width": [4] * 10007}
    stack = StackConfig(layers=1 << 60, by_block=long)
    assert "begin together" in (misfit(stack) or "")
    assert pattern(StackConfig(layers=1 << 60)) == 1


@pytest.mark.parametrize("projection", ["sum", "tokens"])
def test_narrow_embeddings(projection: Any) -> None:
    dials = {"embedding_width": 12, "embedding_projection": projection}
    model = make("bert", source_vocabulary_size=60, output_scale=0.5, logit_softcap=4.0, **dials)
    table = model.source_embedding
    assert table is not None and table.weight.shape == (60, 12)
    assert parameter_count(model.config) == sum(one.numel() for one in model.parameters())
    assert model.project(torch.ones(2, 32)).shape == (2, 50)
    values = {"kind": "transformer", **written(model.config)}
    assert values["embedding_width"] == 12
    assert ("embedding_projection" in values) == (projection == "tokens")
    assert model_config(values) == model.config
    untied = make("bert", "decoder", tied_embeddings=False, **dials)
    assert untied.output_reduction is None and untied.project(torch.ones(2, 32)).shape == (2, 50)
    assert parameter_count(untied.config) == sum(one.numel() for one in untied.parameters())


def test_heads_that_are_wide_need_no_width_to_divide() -> None:
    stack = StackConfig(**{**SMALL, "width": 30, "heads": 4, "head_width": 16})
    assert misfit(stack) is None
    model = Transformer(ModelConfig(encoder=stack, vocabulary_size=5))
    query: Any = model.encoder.each[0].self_attention.query
    assert query.matrix().shape == (64, 30)


def test_blocks_differ() -> None:
    blocks = make("gemma2", "decoder").decoder.each
    networks: list[Any] = [one.feed_forward for one in blocks]
    assert [one.inner.outputs for one in networks] == [64, 48]
    assert [one.gate is None for one in networks] == [False, True]
    assert [one.self_attention.mask is CAUSAL for one in blocks] == [False, True]
    assert [one.self_attention.key_heads for one in blocks] == [2, 4]


def test_each_projection_has_its_bias() -> None:
    attention: Any = make("qwen2", "decoder").decoder.each[0].self_attention
    parts = attention.query, attention.key, attention.value, attention.output
    assert [part.bias is not None for part in parts] == [True, True, True, False]


def test_a_window_ends_what_is_seen() -> None:
    """One block sees three tokens, so two blocks see five."""
    torch.manual_seed(2)
    model = make("window-and-bias", "decoder")
    ids = torch.randint(0, 50, (9,))
    changed = ids.clone()
    changed[2] = (ids[2] + 1) % 50
    before, after = (model(target=one, target_lengths=torch.tensor([9])) for one in (ids, changed))
    differs = (before - after).abs().amax(1) > 1e-6
    assert differs.tolist() == [False, False, True, True, True, True, True, False, False]
