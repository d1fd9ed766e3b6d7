"""Test every class of published encoders: its head's output, export and import, as transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from published_folders import TEXTS, library, write
from safetensors.torch import load_file
from torch import Tensor
from toys_of_encoders import TOYS

from triptych.convert import export_run, import_folder
from triptych.inference.loading import load
from triptych.inference.predictor import Predictor
from triptych.model.heads.tokens import output_of
from triptych.runs.run import Run

PAIRS = (("the cat sat", "on the mat"), ("a mat", "the other cat and the mat"))


@pytest.mark.parametrize("name", TOYS)
def test_in_and_out(tmp_path: Path, name: str) -> None:
    toy = TOYS[name]
    there = write(toy, tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    predictor = load(tmp_path / "run")
    backend = tokenizers.Tokenizer.from_file(str(tmp_path / "there" / "tokenizer.json"))
    for texts in [[(text,) for text in TEXTS], PAIRS]:
        encoded = [backend.encode(*one) for one in texts]
        of_pairs = len(texts[0]) == 2
        if of_pairs:
            between = predictor.tokenizers.source.between
            first, second = (predictor.tokenizers.source.encode(one) for one in texts[0])
            ends = predictor.tokenizers.source.begin_id, predictor.tokenizers.source.end_id
            assert encoded[0].ids == [ends[0], *first, *between, *second, ends[1]]
        found = ours(predictor, encoded)
        for one, output in zip(encoded, found, strict=True):
            wanted = theirs(there, one)
            assert output.shape == wanted.shape
            near = 1e-5 * max(1.0, float(wanted.abs().max()))
            seen = output.isfinite()  # a reader rules out the question
            assert (output - wanted)[seen].abs().max() < near and seen.any()
    export_run(tmp_path / "run", tmp_path / "out")
    before, after = (load_file(tmp_path / one / "model.safetensors") for one in ("there", "out"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[one], after[one]) for one in before)
    again = getattr(library(), f"AutoModel{auto(toy.model)}").from_pretrained(
        tmp_path / "out", attn_implementation="eager"
    )
    assert type(again) is type(there)
    assert torch.equal(theirs(again.eval(), encoded[0]), theirs(there, encoded[0]))
    import_folder(tmp_path / "out", tmp_path / "again")
    one, other = (Run(tmp_path / name).read_config() for name in ("run", "again"))
    assert (one.task, one.options) == (other.task, other.options)


def auto(model: str) -> str:
    return f"For{model.split('For')[1]}" if "For" in model else ""


def ours(predictor: Predictor, encoded: list[Any]) -> list[Tensor]:
    """Return the output of the run's head for each input, of all of them in one pass."""
    ids = [torch.tensor(one.ids) for one in encoded]
    inputs = {
        "source": torch.cat(ids),
        "source_lengths": torch.tensor([len(one) for one in ids]),
        "segments": torch.cat([torch.tensor(one.type_ids) for one in encoded]),
    }
    lengths = inputs["source_lengths"].tolist()
    task = predictor.task.name
    with torch.no_grad():
        if task == "embedding":
            return list(predictor.model(**inputs).split(lengths))
        if task == "masked-words":
            inputs["masked"] = torch.ones_like(inputs["source"])
            return list(output_of(predictor.model, predictor.head, inputs).logits.split(lengths))
        if task == "tagging":
            inputs["word_starts"] = torch.ones_like(inputs["source"])
            return list(output_of(predictor.model, predictor.head, inputs).scores.split(lengths))
        if task == "question-answering":
            return list(output_of(predictor.model, predictor.head, inputs).split(lengths))
        assert task == "classification"
        return list(output_of(predictor.model, predictor.head, inputs).logits)


@torch.no_grad()
def theirs(model: Any, encoded: Any) -> Tensor:
    """Return the same output of their model, alone."""
    given = {"input_ids": torch.tensor([encoded.ids])}
    if getattr(model.config, "type_vocab_size", 0) > 1:
        given["token_type_ids"] = torch.tensor([encoded.type_ids])
    output = model(**given)
    if hasattr(output, "start_logits"):
        return torch.stack([output.start_logits[0], output.end_logits[0]], -1)
    return output.logits[0] if hasattr(output, "logits") else output.last_hidden_state[0]
