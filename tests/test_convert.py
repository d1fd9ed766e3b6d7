"""Test imports and exports: bit-equal, or refused with everything that is wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from toy_folder import CONFIG, WORDS, tensors, write
from triptych.convert import export_run, import_folder, open_origin
from triptych.convert.classes import Form
from triptych.data.batches.encoded import Encoded
from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import RunError, UsageError
from triptych.inference.loading import load
from triptych.model.build import build
from triptych.presets import configure
from triptych.recipe.schema import Recipe
from triptych.runs.checkpoint import weights_of
from triptych.runs.run import Run, RunConfig
from triptych.tasks import classification, masked_words
from triptych.tasks.encoders import encoder_alone
from triptych.tasks.masking import word_units
from triptych.tasks.specs import SPECS
from triptych.tasks.task import Prediction, Scores, Task


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(
        tmp_path / "toy-bert", tensors() | {"embeddings.position_ids": torch.arange(64)[None]}
    )


def test_in_and_out_bit_equal(source: Path, tmp_path: Path) -> None:
    certificate = import_folder(source, tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "import.json").read_text())
    assert saved["mapped"] == certificate.mapped == len(tensors()) and list(saved["ignored"]) == [
        "embeddings.position_ids"
    ]
    assert len(saved["files"]["model.safetensors"]["sha256"]) == 64 and saved["source"] == str(
        source
    )
    assert str(source) in (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert (
        Recipe.load(tmp_path / "run").model.config().encoder  # type: ignore[union-attr]
        == Run(tmp_path / "run").read_config().model.encoder  # type: ignore[union-attr]
    )
    notes = export_run(tmp_path / "run", tmp_path / "out")
    assert notes == [f"{len(tensors())} tensors as BertModel."]
    there = load_file(tmp_path / "out" / "model.safetensors")
    assert there.keys() == tensors().keys() and all(
        torch.equal(there[name], tensor) for name, tensor in tensors().items()
    )
    assert json.loads((tmp_path / "out" / "tokenizer.json").read_text()) == json.loads(
        (source / "tokenizer.json").read_text()
    )
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {
        **CONFIG,
        "dtype": "float32",
    }
    import_folder(tmp_path / "out", tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "run" / "model.safetensors"
    ).read_bytes()


def test_half_precision_comes_back_as_it_was(tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in tensors().items()}
    import_folder(write(tmp_path / "half", half), tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "out")
    there = load_file(tmp_path / "out" / "model.safetensors")
    assert all(
        torch.equal(there[name], tensor) and there[name].dtype == torch.float16
        for name, tensor in half.items()
    )
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float16"


def test_shards_are_one_model(source: Path, tmp_path: Path) -> None:
    held = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    names = sorted(held)
    parts = {"model-1.safetensors": names[:9], "model-2.safetensors": names[9:]}
    for file, inside in parts.items():
        save_file({name: held[name] for name in inside}, source / file)
    places = {name: file for file, inside in parts.items() for name in inside}
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert list(import_folder(source, tmp_path / "run").files) == list(parts)
    (source / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {**places, "ghost": "model-1.safetensors"}})
    )
    with pytest.raises(RunError, match="'ghost' is missing in model-1.safetensors"):
        import_folder(source, tmp_path / "b")
    (source / "model-2.safetensors").unlink()
    with pytest.raises(
        RunError, match=r"lacks model-2.safetensors, which model.safetensors.index.json names"
    ):
        import_folder(source, tmp_path / "c")
    (source / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../a.safetensors"}})
    )
    with pytest.raises(RunError, match="outside its folder"):
        import_folder(source, tmp_path / "d")


def test_folders_that_lack_something(source: Path, tmp_path: Path) -> None:
    held = load_file(source / "model.safetensors")
    del held["encoder.layer.1.output.dense.bias"]
    save_file(
        {
            **held,
            "strange.weight": torch.ones(1),
            "encoder.layer.0.output.dense.bias": torch.ones(3),
        },
        source / "model.safetensors",
    )
    with pytest.raises(RunError) as caught:
        import_folder(source, tmp_path / "run")
    for part in (
        "'encoder.layer.1.output.dense.bias' is missing",
        "'strange.weight' has no place in this model",
        "'encoder.layer.0.output.dense.bias' has shape (3,) instead of (8,)",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "run").exists()
    (source / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:500])
    with pytest.raises(RunError, match="500 bytes"):
        import_folder(source, tmp_path / "run")
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(
        RunError, match=r"has no model.safetensors. pytorch_model.bin is a pickle.*save_pretrained"
    ):
        import_folder(source, tmp_path / "run")
    (source / "tokenizer.json").unlink()
    with pytest.raises(RunError, match=r"has no tokenizer.json and no model.safetensors"):
        import_folder(source, tmp_path / "run")
    (tmp_path / "one.bin").write_bytes(b"")
    with pytest.raises(RunError, match="one.bin is a file. Name its folder"):
        import_folder(tmp_path / "one.bin", tmp_path / "run")
    with pytest.raises(RunError, match="There is no folder"):
        import_folder(tmp_path / "none", tmp_path / "run")


def test_places_that_are_taken_and_tasks_that_are_not_there(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="already exists"):
        import_folder(source, source)
    with pytest.raises(UsageError, match="Unknown task 'parsing' for an import"):
        import_folder(source, tmp_path / "run", "parsing")
    with pytest.raises(RunError, match="has no head for masked-words"):
        import_folder(source, tmp_path / "run", "masked-words")
    import_folder(source, tmp_path / "run")
    with pytest.raises(UsageError, match="Name another folder to export to"):
        export_run(tmp_path / "run", source)


def test_texts_become_vectors(source: Path, tmp_path: Path) -> None:
    import_folder(source, tmp_path / "run")
    predictor = load(tmp_path / "run")
    text = "the unhappy cat sat on 貓 " * 100
    one, other, long, empty = predictor.predict(["The cat sat", "the CAT sat", text, ""])
    assert one.details["vector"] == pytest.approx(other.details["vector"], abs=1e-6)
    assert (
        np.linalg.norm(long.details["vector"]) == pytest.approx(1.0, abs=1e-6)
        and long.truncated_input_tokens == 0
    )
    assert empty.details == {}


# Runs trained here --------------------------------------------------------------------------------


class LastWord(nn.Module):
    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.dense, self.project = nn.Linear(width, width), nn.Linear(width, count)
        self.register_buffer("temperature", torch.ones(1))
        self.register_buffer("thresholds", torch.ones(count))

    def forward(
        self, model: Any, states: torch.Tensor, inputs: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        first = inputs["source_lengths"].cumsum(0) - inputs["source_lengths"]
        return self.project(torch.tanh(self.dense(states[first])))


def toy_classification(options: Mapping[str, Any]) -> Task:
    """Train the least that has BertForSequenceClassification's form."""

    def encode(
        example: Example, tokenizers: Tokenizers, labels: dict, purpose: str, generator: Any
    ) -> list[Encoded]:
        one = tokenizers.source
        ids = np.array([one.begin_id, *one.encode(example.text or ""), one.end_id])
        return [
            Encoded(
                {"source": ids},
                {"label": np.array([labels["labels"].index(example.label)])}
                if purpose == "train"
                else {},
            )
        ]

    def loss(logits: torch.Tensor, batch: Any) -> dict[str, tuple[Any, int, float]]:
        return {
            "loss": (
                nn.functional.cross_entropy(logits, batch.targets["label"], reduction="sum"),
                batch.counts["tokens"],
                1.0,
            )
        }

    def answer(
        model: Any, head: Any, batch: Any, settings: Any, tokenizers: Tokenizers
    ) -> list[Any]:
        with torch.no_grad():
            return list(head(model, model(**batch.inputs), batch.inputs))

    return Task(
        spec=classification.SPEC,
        needs=("text", "label"),
        options={"pooling": "first", "hidden": True, "shortcut": False, "bigrams": 0, **options},
        prepare=lambda examples: {"labels": sorted({one.label or "" for one in examples})},
        encode=encode,
        head=lambda config, labels: LastWord(
            encoder_alone(config, "toy", 1).width, len(labels["labels"])
        ),
        loss=loss,
        answer=answer,
        read=lambda raw, example, tokenizers: Prediction("yes"),
        score=lambda *_: Scores({"accuracy": 1.0}),
    )


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> list[Example]:
    toy = dataclasses.replace(classification.SPEC, build=toy_classification)
    monkeypatch.setitem(SPECS, "classification", toy)
    found = [
        Example(text=text, label=label, place=text)
        for text, label in (("the cat sat", "good"), ("unhappy cats", "bad")) * 4
    ]
    monkeypatch.setattr(
        "triptych.setup.data.load_splits",
        lambda data, parts, tell, needs: dict.fromkeys(parts, found),
    )
    return found


