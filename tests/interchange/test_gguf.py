"""Test GGUF files: read, written, imported and exported; damaged ones are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from test_writers import byte_level, own_run, sentence_piece

from triptych.convert import export_run, import_folder
from triptych.errors import RunError, UsageError
from triptych.inference.loading import load
from triptych.interchange import gguf_models, gguf_types
from triptych.interchange.gguf import is_gguf, read_gguf, write_gguf
from triptych.interchange.gguf_names import ARCHITECTURES

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {  # model_type -> class, changed sizes
    "llama": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "gemma3_text": (
        "Gemma3Text",
        {
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 16,
            "num_hidden_layers": 7,
        },
    ),
    "starcoder2": ("Starcoder2", {"sliding_window": None}),
    "gpt2": ("GPT2", {}),
}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
}  # fmt: skip


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="transformers is not installed")


def toy(transformers: Any, kind: str, **changed: Any) -> Any:
    """Return a model of the library with every parameter random, exact in float16."""
    name, own = KINDS[kind]
    sizes = {**SIZES, **own, **changed}
    if kind == "gpt2":
        sizes = {"vocab_size": 300, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4,
                 "bos_token_id": 0, "eos_token_id": 0}  # fmt: skip
    torch.manual_seed(3)
    config = getattr(transformers, f"{name}Config")(**sizes)
    head = "LMHeadModel" if kind == "gpt2" else "ForCausalLM"
    model = getattr(transformers, name.removesuffix("Text") + head)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
            parameter.copy_(parameter.half().float())
    return model


def tensors_of(model: Any) -> dict[str, torch.Tensor]:
    held = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        held.pop("lm_head.weight", None)
    return held


def written(path: Path, model: Any, precision: str = "F16") -> Path:
    gguf_models.write_model(
        path, model.config.to_dict(), tensors_of(model), json.loads(byte_level().to_str()), {},
        precision,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_as_it_was(transformers: Any, tmp_path: Path, kind: str) -> None:
    model = toy(transformers, kind)
    found = gguf_models.read_model(written(tmp_path / "m.gguf", model))
    assert found.reader is not None and found.kind == kind
    tensors, before = found.reader(), tensors_of(model)
    assert tensors.keys() == before.keys()
    norm_offset = kind == "gemma3_text"  # 1 is added in float32, so bits are lost
    for name, tensor in tensors.items():
        if norm_offset and "norm" in name:
            assert (tensor - before[name]).abs().max() < 1e-6
        else:
            assert torch.equal(tensor.float(), before[name]), name
    values = {key: one for key, one in found.config.items()
              if key not in ("model_type", "architectures")}  # fmt: skip
    again = type(model)(type(model.config)(**values)).eval()
    again.load_state_dict({name: one.float() for name, one in tensors.items()}, strict=False)
    again.tie_weights()
    ids = torch.randint(3, 290, (1, 23))
    with torch.no_grad():
        assert (again(ids).logits - model(ids).logits).abs().max() < 1e-4


def test_scalings_of_positions(transformers: Any, tmp_path: Path) -> None:
    for scaling in (LLAMA3, {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}):
        model = toy(transformers, "llama", rope_parameters=dict(scaling), head_dim=64)
        found = gguf_models.read_model(written(tmp_path / "m.gguf", model))
        assert found.config["rope_parameters"] == scaling


@pytest.mark.parametrize("backend", [byte_level, sentence_piece])
@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_import_and_export(tmp_path: Path, precision: Any, backend: Any) -> None:
    """A run is written, and the file is imported as a run that writes the same text."""
    run = own_run(tmp_path / "run", "llama-small", width=32, inner_width=32)
    notes = export_run(run, tmp_path / "out", "gguf", precision)
    assert "LlamaForCausalLM" in notes[0] and is_gguf(tmp_path / "out")
    certificate = import_folder(tmp_path / "out" / "model.gguf", tmp_path / "again")
    assert bool(certificate.quantised) == (precision == "int8")
    before, after = load(run), load(tmp_path / "again")
    text = "the cat, on 貓"
    tokens = before.tokenizers.target.prompt(text)
    assert after.tokenizers.target.prompt(text) == tokens
    assert after.tokenizers.target.decode(tokens) == text
    ids, lengths = torch.tensor(tokens), torch.tensor([len(tokens)])
    with torch.no_grad():
        one, other = (
            each.model.project(each.model(target=ids, target_lengths=lengths))
            for each in (before, after)
        )
    nearly = {"float32": 1e-6, "float16": 5e-3, "int8": 0.1}[precision]
    assert (one - other).abs().max() < nearly


@pytest.mark.parametrize("name", ["gpt-2", "llama-bpe", "qwen2", "smollm", "tekken"])
def test_cuts_of_texts_come_back(name: str) -> None:
    from triptych.interchange.gguf_tokenizer import cutter, read_tokenizer
    from triptych.interchange.gguf_tokenizer_writer import write_tokenizer

    values = json.loads(byte_level().to_str())
    values["pre_tokenizer"] = cutter(name)
    ids = {"bos_token_id": 0, "eos_token_id": [0, 5]}
    held = write_tokenizer(values, {"chat_template": "{{ x }}"}, ids, 310).metadata
    assert held["tokenizer.ggml.pre"] == name and len(held["tokenizer.ggml.tokens"]) == 310
    found = read_tokenizer(held, "f")
    assert json.loads(found.tokenizer)["pre_tokenizer"] == cutter(name)
    assert found.config["chat_template"] == "{{ x }}"
    assert found.generation == {"eos_token_id": [0, 5]}
    again, before = (tokenizers.Tokenizer.from_str(one)
                     for one in (found.tokenizer, json.dumps(values)))  # fmt: skip
    for text in ("It's 1234 o'clock", "two  spaces\n\n 貓 and 😀", "don't STOP"):
        ids_of = [one.encode(text, add_special_tokens=False).ids for one in (again, before)]
        assert ids_of[0] == ids_of[1]


def test_sentence_piece_comes_back() -> None:
    from triptych.interchange.gguf_tokenizer import read_tokenizer
    from triptych.interchange.gguf_tokenizer_writer import write_tokenizer

    before = sentence_piece()
    ids = {"bos_token_id": 1, "eos_token_id": 2}
    held = write_tokenizer(json.loads(before.to_str()), {}, ids, 270).metadata
    assert held["tokenizer.ggml.model"] == "llama"
    again = tokenizers.Tokenizer.from_str(read_tokenizer(held, "f").tokenizer)
    for text in ("the cat", "tha 貓  the", " the"):
        one, other = (each.encode(text, add_special_tokens=False) for each in (before, again))
        assert one.ids == other.ids
        assert before.decode(one.ids) == again.decode(other.ids)


def test_quantised_types_by_hand() -> None:
    """Blocks whose weights are known: scale 2, the steps in order."""
    half = np.array([2.0], np.float16).tobytes()
    nibbles = bytes(range(16))  # low half: 0..15, high half: 0
    zeros = [0.0] * 16
    steps = [float(one) for one in range(16)]
    cases = {
        2: (half + nibbles, [2 * (one - 8) for one in steps + zeros]),
        3: (half + np.array([1.0], np.float16).tobytes() + nibbles,
            [2 * one + 1 for one in steps + zeros]),
        8: (half + np.arange(-16, 16, dtype=np.int8).tobytes(),
            [2.0 * one for one in range(-16, 16)]),
    }  # fmt: skip
    for number, (content, wanted) in cases.items():
        kind = gguf_types.TYPES[number]
        found = gguf_types.dequantised(kind, np.frombuffer(content, np.uint8), (1, 32))
        assert found[0].tolist() == wanted, kind.name
    # Q4_K: scales 1 and minima 0 in all groups; Q6_K: all weights are scale * (step - 32)
    packed = bytes([1] * 4 + [0] * 4 + [1] * 4)
    content = half + half + packed + bytes([0x21] * 128)
    found = gguf_types.dequantised(gguf_types.TYPES[12], np.frombuffer(content, np.uint8), (256,))
    assert found.tolist() == ([2.0] * 32 + [4.0] * 32) * 4
    content = bytes([0x11] * 128) + bytes([0b01010101] * 64) + bytes([3] * 16) + half
    found = gguf_types.dequantised(gguf_types.TYPES[14], np.frombuffer(content, np.uint8), (256,))
    assert found.tolist() == [2.0 * 3 * (1 + 16 - 32)] * 256


def test_q8_0_rounds_to_the_nearest_step() -> None:
    torch.manual_seed(0)
    values = torch.cat([torch.zeros(1, 32), torch.randn(5, 32)])
    content = gguf_types.quantised(gguf_types.Q8_0, values)
    found = gguf_types.dequantised(gguf_types.Q8_0, np.frombuffer(content, np.uint8), (6, 32))
    step = values.abs().amax(1, keepdim=True) / 127
    assert (found - values).abs().le(0.51 * step + 1e-3 * values.abs()).all()


# Bad files ----------------------------------------------------------------------------------------


@pytest.fixture
def good(tmp_path: Path) -> bytes:
    metadata = {"general.architecture": "llama", "n": 3, "list": ["a", "b"]}
    tensors = {"x": (gguf_types.F32, torch.ones(4, 8)), "y": (gguf_types.Q8_0, torch.ones(2, 32))}
    write_gguf(tmp_path / "good.gguf", metadata, tensors)
    return (tmp_path / "good.gguf").read_bytes()


def test_truncated_and_changed_files(good: bytes, tmp_path: Path) -> None:
    path, filling = tmp_path / "bad.gguf", 28  # bytes after the last tensor
    for end in range(0, len(good) - filling, 3):
        path.write_bytes(good[:end])
        with pytest.raises(RunError):
            read_gguf(path)
    huge = struct.pack("<Q", 1 << 60)
    for place in range(4, 250, 3):
        path.write_bytes(good[:place] + huge + good[place + 8 :])
        try:
            held = read_gguf(path)
            for name in held.places:
                held.tensor(name)
        except RunError:
            pass


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({8: 1 << 60}, "more than its"),
        ({16: 1 << 60}, "more than its"),
        ({0: 0}, "not a GGUF file"),
    ],
)
def test_hostile_headers(good: bytes, tmp_path: Path, changed: Any, message: str) -> None:
    content = bytearray(good)
    for place, value in changed.items():
        content[place : place + 8] = struct.pack("<Q", value)
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(RunError, match=message):
        read_gguf(tmp_path / "bad.gguf")


def test_places_of_tensors(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    at = good.index(struct.pack("<Q", 1) + b"y") + 9  # dimensions, two sizes, type, offset
    for place, form, value, message in (
        (at, "<I", 9, "9 dimensions"),
        (at + 4, "<Q", 1 << 60, "ends at byte"),
        (at + 4, "<Q", 31, "has the shape"),
        (at + 20, "<I", 6, "types that are not read here: Q5_0"),
        (at + 20, "<I", 999, "number 999"),
        (at + 24, "<Q", 0, "overlap"),
        (at + 24, "<Q", 7, "the offset 7"),
        (at + 24, "<Q", 1 << 61, "ends at byte"),
    ):
        content = bytearray(good)
        struct.pack_into(form, content, place, value)
        path.write_bytes(content)
        with pytest.raises(RunError, match=message):
            read_gguf(path)
    path.write_bytes(good[:4] + struct.pack("<I", 1) + good[8:])
    with pytest.raises(RunError, match="version 1"):
        read_gguf(path)
    path.write_bytes(good[:4] + struct.pack(">I", 3) + good[8:])
    with pytest.raises(RunError, match="big-endian"):
        read_gguf(path)


def test_models_that_are_not_read(transformers: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf", toy(transformers, "llama"))
    held = read_gguf(path)
    tensors = {name: (gguf_types.F32, held.tensor(name).float()) for name in held.places}

    def refused(message: str, **changed: Any) -> None:
        named = {key.replace("__", "."): one for key, one in changed.items()}
        metadata = {key: one for key, one in {**held.metadata, **named}.items() if one is not None}
        write_gguf(tmp_path / "n.gguf", metadata, tensors)
        with pytest.raises(RunError, match=message):
            import_folder(tmp_path / "n.gguf", tmp_path / "run")
        assert not (tmp_path / "run").exists()

    refused("architecture 'lama'.*The nearest is llama", general__architecture="lama")
    refused("block_count is 9", llama__block_count=9)
    refused("contradicts the tensors", llama__embedding_length=1 << 30)
    refused("head_count is 'x'", llama__attention__head_count="x")
    refused("the way 'odd'", tokenizer__ggml__pre="odd")
    refused("of the kind 't5'", tokenizer__ggml__model="t5")
    refused("eos_token_id is 4000", tokenizer__ggml__eos_token_id=4000)
    refused("holds no tokenizer", tokenizer__ggml__tokens=None)
    refused("one of 3 parts", split__count=3)
    tensors["blk.0.ffn_gate_exps.weight"] = tensors["output.weight"]
    refused("not of its architecture")


def test_what_llama_cpp_has_not_is_refused(tmp_path: Path) -> None:
    run = own_run(tmp_path / "run", "llama-small", activation="relu")
    with pytest.raises(RunError, match="llama.cpp has no such model: hidden_act is relu"):
        export_run(run, tmp_path / "out", "gguf")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="leave out --precision"):
        export_run(run, tmp_path / "out", "huggingface", "int8")
    assert {one.kind for one in ARCHITECTURES.values()} == set(KINDS)
