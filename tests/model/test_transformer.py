"""The promises of the architecture, over every shape of it at toy size."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from triptych.model.config import ModelConfig, StackConfig
from triptych.model.layout import PackedLayout
from triptych.model.transformer import Transformer

SMALL = {
    "layers": 2,
    "width": 32,
    "heads": 4,
    "inner_width": 64,
    "dropout": 0.2,
    "attention_dropout": 0.1,
    "inner_dropout": 0.1,
}
DIALS: dict[str, dict] = {
    "2017": {},
    "pre": {"norm_placement": "pre"},
    "learned": {"positions": "learned", "max_positions": 32, "activation": "gelu"},
    "llama": {
        "norm_placement": "pre",
        "norm": "rms",
        "positions": "rotary",
        "key_heads": 2,
        "gated": True,
        "activation": "silu",
        "bias": False,
    },
    "bert": {
        "positions": "learned",
        "max_positions": 32,
        "activation": "gelu",
        "segments": 2,
        "embedding_norm": True,
    },
    "one-key-head": {"key_heads": 1, "activation": "gelu_tanh"},
    "relative": {"positions": "relative", "norm_placement": "pre", "norm": "rms", "bias": False},
    "alibi": {"positions": "alibi", "key_heads": 2, "heads": 6, "head_width": 8},
    "head-width": {"positions": "rotary", "head_width": 12, "key_heads": 2},
    "qwen2": {
        "bias": False,
        "attention_biases": [True, True, True, False],
        "positions": "rotary",
        "norm_placement": "pre",
    },
    "whisper": {"attention_biases": [True, False, True, True]},
    "gemma2": {
        "positions": "rotary",
        "head_width": 10,
        "by_block": {
            "attention_window": [3, None],
            "inner_width": [64, 48],
            "gated": [True, False],
            "key_heads": [2, 4],
        },
    },
    "mixtral": {
        "norm_placement": "pre",
        "norm": "rms",
        "positions": "rotary",
        "gated": True,
        "activation": "silu",
        "bias": False,
        "experts": 4,
        "experts_per_token": 2,
    },
    "switch": {
        "norm_placement": "pre",
        "positions": "relative",
        "by_block": {"experts": [0, 4]},
        "expert_capacity": 2,
        "expert_jitter": 0.01,
    },
    "window-and-bias": {"positions": "alibi", "attention_window": 3},
    "roberta": {"positions": "learned", "max_positions": 12, "first_position": 2},
    "marian": {"sinusoids": "halves", "feed_forward_bias": False},
    "m2m100": {"sinusoids": "fairseq", "first_position": 2, "norm_placement": "pre"},
    "qwen3": {
        "query_key_norm": "head",
        "norm": "rms",
        "norm_placement": "pre",
        "positions": "rotary",
        "key_heads": 2,
        "bias": False,
        "feed_forward_bias": True,
    },
    "olmo2": {"query_key_norm": "whole", "norm_placement": "branch", "key_heads": 2},
    "smollm3": {"positions": "rotary", "by_block": {"positions": ["rotary", "none"]}},
    "gemma3": {
        "positions": "rotary",
        "rotary_share": 0.5,
        "by_block": {
            "attention_window": [3, None],
            "rotary_base": [100, 10000.0],
            "rotary_scaling": [None, {"rope_type": "linear", "factor": 8.0}],
        },
    },
    "longrope": {
        "positions": "rotary",
        "rotary_scaling": {
            "rope_type": "longrope",
            "original_max_position_embeddings": 16,
            "factor": 2,
            "long_factor": [3.0, 3.0, 3.0, 3.0],
            "short_factor": [1.0, 1.5, 2.0, 2.5],
        },
    },
    "no-positions": {"positions": "none"},
    "softcap": {"attention_softcap": 0.5, "key_heads": 2, "positions": "alibi"},
    "neox": {"parallel": "two_norms", "norm_placement": "pre", "positions": "rotary"},
    "gptj": {"parallel": "one_norm", "norm_placement": "pre"},
    "modernbert": {"norm_placement": "pre", "norm_bias": False, "first_norm": False},
    "albert": {"shared_layers": True, "key_heads": 2},
    "both-norms": {"norm_placement": "both", "attention_scale": 0.7, "norm": "rms"},
    "ssru": {"self_attention": "ssru", "sinusoids": "fairseq"},
    "ssru-pre": {"self_attention": "ssru", "norm_placement": "pre", "bias": False},
    "norm-offset": {"norm": "rms", "norm_offset": 1.0, "query_key_norm": "head"},
}
ARCHITECTURES = ["encoder", "decoder", "both"]


def make(dials: str, architecture: str = "both", **options: object) -> Transformer:
    torch.manual_seed(7)
    stack = StackConfig(**{**SMALL, **DIALS[dials]})
    encoder = dataclasses.replace(stack, self_attention=None) if architecture != "decoder" else None
    decoder = stack if architecture != "encoder" else None
    return Transformer(
        ModelConfig(encoder=encoder, decoder=decoder, vocabulary_size=50, **options)  # type: ignore[arg-type]
    ).eval()


def batch(architecture: str = "both") -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(8)
    inputs: dict[str, torch.Tensor] = {}
    if architecture != "decoder":
        inputs |= {
            "source": torch.randint(0, 50, (15,), generator=generator),
            "source_lengths": torch.tensor([5, 3, 7]),
        }
    if architecture != "encoder":
        inputs |= {
            "target": torch.randint(0, 50, (12,), generator=generator),
            "target_lengths": torch.tensor([4, 6, 2]),
        }
    return inputs


def one(inputs: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """Sentence `row` alone."""
    alone = {}
    for side in ("source", "target"):
        if side in inputs:
            alone[side] = inputs[side].split(inputs[f"{side}_lengths"].tolist())[row]
            alone[f"{side}_lengths"] = inputs[f"{side}_lengths"][row : row + 1]
    return alone


@pytest.mark.parametrize("dials", DIALS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_neighbour_never_matters(dials: str, architecture: str) -> None:
    model, inputs = make(dials, architecture), batch(architecture)
    side = "source" if architecture == "encoder" else "target"
    together = model(**inputs).split(inputs[f"{side}_lengths"].tolist())
    for row, states in enumerate(together):
        torch.testing.assert_close(model(**one(inputs, row)), states, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dials", DIALS)
@pytest.mark.parametrize("architecture", ["decoder", "both"])
def test_no_look_ahead(dials: str, architecture: str) -> None:
    model, inputs = make(dials, architecture), one(batch(architecture), 1)
    before = model(**inputs)
    changed = dict(inputs, target=inputs["target"].clone())
    changed["target"][4:] = (changed["target"][4:] + 1) % 50
    after = model(**changed)
    torch.testing.assert_close(before[:4], after[:4], atol=1e-6, rtol=0)
    assert (before[4:] - after[4:]).abs().max() > 1e-3


@pytest.mark.parametrize("dials", DIALS)
@pytest.mark.parametrize("architecture", ["decoder", "both"])
def test_cache_equals_no_cache(dials: str, architecture: str) -> None:
    model, inputs = make(dials, architecture), batch(architecture)
    whole = model.project(model(**inputs)).split(inputs["target_lengths"].tolist())
    memory = model.encode(inputs) if architecture == "both" else None
    state = model.start(memory, torch.arange(3) if memory else 3)
    padded = PackedLayout(inputs["target_lengths"]).pad(inputs["target"])
    for position in range(padded.shape[1]):
        logits, state = model.step(padded[:, position : position + 1], state)
        for row, expected in enumerate(whole):
            if position < len(expected):
                torch.testing.assert_close(logits[row, 0], expected[position], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dials", DIALS)
def test_prompts_of_unequal_length_go_on_where_each_ends(dials: str) -> None:
    model, inputs = make(dials), batch()
    rows = PackedLayout(inputs["target_lengths"])
    memory = model.encode(inputs)
    logits, state = model.step(rows.pad(inputs["target"]), model.start(memory, torch.arange(3)))
    torch.testing.assert_close(rows.pack(logits), model.project(model(**inputs)), atol=1e-5, rtol=0)
    state = state.truncate(inputs["target_lengths"])
    more = torch.tensor([[3], [4], [5]])
    logits, state = model.step(more, state)
    assert state.lengths.tolist() == [5, 7, 3]
    for row in range(3):
        alone = one(inputs, row)
        alone = dict(
            alone,
            target=torch.cat((alone["target"], more[row])),
            target_lengths=alone["target_lengths"] + 1,
        )
        torch.testing.assert_close(
            logits[row, 0], model.project(model(**alone))[-1], atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("dials", ["2017", "llama", "ssru"])
def test_state_select_join_and_beams(dials: str) -> None:
    model, inputs = make(dials), batch()
    memory = model.encode(inputs)
    tokens = torch.tensor([[1], [2], [3]])
    plain, state = model.step(tokens, model.start(memory, torch.arange(3)))
    beams = torch.tensor([0, 0, 1, 1, 2, 2])
    beamed = model.start(memory, beams)
    assert beamed.beams == 2
    logits, beamed = model.step(tokens[beams], beamed)
    torch.testing.assert_close(logits, plain[beams], atol=1e-5, rtol=0)
    follow = torch.tensor([[4], [5], [6], [7]])
    for order in ([5, 4, 0, 1], [3, 0, 2, 2]):  # whole sources in another order; rows in no order
        picked = torch.tensor(order)
        got, _ = model.step(follow, beamed.select(picked))
        want, _ = model.step(follow, state.select(beams[picked]))
        torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
    joined = state.select(torch.tensor([2])).join(state.select(torch.tensor([0, 1])))
    got, _ = model.step(follow[:3], joined)
    want, _ = model.step(follow[[1, 2, 0]], state.select(torch.tensor([0, 1, 2])))
    torch.testing.assert_close(got, want[[2, 0, 1]], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_attention_weights_are_those_of_the_model(kind: str) -> None:
    model, inputs = make("2017"), batch()
    weights = model.attention_weights(kind, **inputs)  # type: ignore[arg-type]
    side = "source" if kind == "encoder" else "target"
    real = PackedLayout(inputs[f"{side}_lengths"]).real
    torch.testing.assert_close(weights.sum(-1), real[None, :, None].expand(2, -1, 4, -1).float())
    assert torch.equal(model.attention_weights(kind, [1], **inputs), weights[1:])
    if kind == "decoder":
        assert weights.triu(1).abs().max() == 0


@pytest.mark.parametrize("dials", ["pre", "ssru"])
def test_micro_batches_add_up_to_one_batch(dials: str) -> None:
    model, inputs = make(dials).train(), batch()
    for part in model.modules():  # dropout off, training on
        if hasattr(part, "dropout"):
            setattr(part, "dropout", 0.0)  # noqa: B010
    model(**inputs).square().sum().backward()
    whole = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    for row in range(3):
        model(**one(inputs, row)).square().sum().backward()
    for a, b in zip(whole, (p.grad for p in model.parameters() if p.grad is not None), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_dropout_depends_on_the_seed_alone() -> None:
    model, inputs = make("2017").train(), batch()
    model.reseed(11)
    first = model(**inputs)
    torch.rand(5)
    model.reseed(11)
    assert torch.equal(first, model(**inputs))
    model.reseed(12)
    assert not torch.equal(first, model(**inputs))


@pytest.mark.parametrize("dials", ["pre", "ssru-pre"])
def test_bf16_stays_near_fp32(dials: str) -> None:
    model, inputs = make(dials), batch()
    exact = model(**inputs)
    model.precision = torch.bfloat16
    low = model(**inputs)
    assert low.dtype == torch.bfloat16
    assert (low.float() - exact).abs().max() < 0.1


def test_untied_and_separate_embeddings() -> None:
    model = make("2017", tied_embeddings=False, output_bias=True, source_vocabulary_size=60)
    assert model.source_embedding is not None and model.source_embedding.weight.shape == (60, 32)
    assert model.output_projection()[0] is not model.embedding.weight
    names = dict(model.named_parameters())
    assert "decoder.blocks.0.self_attention.query.weight" in names and "output_bias" in names


def test_widths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="heads must divide"):
        Transformer(ModelConfig(encoder=StackConfig(width=30, heads=4), vocabulary_size=5))


def test_an_unknown_input_is_an_error() -> None:
    """A misspelt name must not give other states silently."""
    model, inputs = make("one-key-head", "encoder"), batch("encoder")
    model(**inputs, masked=torch.zeros(1))
    for call in (model, lambda **given: model.attention_weights("encoder", **given)):
        with pytest.raises(TypeError, match="no input 'segment'"):
            call(**inputs, segment=torch.zeros_like(inputs["source"]))
