"""Whisper computes what the library transformers does with the same weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from whisper_toys import VALUES, features, ours, packed, theirs

from triptych.errors import RunError
from triptych.interchange.ctranslate2 import specification_of
from triptych.interchange.ctranslate2_whisper import BEGIN, END, read_model, write_model
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


GENERATION = {
    "suppress_tokens": [3],
    "begin_suppress_tokens": [4, 80],
    "lang_to_id": {"<|en|>": 82},
}


def tokens() -> list[str]:
    """Name the tokens as a tokenizer of a multilingual Whisper does."""
    special = [END, BEGIN, "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
               "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip
    times = [f"<|{number / 50:.2f}|>" for number in range(130 - 80 - len(special))]
    return [*(f"w{number}" for number in range(80)), *special, *times]


def tokenizer_json() -> str:
    added = [
        {"id": number, "content": token, "special": not token[2].isdigit()}
        for number, token in enumerate(tokens())
        if number >= 80
    ]
    return json.dumps({"added_tokens": added})


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
@torch.no_grad()
def test_ctranslate2_comes_back_and_computes_the_same(tmp_path: Path, kind: str) -> None:
    import ctranslate2

    model = theirs()
    own = ours(model)
    tensors = dict(own.state_dict())
    write_model(tmp_path, own.config, tensors, tokens(), GENERATION, kind)
    (tmp_path / "tokenizer.json").write_text(tokenizer_json())
    folder = read_model(tmp_path)
    assert specification_of(tmp_path) == "WhisperSpec"
    keys = ("vocab_size", "num_mel_bins", "d_model", "encoder_layers", "decoder_layers",
            "encoder_attention_heads", "decoder_attention_heads", "encoder_ffn_dim",
            "decoder_ffn_dim", "max_source_positions", "max_target_positions")  # fmt: skip
    assert {key: folder.config[key] for key in keys} == {key: VALUES[key] for key in keys}
    found = folder.generation_config
    assert found["suppress_tokens"] == [3] and found["begin_suppress_tokens"] == [4, 80]
    assert found["lang_to_id"] == {"<|en|>": 82, "<|de|>": 83}
    assert found["task_to_id"] == {"transcribe": 85, "translate": 84}
    assert (found["no_timestamps_token_id"], found["is_multilingual"]) == (89, True)
    read, _ = folder.read_weights()
    config = FAMILY.fitted(FAMILY.read_config(folder.config, "toy"), read)  # type: ignore[misc]
    assert config == own.config
    shapes = {name: tuple(one.shape) for name, one in tensors.items()}
    names = FAMILY.name_map(FAMILY.classes[0], config, read)
    again, _ = names.to_ours(read, shapes, "toy", cast=False)
    worst = {"float32": 0, "float16": 1e-3, "int8": 1e-2}[kind]
    for name, tensor in tensors.items():
        assert (again[name].float() - tensor).abs().max() <= worst * tensor.abs().max(), name
    if kind == "float32":
        given = features(1)
        runtime = ctranslate2.models.Whisper(str(tmp_path), compute_type="float32")
        states = runtime.encode(
            ctranslate2.StorageView.from_array(given.transpose(1, 2).contiguous().numpy())
        )
        wanted = own.encode(packed(given)).states
        difference = torch.from_numpy(np.array(states)[0]) - wanted
        assert difference.abs().max() < 1e-4 * wanted.abs().max()


def test_damaged_folders_of_ctranslate2_are_named(tmp_path: Path) -> None:
    own = ours(theirs())
    tensors = {**own.state_dict()}
    write_model(tmp_path, own.config, tensors, tokens(), {}, "float32")
    with pytest.raises(RunError, match=r"has no tokenizer\.json"):
        read_model(tmp_path)
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(RunError, match="is not a tokenizer"):
        read_model(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": []}')
    with pytest.raises(RunError, match="has no token"):
        read_model(tmp_path)
