"""Test folders of CTranslate2: written, run there, read back; damaged ones are refused."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_folders import cases

from triptych.convert import export_run, import_folder
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import RunError
from triptych.inference.loading import load
from triptych.interchange import ctranslate2, ctranslate2_reader, ctranslate2_writer
from triptych.model.build import build
from triptych.presets import configure
from triptych.runs.checkpoint import weights_of
from triptych.runs.run import Run, RunConfig
from triptych.runs.storage import read_tensors
from triptych.tasks.specs import SPECS

TEXTS = ["the cat sat on the mat", "a mat on the cat", "cat 9", "on the mat the cat sat 貓"]
SMALL: dict[str, Any] = {"width": 16, "heads": 4, "inner_width": 24, "layers": 2}
POST = {"norm_placement": "post"}
LEARNED = {"positions": "learned", "max_positions": 64}
CASES: dict[str, dict[str, Any]] = {
    "pre": {},
    "post": POST,
    "learned": {**LEARNED, "activation": "gelu"},
    "gated": {"gated": True, "activation": "silu", "bias": False},
    "rms": {"norm": "rms", "key_heads": 2, "activation": "gelu_tanh"},
    "rotary": {"positions": "rotary"},
    "embedding norm": {**POST, "embedding_norm": True, "output_bias": True},
    "untied": {"tied_embeddings": False, "embedding_scale": False, "sinusoids": "halves"},
    "biases": {"attention_biases": [True, False, True, True], "head_width": 8},
}


def translator(folder: Path, dials: dict[str, Any], task: str = "translation") -> Path:
    """Write a run as training would leave it, with every parameter random."""
    tokenizer = Tokenizer.train(["the cat sat on the mat and a mat"] * 3, "bpe", 330)
    config = configure("transformer-tiny", {**SMALL, **dials})
    config = dataclasses.replace(config, vocabulary_size=tokenizer.vocabulary_size)
    run, chosen = Run.create(folder), SPECS[task].build({})
    torch.manual_seed(5)
    model = build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    run.write_text("tokenizer.json", tokenizer.to_json())
    run.write_labels({"languages": {"source": ["en"], "targets": ["de"]}, "tags": []})
    run.write_model(weights_of(model, chosen.head(config, {})))
    run.write_config(
        RunConfig(
            task=task,
            model=config,
            options=dict(chosen.options),
            tokenizers={"shared": "tokenizer.json"},
        )
    )
    return folder


@pytest.mark.parametrize("case", cases(CASES, {"learned", "rms", "embedding norm", "biases"}))
def test_lines_are_the_same_there(tmp_path: Path, case: str) -> None:
    there = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    run = translator(tmp_path / "run", CASES[case])
    export_run(run, tmp_path / "out", "ctranslate2")
    names = json.loads((tmp_path / "out" / "shared_vocabulary.json").read_text())
    predictor = load(run)
    encode = predictor.tokenizers.source.encode
    sources = [[names[number] for number in [*encode(text), 1]] for text in TEXTS]
    runtime = there.Translator(str(tmp_path / "out"), device="cpu", intra_threads=1)
    for beams in (1, 4):
        ours = [list(one.tokens) for one in predictor.predict(TEXTS, beams=beams, max_length=20)]
        found = runtime.translate_batch(
            sources, beam_size=beams, max_decoding_length=20, length_penalty=1.0
        )
        theirs = [[names.index(one) for one in each.hypotheses[0]] for each in found]
        # An answer that reaches the longest length without an end is ranked otherwise there.
        pairs = [
            (one, other)
            for one, other in zip(ours, theirs, strict=True)
            if beams == 1 or len(one) == len(other)
        ]
        assert len(pairs) > 1 and all(one == other for one, other in pairs)


@pytest.mark.parametrize(
    ("case", "precision"),
    [
        *((case, "float32") for case in ("pre", "post", "learned", "embedding norm", "untied")),
        *((case, precision) for case in ("pre", "untied") for precision in ("float16", "int8")),
        *(
            pytest.param(case, precision, marks=pytest.mark.slow)
            for case in ("post", "learned", "embedding norm")
            for precision in ("float16", "int8")
        ),
    ],
)
def test_what_is_written_is_read(tmp_path: Path, case: str, precision: Any) -> None:
    run = translator(tmp_path / "run", CASES[case])
    notes = export_run(run, tmp_path / "out", "ctranslate2", precision)
    assert f"matrices as {precision}" in notes[0] and ctranslate2.is_folder(tmp_path / "out")
    folder = ctranslate2_reader.read_model(tmp_path / "out")
    assert folder.reader is not None and bool(folder.quantised) == (precision == "int8")
    kinds = {"pre": "blenderbot", "learned": "blenderbot", "untied": "blenderbot",
             "post": "marian", "embedding norm": "bart"}  # fmt: skip
    assert folder.kind == kinds[case] and folder.config["d_model"] == 16
    assert folder.tokenizer and folder.config["eos_token_id"] == 1
    theirs, ours = folder.reader(), read_tensors(Run(run).weights())
    nearly = {"float32": 0.0, "float16": 1e-3, "int8": 5e-3}[precision]
    pairs = {
        "model.decoder.layers.1.encoder_attn.v_proj.weight":
            "decoder.blocks.1.cross_attention.value.weight",
        "model.encoder.layers.0.self_attn.k_proj.bias": "encoder.blocks.0.self_attention.key.bias",
        "model.encoder.layers.1.fc1.weight": "encoder.blocks.1.feed_forward.inner.weight",
        ("lm_head.weight" if case == "untied" else "model.shared.weight"):
            ("output.weight" if case == "untied" else "embedding.weight"),
    }  # fmt: skip
    for name, own in pairs.items():
        difference = (theirs[name].float() - ours[own]).abs().max()
        assert difference <= nearly * ours[own].abs().max(), name
    if case == "learned":
        table = theirs["model.encoder.embed_positions.weight"].float()
        assert (table - ours["encoder_entrance.positions.weight"]).abs().max() < 1e-2


def test_sinusoids_of_marian_are_left_out(tmp_path: Path) -> None:
    run = translator(tmp_path / "run", {**POST, "sinusoids": "halves"})
    export_run(run, tmp_path / "out", "ctranslate2")
    folder = ctranslate2_reader.read_model(tmp_path / "out")
    assert folder.reader is not None
    assert not [name for name in folder.reader() if "embed_positions" in name]


def test_a_zero_first_embedding_is_a_token_there(tmp_path: Path) -> None:
    """Marian starts from a zero vector: the library transformers has a token for it."""
    run = translator(tmp_path / "run", POST)
    export_run(run, tmp_path / "out", "ctranslate2")
    path = tmp_path / "out" / "model.bin"
    content = ctranslate2.read_content(path)
    name = "decoder/start_from_zero_embedding"
    arrays = {**content.arrays, name: np.asarray(np.int8(1))}
    ctranslate2.write_content(path, dataclasses.replace(content, arrays=arrays))
    folder = ctranslate2_reader.read_model(tmp_path / "out")
    assert folder.reader is not None
    rows = folder.config["vocab_size"]
    assert isinstance(rows, int) and folder.config["pad_token_id"] == rows - 1
    tensors = folder.reader()
    assert not tensors["model.shared.weight"][-1].any()
    assert tensors["final_logits_bias"].shape == (1, rows)


def test_what_is_not_written(tmp_path: Path) -> None:
    run = translator(tmp_path / "run", {"positions": "alibi"})
    with pytest.raises(RunError, match=r"encoder\.positions is 'alibi'.*decoder\.positions"):
        export_run(run, tmp_path / "out", "ctranslate2")
    run = translator(tmp_path / "other", {}, "question-generation")
    with pytest.raises(RunError, match="its task is question-generation"):
        export_run(run, tmp_path / "out", "ctranslate2")
    assert not (tmp_path / "out").exists()


# Bad files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    small = {"width": 4, "heads": 2, "inner_width": 4, "layers": 1, **LEARNED, "max_positions": 4}
    run = translator(folder / "run", small)
    export_run(run, folder / "out", "ctranslate2", "int8")
    return folder / "out"


def test_truncated_and_changed_files(good: Path, tmp_path: Path) -> None:
    content, path = (good / "model.bin").read_bytes(), tmp_path / "model.bin"
    for end in range(0, len(content), 211):
        path.write_bytes(content[:end])
        with pytest.raises(RunError):
            ctranslate2.read_content(path)
    path.write_bytes(content + b"x")
    with pytest.raises(RunError, match="goes on for 1 byte"):
        ctranslate2.read_content(path)
    path.write_bytes(struct.pack("<I", 3) + content[4:])
    with pytest.raises(RunError, match="binary version 3"):
        ctranslate2.read_content(path)
    for name in good.iterdir():
        if name.name != "model.bin":
            (tmp_path / name.name).write_bytes(name.read_bytes())
    for place in range(4, len(content) - 4, 397):
        path.write_bytes(content[:place] + b"\xff\xff\xff\xff" + content[place + 4 :])
        with contextlib.suppress(RunError):
            ctranslate2_reader.read_model(tmp_path)


def test_contradictions(good: Path, tmp_path: Path) -> None:
    content = ctranslate2.read_content(good / "model.bin")
    for name in ("shared_vocabulary.json", "config.json"):
        (tmp_path / name).write_bytes((good / name).read_bytes())

    def refused(message: str, without: str = "", **changed: Any) -> None:
        arrays = {name: one for name, one in content.arrays.items() if name != without}
        arrays |= {name.replace("__", "/"): one for name, one in changed.items()}
        types = {name: str(one.dtype) for name, one in arrays.items()}
        held = dataclasses.replace(content, arrays=arrays, types=types)
        ctranslate2.write_content(tmp_path / "model.bin", held)
        with pytest.raises(RunError, match=message):
            ctranslate2_reader.read_model(tmp_path)

    refused("has no encoder/layer_0/ffn/linear_1/weight", "encoder/layer_0/ffn/linear_1/weight")
    refused("is quantised, but has no", "encoder/layer_0/ffn/linear_1/weight_scale")
    refused("parts that no family here has: encoder/odd", encoder__odd=np.zeros(2, np.float32))
    refused("has 3 heads in a width of 4", encoder__num_heads=np.asarray(np.int16(3)))
    refused("unknown activation 9", encoder__activation=np.asarray(np.int8(9)))
    refused("scales embeddings by 3", encoder__scale_embeddings=np.asarray(np.float32(3)))
    held = dataclasses.replace(content, specification="Wav2Vec2Spec")
    ctranslate2.write_content(tmp_path / "model.bin", held)
    with pytest.raises(RunError, match="'Wav2Vec2Spec'; triptych reads encoder-decoders"):
        import_folder(tmp_path, tmp_path / "run")
    ctranslate2.write_content(tmp_path / "model.bin", content)
    (tmp_path / "shared_vocabulary.json").write_text('["a"]')
    with pytest.raises(RunError, match="the vocabulary has 1 token"):
        ctranslate2_reader.read_model(tmp_path)
    (tmp_path / "shared_vocabulary.json").write_text("{")
    with pytest.raises(RunError, match="not a list of tokens"):
        ctranslate2_reader.read_model(tmp_path)
    assert ctranslate2_writer.KINDS == ("float32", "float16", "int8")
