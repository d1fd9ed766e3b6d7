"""Test every class of published encoders: its head's output, export and import, as transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from published_folders import TEXTS, Toy, cases, library, word_piece, write
from safetensors.torch import load_file
from torch import Tensor
from toys_of_encoders import ELECTRA, TOYS

from triptych.convert import export_run, import_folder, open_origin
from triptych.inference.loading import load
from triptych.inference.predictor import Predictor
from triptych.model.config import ModelConfig
from triptych.model.heads.tokens import output_of
from triptych.presets import parameter_count
from triptych.runs.run import Run

SINGLES = [*TEXTS, f"{TEXTS[-1]} {TEXTS[-1]}"]
# These heads have the same names and shapes in every family: one or two families show them.
SAME = ("Roberta", "XLMRoberta", "BigBird", "Albert", "MPNet", "DebertaV2")
SLOW = {
    *(
        f"{family}For{head}"
        for family in SAME
        for head in ("TokenClassification", "QuestionAnswering")
    ),
    *(f"{family}Model" for family in SAME),
    *(f"XLMRobertaFor{head}" for head in ("MaskedLM", "SequenceClassification")),
    *("ModernBertForTokenClassification", "ModernBertModel"),
    *("LongformerForTokenClassification", "LongformerModel"),  # "Longformer, one window" is one
}
PAIRS = (("the cat sat", "on the mat"), ("a mat", "the other cat and the mat"))


@pytest.mark.parametrize("name", cases(TOYS, SLOW))
def test_in_and_out(tmp_path: Path, name: str) -> None:
    toy = TOYS[name]
    there = write(toy, tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    predictor = load(tmp_path / "run")
    held = sum(one.numel() for one in predictor.model.parameters())
    assert parameter_count(predictor.model.config) == held
    backend = tokenizers.Tokenizer.from_file(str(tmp_path / "there" / "tokenizer.json"))
    for texts in [[(text,) for text in SINGLES], PAIRS]:
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
            seen = output.isfinite()  # a reader rules out the question
            near = 1e-5 * max(1.0, float(wanted[seen].abs().max()))
            assert (output - wanted)[seen].abs().max() < near and seen.any()
    export_run(tmp_path / "run", tmp_path / "out")
    before, after = (load_file(tmp_path / one / "model.safetensors") for one in ("there", "out"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[one], after[one]) for one in before if not unread(toy, one))
    again = getattr(library(), f"AutoModel{auto(toy.model)}").from_pretrained(
        tmp_path / "out", attn_implementation="eager"
    )
    assert type(again) is type(there)
    # The same weights lie elsewhere in memory, where some kernels round differently.
    wanted = theirs(there, encoded[0])
    torch.testing.assert_close(theirs(again.eval(), encoded[0]), wanted, rtol=1e-6, atol=1e-6)
    import_folder(tmp_path / "out", tmp_path / "again")
    one, other = (Run(tmp_path / name).read_config() for name in ("run", "again"))
    assert (one.task, one.options) == (other.task, other.options)


def test_a_discriminator_comes_in_without_its_head(tmp_path: Path) -> None:
    write(Toy("ElectraForPreTraining", ELECTRA, word_piece), tmp_path / "there")
    certificate = import_folder(tmp_path / "there", tmp_path / "run")
    assert Run(tmp_path / "run").read_config().task == "embedding"
    assert "discriminator_predictions.dense_prediction.weight" in certificate.ignored


def test_a_longformer_lets_those_tokens_see_all_that_its_task_needs(tmp_path: Path) -> None:
    write(TOYS["LongformerModel"], tmp_path / "there")
    for task, wanted in (("classification", "first"), ("tagging", "none"), ("parsing", "none")):
        config = open_origin(tmp_path / "there", task).read_config().model
        assert isinstance(config, ModelConfig) and config.encoder is not None
        assert config.encoder.attention_globals == wanted


@pytest.mark.parametrize(
    "name",
    cases(
        (one for one in TOYS if one.endswith("ForSequenceClassification")),
        {f"{family}ForSequenceClassification" for family in SAME},
    ),
)
def test_pairs_of_texts(tmp_path: Path, name: str) -> None:
    there = write(TOYS[name], tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    place = tmp_path / "run" / "config.json"
    values = json.loads(place.read_text())
    values["options"]["pair"] = True
    place.write_text(json.dumps(values))
    backend = tokenizers.Tokenizer.from_file(str(tmp_path / "there" / "tokenizer.json"))
    asked = [{"text": one, "text_pair": other} for one, other in PAIRS]
    for pair, found in zip(PAIRS, load(tmp_path / "run").predict(asked), strict=True):
        chances = theirs(there, backend.encode(*pair)).softmax(-1)
        table = found.details["probabilities"]
        assert list(table.values()) == pytest.approx(
            [float(chances[["one", "two", "three"].index(label)]) for label in table], abs=1e-5
        )


def unread(toy: Toy, name: str) -> bool:
    return bool(toy.unread) and name.endswith(toy.unread)


def segments(encoded: Any) -> Tensor:
    """Number the texts of an input (T,); what is between two texts belongs to the first."""
    places = torch.arange(len(encoded.ids))
    if 1 not in encoded.sequence_ids:
        return torch.zeros_like(places)
    return (places >= encoded.sequence_ids.index(1)).long()


def auto(model: str) -> str:
    return f"For{model.split('For')[1]}" if "For" in model else ""


def ours(predictor: Predictor, encoded: list[Any]) -> list[Tensor]:
    """Return the output of the run's head for each input, of all of them in one pass."""
    ids = [torch.tensor(one.ids) for one in encoded]
    inputs = {
        "source": torch.cat(ids),
        "source_lengths": torch.tensor([len(one) for one in ids]),
        "segments": torch.cat([segments(one) for one in encoded]),
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
    body = getattr(model, model.base_model_prefix, model)
    of_one = set(encoded.sequence_ids) == {None, 0}
    if type(model).__name__ == "LongformerForQuestionAnswering" and of_one:  # it needs a question
        given["global_attention_mask"] = (torch.arange(len(encoded.ids)) < 1).long()[None]
    if hasattr(body, "set_attention_type"):  # a BigBird stays dense after a short input
        body.set_attention_type(model.config.attention_type)
    if getattr(model.config, "type_vocab_size", 0) > 1:
        given["token_type_ids"] = torch.tensor([encoded.type_ids])
    output = model(**given)
    if hasattr(output, "start_logits"):
        return torch.stack([output.start_logits[0], output.end_logits[0]], -1)
    return output.logits[0] if hasattr(output, "logits") else output.last_hidden_state[0]
