"""Test graphs of ONNX: ONNX Runtime computes what the run does, whatever the padding."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_folders import write
from toys_of_encoders import TOYS

from triptych.convert import export_run, import_folder
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import RunError, UsageError
from triptych.inference.loading import load
from triptych.interchange import onnx_writer
from triptych.model.build import build
from triptych.model.heads.tokens import output_of
from triptych.model.layout import PackedLayout
from triptych.presets import configure
from triptych.runs.checkpoint import weights_of
from triptych.runs.run import Run, RunConfig
from triptych.tasks.specs import SPECS

NEAR = 1e-4  # relative to the largest output, if that is above 1
LENGTHS = ((7, 3, 12), (5,), (4, 4))
FAMILIES = (
    "BertForSequenceClassification",
    "BertForQuestionAnswering",
    "BertModel",
    "RobertaForTokenClassification",
    "AlbertForSequenceClassification",
    "ModernBertForSequenceClassification",
    "ModernBert, mean",
    "MPNetForSequenceClassification",
    "DebertaV2ForTokenClassification",
)
CLASSES = {"labels": ["one", "two", "three"]}
TAGS = {"names": ["O", "B-X", "I-X"], "scheme": "bio", "written": "bio", "spaces": "always",
        "words": {"rules": "spaces"}, "unit": "word"}  # fmt: skip
OWN: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "words and pairs of words": (
        "classification",
        {"shortcut": True, "bigrams": 64, "hidden": True},
        CLASSES,
    ),
    "the largest of all": ("classification", {"pooling": "max"}, CLASSES),
    "two texts": (
        "classification",
        {"pooling": "compare", "pair": True, "shortcut": True},
        CLASSES,
    ),
    "whole words": ("tagging", {"pooling": "mean", "bigrams": 64}, TAGS),
    "a chain": ("tagging", {"decoding": "crf"}, TAGS),
}


def toy(folder: Path, task: str, options: dict[str, Any], labels: dict[str, Any]) -> Path:
    """Write a run as training would leave it, with every parameter random."""
    tokenizer = Tokenizer.train(["the cat sat on the mat and a mat"] * 3, "bpe", 330)
    config = configure("encoder-tiny", {"width": 16, "heads": 4, "inner_width": 24, "layers": 2})
    config = dataclasses.replace(config, vocabulary_size=tokenizer.vocabulary_size)
    run, chosen = Run.create(folder), SPECS[task].build(options)
    torch.manual_seed(5)
    model, head = build(config), chosen.head(config, labels)
    with torch.no_grad():
        for parameter in [*model.parameters(), *head.parameters()]:
            parameter.add_(0.3 * torch.randn_like(parameter))
    run.write_text("tokenizer.json", tokenizer.to_json())
    run.write_labels(labels)
    run.write_model(weights_of(model, head))
    run.write_config(
        RunConfig(
            task=task,
            model=config,
            options=dict(chosen.options),
            tokenizers={"shared": "tokenizer.json"},
        )
    )
    return folder


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_there(tmp_path: Path, name: str) -> None:
    write(TOYS[name], tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    compare(tmp_path)


@pytest.mark.parametrize("name", OWN)
def test_heads_that_are_trained_here(tmp_path: Path, name: str) -> None:
    toy(tmp_path / "run", *OWN[name])
    compare(tmp_path)
    values = json.loads((tmp_path / "out" / "config.json").read_text())
    assert ("chain" in values) == (name == "a chain")
    assert list(values["id2label"].values()) == OWN[name][2].get("labels", TAGS["names"])


def compare(folder: Path) -> None:
    """Export the run of a folder, and compare the graph's outputs with the head's."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    there = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    notes = export_run(folder / "run", folder / "out", "onnx")
    assert "opset 17" in notes[0]
    names = {one.name for one in (folder / "out").iterdir()}
    assert names == {"model.onnx", "config.json", "labels.json", "tokenizer.json"}
    values = json.loads((folder / "out" / "config.json").read_text())
    session = there.InferenceSession(str(folder / "out" / "model.onnx"))
    assert [one.name for one in session.get_inputs()] == list(values["inputs"])
    assert [one.name for one in session.get_outputs()] == list(values["outputs"])
    predictor = load(folder / "run")
    for number, lengths in enumerate(LENGTHS):
        inputs = drawn(lengths, number)
        own = {**inputs, "source_lengths": (rows := PackedLayout(torch.tensor(lengths))).lengths}
        given = {"input_ids": "source", "token_type_ids": "segments", "word_starts": "word_starts"}
        fed = {
            name: rows.pad(inputs[given[name]]).numpy()
            if name in given
            else rows.real.long().numpy()
            for name in values["inputs"]
        }
        found = [rows_of(one, rows) for one in session.run(None, fed)]
        with torch.no_grad():
            wanted = of_head(output_of(predictor.model, predictor.head, own), predictor, own)
        assert len(found) >= len(wanted)
        for one, other in zip(found, wanted, strict=False):
            if values["head"] == "tagger":
                one = one[inputs["word_starts"].bool().numpy()]
            seen = np.isfinite(other)
            assert one.shape == other.shape and (np.isfinite(one) == seen).all() and seen.any()
            assert np.abs(one[seen] - other[seen]).max() < NEAR * max(
                1.0, np.abs(other[seen]).max()
            )