def trained(start: Path, out: Path) -> tuple[Run, list[str]]:
    from triptych.setup.job import prepare

    text = (
        f'[task]\nname = "classification"\n[model]\nstart = "{start}"\n[training]\nsteps = 2\n'
        'precision = "float32"\nwarmup_steps = 1\n'
    )
    said: list[str] = []
    for _ in prepare(Recipe.parse(text), out, report=said.append).train():
        pass
    return Run(out), said


@pytest.mark.parametrize("directly", [True, False])
def test_training_goes_on_from_an_import(
    source: Path, tmp_path: Path, examples: list[Example], directly: bool
) -> None:
    if not directly:
        import_folder(source, tmp_path / "imported")
    run, said = trained(source if directly else tmp_path / "imported", tmp_path / "run")
    named = source if directly else tmp_path / "imported"
    taken = next(line for line in said if line.startswith("Taken from"))
    assert taken.startswith(f"Taken from {named}: its tokenizer") and "the head with" in taken
    config = run.read_config()
    assert config.task == "classification" and config.model.encoder.width == 8  # type: ignore[union-attr]
    assert Tokenizers.load(run.path).source.kind == "imported"
    weights = load_file(run.path / "model.safetensors")
    moved = (
        (
            weights["encoder.blocks.0.feed_forward.inner.weight"]
            - tensors()["encoder.layer.0.intermediate.dense.weight"]
        )
        .abs()
        .max()
    )
    assert 0 < moved < 0.1 and "head.pooler.weight" not in weights
    notes = export_run(run.path, tmp_path / "out")
    assert any("head.temperature" in note for note in notes)
    values = json.loads((tmp_path / "out" / "config.json").read_text())
    assert values["architectures"] == ["BertForSequenceClassification"] and values["id2label"] == {
        "0": "bad",
        "1": "good",
    }
    there = load_file(tmp_path / "out" / "model.safetensors")
    assert (
        torch.equal(there["classifier.weight"], weights["head.project.weight"])
        and "bert.pooler.dense.bias" in there
    )


