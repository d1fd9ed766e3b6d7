"""A stem in front of the encoder: the promises of test_transformer.py hold for sound too."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from test_transformer import DIALS, SMALL, one
from torch import Tensor
from torch.nn import functional

from triptych.errors import UsageError
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.dials import misfit, written
from triptych.model.layout import PackedLayout
from triptych.model.stem import Stem
from triptych.model.transformer import Transformer
from triptych.presets import configure
from triptych.runs.files import model_config
from triptych.runs.sizes import parameter_count

STEMS = ["convolution", "whisper"]
KINDS = ["2017", "llama", "switch", "whisper-positions"]
POSITIONS: dict[str, dict[str, Any]] = {
    "whisper-positions": {
        "positions": "learned",
        "max_positions": 8,
        "norm_placement": "pre",
        "attention_biases": [True, False, True, True],
        "activation": "gelu",
    }
}


def stack_of(stem: str, dials: str = "2017") -> StackConfig:
    own = POSITIONS.get(dials) or DIALS[dials]
    return StackConfig(**{**SMALL, **own, "stem": stem, "features": 6})


def make(stem: str, dials: str = "2017") -> Transformer:
    torch.manual_seed(7)
    encoder = stack_of(stem, dials)
    decoder = dataclasses.replace(encoder, stem=None, features=None)
    config = ModelConfig(encoder=encoder, decoder=decoder, vocabulary_size=50)
    return Transformer(config).eval()


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(8)
    return {
        "source": torch.randn(35, 6, generator=generator),
        "source_lengths": torch.tensor([13, 6, 16]),
        "target": torch.randint(0, 50, (12,), generator=generator),
        "target_lengths": torch.tensor([4, 6, 2]),
    }


@pytest.mark.parametrize("dials", KINDS)
@pytest.mark.parametrize("stem", STEMS)
@torch.no_grad()
def test_a_clip_alone_is_as_in_a_batch(stem: str, dials: str) -> None:
    model, inputs = make(stem, dials), batch()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # biases too: padding must not become non-zero
    together = model(**inputs).split(inputs["target_lengths"].tolist())
    memory = model.encode(inputs)
    assert memory.lengths.tolist() == ([4, 2, 4] if stem == "convolution" else [7, 3, 8])
    states = memory.states.split(memory.lengths.tolist())
    for row, wanted in enumerate(together):
        alone = one(inputs, row)
        torch.testing.assert_close(model(**alone), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(model.encode(alone).states, states[row], atol=1e-5, rtol=0)
    with torch.device("meta"):
        other = Transformer(model.config).eval()
    other.load_state_dict(model.state_dict(), assign=True)
    torch.testing.assert_close(other(**inputs), model(**inputs))


@pytest.mark.parametrize("dials", KINDS)
@pytest.mark.parametrize("stem", STEMS)
@torch.no_grad()
def test_cache_equals_no_cache_and_nothing_looks_ahead(stem: str, dials: str) -> None:
    model, inputs = make(stem, dials), batch()
    rows = PackedLayout(inputs["target_lengths"])
    whole = rows.pad(model.project(model(**inputs)))
    state, padded = model.start(model.encode(inputs), 3), rows.pad(inputs["target"])
    for position in range(padded.shape[1]):
        logits, state = model.step(padded[:, position : position + 1], state)
        here = inputs["target_lengths"] > position
        torch.testing.assert_close(logits[here, 0], whole[here, position], atol=1e-5, rtol=0)
    changed = {**inputs, "target": inputs["target"].clone()}
    changed["target"][3] = (changed["target"][3] + 1) % 50  # the last of the first row
    after = rows.pad(model.project(model(**changed)))
    torch.testing.assert_close(after[0, :3], whole[0, :3], atol=1e-6, rtol=0)
    assert (after[0, 3] - whole[0, 3]).abs().max() > 1e-3


@pytest.mark.parametrize("stem", STEMS)
@torch.no_grad()
def test_attention_is_over_what_the_stem_gives(stem: str) -> None:
    model, inputs = make(stem), batch()
    lengths = model.encode(inputs).lengths
    for kind in ("encoder", "cross"):
        weights = model.attention_weights(kind, **inputs)  # type: ignore[arg-type]
        assert weights.shape[-1] == int(lengths.max())
        torch.testing.assert_close(weights[:, 1, ..., lengths[1] :].abs().max(), torch.tensor(0.0))


@torch.no_grad()
def test_the_layers_are_plain_convolutions() -> None:
    for name in STEMS:
        stem, x = Stem(stack_of(name)), torch.randn(13, 6)
        wanted = x.T[None]
        for layer, stride in zip(stem.layers, stem.strides, strict=True):
            assert isinstance(layer, torch.nn.Conv1d) and layer.kernel_size == (3,)
            wanted = functional.conv1d(wanted, layer.weight, layer.bias, stride, padding=1)
            wanted = functional.gelu(wanted)
        found, lengths = stem(x, torch.tensor([13]))
        torch.testing.assert_close(found, wanted[0].T, atol=1e-5, rtol=1e-5)
        assert lengths.tolist() == [found.shape[0]] == stem.lengths(torch.tensor([13])).tolist()


def test_what_is_counted_written_and_read() -> None:
    for name in STEMS:
        model = make(name)
        config = model.config
        assert parameter_count(config) == sum(one.numel() for one in model.parameters())
        values = json.loads(json.dumps({"kind": "transformer", **written(config)}))
        assert values["encoder"]["stem"] == name and "stem" not in values["decoder"]
        assert model_config(values) == config
    config = make("whisper", "whisper-positions").config
    assert config.context("source") == 16 and config.context("target") == 8  # frames and tokens


def test_what_does_not_fit() -> None:
    assert "stem needs features" in (misfit(StackConfig(stem="whisper")) or "")
    assert "features needs stem" in (misfit(StackConfig(features=80)) or "")
    both = StackConfig(stem="whisper", features=80, segments=2)
    assert "no segments" in (misfit(both) or "")
    dials = {"decoder": {"stem": "convolution", "features": 80}}
    with pytest.raises(UsageError, match="decoder has stem, which is for encoders"):
        configure("transformer-tiny", dials)
    found = configure("transformer-tiny", {"encoder": {"stem": "convolution", "features": 80}})
    assert isinstance(found, ModelConfig) and found.encoder and found.encoder.frames_per_vector == 4


@torch.no_grad()
def test_half_precision_activations() -> None:
    model, inputs = make("convolution"), batch()
    exact = model.encode(inputs).states
    model.precision = torch.bfloat16
    rounded = model.encode(inputs).states
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("stem", ["convolution", "whisper"])
def test_weights_kept_in_half_precision(stem: str) -> None:
    config = StackConfig(layers=1, width=8, heads=2, inner_width=16, stem=stem, features=4)  # type: ignore[arg-type]
    kept = Stem(config).to(torch.bfloat16)
    exact = Stem(config)
    exact.load_state_dict({name: one.float() for name, one in kept.state_dict().items()})
    features, lengths = torch.randn(9, 4), torch.tensor([4, 5])
    for given, wanted in zip(kept(features, lengths), exact(features, lengths), strict=True):
        assert torch.equal(given, wanted)
