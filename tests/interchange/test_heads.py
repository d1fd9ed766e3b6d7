"""Test that a published head comes in as the task that it was trained for, and goes out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from toy_folder import CONFIG, WORDS, word_piece
from triptych.convert import export_run, import_folder
from triptych.errors import RunError
from triptych.inference.loading import load
from triptych.runs.run import Run

DISTIL = {
    "vocab_size": len(WORDS),
    "dim": 8,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 12,
    "max_position_embeddings": 64,
}
BERT = {key: value for key, value in CONFIG.items() if key not in ("model_type", "architectures")}
SIZES = {"Bert": BERT, "DistilBert": DISTIL}
TEXTS = ["the cat sat", "unhappy cats , the cafe !", "貓 坐"]


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip(
        "transformers", reason="transformers, the oracle of imports, is not installed"
    )


def folder_of(transformers: Any, path: Path, kind: str, head: str, **more: Any) -> tuple[Path, Any]:
    """Write a folder of a class with a head, all of whose weights are random."""
    torch.manual_seed(9)
    config = getattr(transformers, f"{kind}Config")(**SIZES[kind], **more)
    model = getattr(transformers, f"{kind}For{head}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    model.save_pretrained(path)
    word_piece().save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(json.dumps({"cls_token": "[CLS]"}))
    return path, model


def theirs(model: Any, text: str, second: str | None = None) -> Any:
    """Return the model's output for the ids that its tokenizer gives a text."""
    backend = word_piece()
    backend.no_padding()
    backend.no_truncation()
    found = backend.encode(text) if second is None else backend.encode(text, second)
    given = {"input_ids": torch.tensor([found.ids])}
    if model.config.model_type == "bert":
        given["token_type_ids"] = torch.tensor([found.type_ids])
    with torch.no_grad():
        return model(**given)


def round_trip(folder: Path, tmp_path: Path) -> Run:
    """Import a folder, export the run and import that; every tensor stays as it was."""
    import_folder(folder, tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "out")
    before, after = (load_file(one / "model.safetensors") for one in (folder, tmp_path / "out"))
    unlearnt = ("position_ids", "cls.predictions.decoder", "vocab_projector.weight")
    assert {name for name in before if not name.endswith(unlearnt)} == after.keys()
    assert all(torch.equal(before[name], one) for name, one in after.items())
    import_folder(tmp_path / "out", tmp_path / "again")
    one, other = Run(tmp_path / "run"), Run(tmp_path / "again")
    assert one.read_config().task == other.read_config().task
    assert one.read_config().options == other.read_config().options
    assert one.read_labels() == other.read_labels()
    return one


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("several", [False, True])
def test_classifiers(transformers: Any, tmp_path: Path, kind: str, several: bool) -> None:
    names = {0: "sport", 1: "貓", 2: "business"}
    more = {"problem_type": "multi_label_classification"} if several else {}
    folder, model = folder_of(
        transformers, tmp_path / "in", kind, "SequenceClassification", id2label=names, **more
    )
    run = round_trip(folder, tmp_path)
    assert run.read_config().task == "classification"
    for text, found in zip(TEXTS, load(run.path).predict(TEXTS), strict=True):
        logits = theirs(model, text).logits[0]
        chances = logits.sigmoid() if several else logits.softmax(-1)
        table = found.details["probabilities"]
        wanted = {name: float(chances[place]) for place, name in names.items()}
        assert table == pytest.approx(wanted, abs=1e-5)


def test_a_regression(transformers: Any, tmp_path: Path) -> None:
    folder, model = folder_of(
        transformers, tmp_path / "in", "Bert", "SequenceClassification", num_labels=1
    )
    run = round_trip(folder, tmp_path)
    for text, found in zip(TEXTS, load(run.path).predict(TEXTS), strict=True):
        assert found.details["value"] == pytest.approx(float(theirs(model, text).logits), abs=1e-5)


@pytest.mark.parametrize("kind", SIZES)
def test_taggers(transformers: Any, tmp_path: Path, kind: str) -> None:
    names = {0: "NOUN", 1: "VERB", 2: "DET"}
    folder, model = folder_of(
        transformers, tmp_path / "in", kind, "TokenClassification", id2label=names
    )
    run = round_trip(folder, tmp_path)
    assert run.read_config().task == "tagging"
    (found,) = load(run.path).predict(["the cat sat"])
    best = theirs(model, "the cat sat").logits[0].argmax(-1).tolist()[1:4]
    assert found.details["tags"] == [names[place] for place in best]


@pytest.mark.parametrize("kind", SIZES)
def test_readers(transformers: Any, tmp_path: Path, kind: str) -> None:
    folder, model = folder_of(transformers, tmp_path / "in", kind, "QuestionAnswering")
    run = round_trip(folder, tmp_path)
    assert run.read_config().task == "question-answering"
    question, passage = "the cat", "unhappy cats sat , the cafe !"
    (found,) = load(run.path).predict([{"question": question, "passage": passage}])
    output = theirs(model, question, passage)
    first = len(word_piece_ids(question)) + 2
    starts, ends = output.start_logits[0, first:-1], output.end_logits[0, first:-1]
    sums = (starts[:, None] + ends[None]).triu()
    sums = sums.masked_fill(torch.ones_like(sums).tril(-1).bool(), float("-inf"))
    start, end = divmod(int(sums.argmax()), sums.shape[1])
    spans = word_piece().encode(passage, add_special_tokens=False)
    offsets = [one for one in spans.offsets if one != (0, 0)] or spans.offsets
    assert found.text == passage[offsets[start][0] : offsets[end][1]]


def word_piece_ids(text: str) -> list[int]:
    backend = word_piece()
    backend.no_padding()
    backend.no_truncation()
    return backend.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id2label": ["a", "b"]}, "id2label is"),
        ({"id2label": {"0": "a", "2": "b"}}, "a label for each number from 0 on"),
        ({"id2label": {"0": "a", "1": "a"}}, "has the label 'a' twice"),
        ({"id2label": {"0": "a"}}, "shape"),
        ({"triptych": {"task": "nothing"}}, "triptych.task is 'nothing'"),
        ({"triptych": {"task": "classification"}}, "needs the tables options and labels"),
    ],
)
def test_labels_that_do_not_fit_are_said(
    transformers: Any, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder, _ = folder_of(
        transformers, tmp_path / "in", "Bert", "SequenceClassification", num_labels=2
    )
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(RunError, match=said):
        import_folder(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_base_of_a_classifier_is_an_embedding_if_asked(
    transformers: Any, tmp_path: Path
) -> None:
    folder, _ = folder_of(transformers, tmp_path / "in", "Bert", "SequenceClassification")
    certificate = import_folder(folder, tmp_path / "run", "embedding")
    assert "classifier.weight" in certificate.ignored
    assert Run(tmp_path / "run").read_config().task == "embedding"
    held = load_file(folder / "model.safetensors")
    del held["classifier.weight"], held["classifier.bias"]
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match="no head for classification"):
        import_folder(folder, tmp_path / "other", "classification")