def test_a_trained_classifier_says_the_same_there(
    source: Path, tmp_path: Path, examples: list[Example]
) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers, the oracle of imports, is not installed"
    )
    run, _ = trained(source, tmp_path / "run")
    export_run(run.path, tmp_path / "out")
    there = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    text, predictor = "the cat sat, unhappy", load(run.path)
    inputs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")(
        text, padding=False, truncation=False, return_tensors="pt"
    )
    encoded = predictor.task.encode(
        Example(text=text), predictor.tokenizers, predictor.labels, "use", None
    )
    with torch.no_grad():
        assert predictor.raw(encoded, predictor.decoding)[0].tolist() == pytest.approx(
            there(**inputs).logits[0].tolist(), abs=1e-5
        )
    assert there.config.id2label == {0: "bad", 1: "good"}


class Masked(nn.Module):
    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.transform, self.norm, self.bias = (
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.Parameter(torch.zeros(size)),
        )


def test_a_head_for_masked_words_goes_in_and_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def toy_masked_words(options: Mapping[str, Any]) -> Task:
        task = toy_classification({})
        return dataclasses.replace(
            task,
            spec=masked_words.SPEC,
            options={"window": 128, **options},
            head=lambda config, labels: Masked(config.encoder.width, config.vocabulary_size),
        )

    toy = dataclasses.replace(masked_words.SPEC, build=toy_masked_words)
    monkeypatch.setitem(SPECS, "masked-words", toy)
    held = tensors(pooler=True, masked=True)
    folder = write(
        tmp_path / "toy",
        held | {"cls.predictions.decoder.bias": held["cls.predictions.bias"].clone()},
    )
    certificate = import_folder(folder, tmp_path / "run")
    config = Run(tmp_path / "run").read_config()
    assert (
        config.task == "masked-words"
        and config.options["window"] == 62
        and Run(tmp_path / "run").read_labels() == {"mask": True}
    )
    assert "bert.pooler.dense.weight" in certificate.ignored
    assert certificate.tied == {"cls.predictions.decoder.bias": "cls.predictions.bias"}
    export_run(tmp_path / "run", tmp_path / "out")
    there = load_file(tmp_path / "out" / "model.safetensors")
    assert there.keys() == tensors(pooler=False, masked=True).keys()
    assert all(torch.equal(held[name], tensor) for name, tensor in there.items())
    assert import_folder(folder, tmp_path / "vectors", "embedding").mapped == len(held) - 5
    values = {**CONFIG, "hidden_act": "relu"}
    import_folder(write(tmp_path / "other", held, values), tmp_path / "c")
    assert Run(tmp_path / "c").read_config().options["activation"] == "relu"
    assert "activation" not in config.options


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run folder"):
        open_origin(tmp_path / "none", "classification")


def own_run(folder: Path, preset: str, task: str = "embedding", **dials: Any) -> Path:
    """Make a run as training would leave it, with our own BPE."""
    tokenizer = Tokenizer.train(["the cat sat on the mat"] * 3, "bpe", 320, mask=True)
    config = configure(
        preset, {"encoder": {"layers": 1, "width": 8, "heads": 2, "inner_width": 12, **dials}}
    )
    from triptych.setup.model import with_vocabulary

    config = with_vocabulary(config, Tokenizers(tokenizer, tokenizer))
    run, chosen = Run.create(folder), SPECS[task].build({})
    run.write_text("tokenizer.json", tokenizer.to_json())
    run.write_labels({})
    run.write_model(weights_of(build(config), chosen.head(config, {})))
    run.write_config(
        RunConfig(
            task=task,
            model=config,
            options=dict(chosen.options),
            tokenizers={"shared": "tokenizer.json"},
        )
    )
    return folder


