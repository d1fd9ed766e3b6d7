"""Whisper computes what the library transformers does with the same weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from whisper_toys import VALUES, features, ours, packed, theirs

from triptych.errors import RunError
from triptych.interchange.whisper import FAMILY
from triptych.model.build import build
from triptych.model.positions import sinusoids


@pytest.mark.parametrize("changed", [{}, {"num_mel_bins": 20, "activation_function": "relu"}])
@torch.no_grad()
def test_states_and_logits_equal_transformers(changed: dict[str, Any]) -> None:
    model = theirs(**changed)
    own = ours(model)
    given = features(bands=changed.get("num_mel_bins", 12))
    targets = torch.tensor([[81, 5, 6, 8, 90], [81, 7, 7, 3, 2]])
    wanted = model(input_features=given.transpose(1, 2), decoder_input_ids=targets)
    memory = own.encode(packed(given))
    states = memory.states.view(2, -1, 32)
    scale = wanted.encoder_last_hidden_state.abs().max()
    assert (states - wanted.encoder_last_hidden_state).abs().max() < 1e-5 * scale
    logits = own.project(
        own(**packed(given), target=targets.flatten(), target_lengths=torch.tensor([5, 5]))
    ).view(2, 5, -1)
    assert (logits - wanted.logits).abs().max() < 1e-5 * wanted.logits.abs().max()
    state, steps = own.start(memory, torch.arange(2)), []
    for token in targets.T:
        found, state = own.step(token[:, None], state)
        steps.append(found[:, 0])
    assert (torch.stack(steps, 1) - wanted.logits).abs().max() < 1e-5 * wanted.logits.abs().max()


def test_every_tensor_comes_back_as_it_was() -> None:
    model = theirs()
    own = ours(model)
    assert FAMILY.refusals(own.config) == []
    written = FAMILY.export_map(FAMILY.classes[0], own.config).to_theirs(
        dict(own.state_dict()), None, "toy"
    )
    given = dict(model.state_dict())
    assert written.keys() == given.keys() - ({"proj_out.weight"} - written.keys())
    for name, tensor in written.items():
        assert torch.equal(tensor, given[name]), name


def test_fixed_positions_are_told_from_a_learned_table() -> None:
    model = theirs()
    assert ours(model).config.encoder.positions == "learned"
    table = sinusoids(50, 32, "fairseq")
    with torch.no_grad():
        # Theirs is computed in float32, ours in float64.
        fixed = type(model)(model.config).model.encoder.embed_positions.weight
        assert (fixed - table).abs().max() < 1e-4
        model.model.encoder.embed_positions.weight.copy_(table)
    own = ours(model)
    encoder = own.config.encoder
    assert (encoder.positions, encoder.sinusoids) == ("sinusoidal", "fairseq")
    found = FAMILY.constants(own.config, FAMILY.classes[0], 0)
    assert torch.equal(found["model.encoder.embed_positions.weight"], table)


def test_config_comes_back_as_it_was() -> None:
    class Tokens:
        begin_id, end_id = 81, 80

    config = FAMILY.read_config({**VALUES, "model_type": "whisper"}, "toy")  # type: ignore[misc]
    written = FAMILY.write_config(config, 0, Tokens())  # type: ignore[arg-type]
    unread = ("suppress_tokens", "begin_suppress_tokens")
    assert {key: written.get(key) for key in VALUES if key not in unread} == {
        key: one for key, one in VALUES.items() if key not in unread
    }
    assert config.context("source") == 100 and config.context("target") == 24


def test_what_a_whisper_has_not_is_named() -> None:
    values = {**VALUES, "model_type": "whisper", "num_mel_bins": 0, "d_model": 33}
    with pytest.raises(RunError, match=r"num_mel_bins is 0\..*33"):
        FAMILY.read_config(values, "toy")  # type: ignore[misc]
    config = FAMILY.read_config({**VALUES, "model_type": "whisper"}, "toy")  # type: ignore[misc]
    assert config.encoder is not None and config.decoder is not None
    other = dataclasses.replace(
        config,
        encoder=dataclasses.replace(config.encoder, stem="convolution", norm="rms"),
        output_bias=True,
    )
    found = " ".join(FAMILY.refusals(other))
    assert all(one in found for one in ("encoder.stem", "encoder.norm", "output_bias"))
    assert build(config).stem is not None