def drawn(lengths: tuple[int, ...], seed: int) -> dict[str, torch.Tensor]:
    """Return packed inputs: the second half of each text is the second text, words of two tokens.

    The first and the last token are in no word.
    """
    draw = torch.Generator().manual_seed(seed)
    places = [torch.arange(length) for length in lengths]
    return {
        "source": torch.randint(5, 280, (sum(lengths),), generator=draw),
        "segments": torch.cat([(one >= len(one) // 2).long() for one in places]),
        "word_starts": torch.cat(
            [((one % 2 == 1) & (one < len(one) - 1)).long() for one in places]
        ),
    }


def rows_of(output: np.ndarray, rows: PackedLayout) -> np.ndarray:
    """Return the packed rows of an output (B, T, ...), or an output (B, ...) as it is."""
    real = rows.real.numpy()
    return output[real] if output.shape[:2] == real.shape else output


def of_head(output: Any, predictor: Any, inputs: dict[str, torch.Tensor]) -> list[np.ndarray]:
    """Return what a head computes in the form of the graph's outputs."""
    kind = predictor.task.spec.head
    if kind == "classifier":
        return [output.logits.numpy()]
    if kind == "tagger":
        return [output.scores.numpy()]
    if kind == "span":
        return [one.numpy() for one in output.unbind(-1)]
    options = predictor.task.options
    means = torch.stack([one.mean(0) for one in output.split(inputs["source_lengths"].tolist())])
    assert options["pooling"] == "mean" and options["normalize"]
    return [output.numpy(), torch.nn.functional.normalize(means).numpy()]


def test_what_is_not_written_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(TOYS["BigBirdForSequenceClassification"], tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "bigbird")
    writer = Path(__file__).parents[1] / "goldens" / "runs" / "writer"
    run = toy(tmp_path / "run", *OWN["the largest of all"])
    cases = (
        (tmp_path / "bigbird", "attention is block-sparse"),
        (writer, "a decoder, and only encoders are written"),
        (writer, "its task is language-modelling, but classification, embedding"),
    )
    for path, words in cases:
        with pytest.raises(RunError, match=words):
            export_run(path, tmp_path / "out", "onnx")
    monkeypatch.setattr(onnx_writer, "LARGEST", 100)
    with pytest.raises(RunError, match="more than 2 GiB"):
        export_run(run, tmp_path / "out", "onnx")
    monkeypatch.undo()
    with pytest.raises(UsageError, match="float32"):
        export_run(run, tmp_path / "out", "onnx", "float16")
    monkeypatch.setattr(onnx_writer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'triptych\[onnx\]'"):
        export_run(run, tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


def test_a_broken_off_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    run = toy(tmp_path / "run", *OWN["the largest of all"])

    def broken(path: Path, *rest: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx_writer, "write_graph", broken)
    with pytest.raises(KeyboardInterrupt):
        export_run(run, tmp_path / "out", "onnx")
    assert {one.name for one in tmp_path.iterdir()} == {"run"}