def test_models_without_a_like_are_refused_by_their_dials(
    tmp_path: Path, examples: list[Example]
) -> None:
    with pytest.raises(RunError) as caught:
        export_run(own_run(tmp_path / "small", "bert-base", positions="rotary"), tmp_path / "out")
    assert (
        "encoder.positions is 'rotary' instead of 'learned'" in str(caught.value)
        and not (tmp_path / "out").exists()
    )
    run = Run(own_run(tmp_path / "bert", "bert-base"))
    config = run.read_config()
    config.task, config.options = (
        "classification",
        {"pooling": "mean", "hidden": False, "shortcut": False},
    )
    run.write_config(config)
    with pytest.raises(
        RunError,
        match=r"task.pooling is 'mean' instead of 'first'; task.hidden is False instead of True",
    ):
        export_run(run.path, tmp_path / "out")
    config.options = {"pooling": "first", "hidden": True, "bigrams": 512}
    run.write_config(config)
    with pytest.raises(RunError, match=r"such model: task.bigrams is 512 instead of 0\."):
        export_run(run.path, tmp_path / "out")
    config.task = "parsing"
    run.write_config(config)
    with pytest.raises(
        RunError, match="its task is parsing, but a BERT is exported for classification, embedding"
    ):
        export_run(run.path, tmp_path / "out")


@pytest.mark.parametrize("preset", ["bert-base", "distilbert-base", "encoder-small"])
def test_our_own_run_loads_there(tmp_path: Path, preset: str) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers, the oracle of imports, is not installed"
    )
    run = own_run(tmp_path / "run", preset)
    assert "plain text" in export_run(run, tmp_path / "out")[-1]
    model, tokenizer = (
        getattr(transformers, name).from_pretrained(tmp_path / "out")
        for name in ("AutoModel", "AutoTokenizer")
    )
    text = ["the cat sat, 貓", "mat"]
    batch = tokenizer(text, padding=True, return_tensors="pt")
    predictor = load(run)
    assert batch["input_ids"][0].tolist() == [0, *predictor.tokenizers.source.encode(text[0]), 1]
    with torch.no_grad():
        states, mask = model.eval()(**batch).last_hidden_state, batch["attention_mask"][..., None]
        expected = nn.functional.normalize((states * mask).sum(1) / mask.sum(1))
    for row, prediction in zip(expected.tolist(), predictor.predict(text), strict=True):
        assert prediction.details["vector"] == pytest.approx(row, abs=1e-5)


def test_an_imported_head_fills_words(tmp_path: Path) -> None:
    import_folder(write(tmp_path / "toy", tensors(pooler=False, masked=True)), tmp_path / "run")
    predictor = load(tmp_path / "run")
    spaced, first, within, quoted = predictor.predict(
        ["the [MASK] sat", "[MASK] sat", "un[MASK], the cat", "the ([MASK])"]
    )
    pieces = {word.removeprefix("##") for word in WORDS if word.startswith("##")}
    whole = {word for word in WORDS[5:] if not word.startswith("##")}
    for found, allowed in ((spaced, whole), (first, whole), (within, pieces), (quoted, whole)):
        (mask,) = found.details["masks"]
        fillings = {one["text"] for one in mask["fillings"]}
        assert (
            fillings
            and fillings <= allowed
            and "[MASK]" not in found.text
            and 0 < (found.score or 0) < 1
        )
    assert (
        spaced.text.startswith("the ")
        and spaced.text.endswith(" sat")
        and within.text.startswith("un")
    )


def test_words_of_an_imported_tokenizer_are_units(tmp_path: Path) -> None:
    import_folder(write(tmp_path / "toy", tensors(pooler=False, masked=True)), tmp_path / "run")
    tokenizer = load(tmp_path / "run").tokenizers.source
    text = "  The cats   sat, unhappy " + "cats the sat cafe! " * 9 + "貓坐"
    ids, units = word_units(text, tokenizer)
    shown = [tokenizer.pieces([number])[0] for number in ids.tolist()]
    assert len(shown) > 40 and shown[:8] == [
        "the",
        "cats",
        "sat",
        ",",
        "un",
        "##happ",
        "##y",
        "cats",
    ]
    for before, after, piece in zip(units, units[1:], shown[1:], strict=False):
        assert (before == after) == piece.startswith("##")


def test_a_task_that_no_library_has_is_refused() -> None:
    """A damaged config.json, or a task of one's own file."""
    with pytest.raises(RunError, match="A run for 'language-odelling' has no form"):
        Form("language-odelling", {}, configure("gpt2", {}))
