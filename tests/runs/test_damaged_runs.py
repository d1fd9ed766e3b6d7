"""Run folders whose JSON files are damaged: each is named in a sentence, and what can be passed
over is.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toy_folder import write
from triptych.cli import main
from triptych.convert import export_run, import_folder
from triptych.data.batches.shards import Shards
from triptych.data.tokenizers import loading
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import DataError, RunError
from triptych.inference.loading import load
from triptych.runs.files import lacking_labels
from triptych.runs.run import Run
from triptych.tasks.specs import SPECS
from triptych.training.checkpoint import restore

DEEP = "[" * 100_000
NOT_JSON = ["{", DEEP, '{"a": ' + "9" * 5000 + "}", '{"a": "\\ud800"}']


@pytest.fixture
def run(tmp_path: Path) -> Run:
    import_folder(write(tmp_path / "toy"), tmp_path / "run")
    return Run(tmp_path / "run")


@pytest.mark.parametrize("text", NOT_JSON, ids=range(len(NOT_JSON)))
def test_files_that_are_no_json(run: Run, text: str) -> None:
    for name, read in (
        ("labels.json", run.read_labels),
        ("config.json", run.read_config),
        ("import.json", run.read_import),
    ):
        (run.path / name).write_text(text)
        with pytest.raises(RunError, match=name):
            read()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "holds a list instead of a JSON object"),
        (None, "holds null"),
        ({"labels": "ab"}, "'labels' is 'ab', which is not a list of texts"),
        ({"labels": ["a", 1]}, "which is not a list of texts"),
        ({"names": {}}, "'names' is {}"),
        ({"template": ["x"]}, "not an object of texts"),
        ({"value": {"mean": "x"}}, "not an object of numbers"),
        ({"words": "learned"}, "'words' is 'learned', which is not an object"),
        ({"languages": {"source": "en"}}, "'languages' is"),
        ({"mask": 1}, "'mask' is 1, which is not true or false"),
    ],
)
def test_labels_of_another_shape(run: Run, values: Any, said: str) -> None:
    (run.path / "labels.json").write_text(json.dumps(values))
    with pytest.raises(RunError, match=rf"labels\.json.*{said}"):
        load(run.path)


def lacking(labels: dict[str, Any], task: str, path: Path) -> None:
    lacking_labels(labels, SPECS[task].labels, task, path)


def test_labels_that_a_task_needs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no 'relations', which a run for parsing needs"):
        lacking({"upos": []}, "parsing", tmp_path / "labels.json")
    lacking({}, "embedding", tmp_path / "labels.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": []}, "options is"),
        ({"options": {"window": "x"}}, "config.json|window"),
        ({"tokenizers": {"shared": 3}}, "tokenizers is"),
        ({"languages": {"source": 1}}, "languages is"),
        ({"decoding": "x"}, "decoding is 'x'"),
        ({"name": 3}, "name is 3"),
        ({"task": []}, "task is"),
        ({"model": []}, "config.json"),
        ({"format_version": [1]}, "format version"),
    ],
)
def test_configs_of_another_shape(run: Run, change: dict[str, Any], said: str) -> None:
    path = run.path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(Exception, match=said) as caught:
        load(run.path)
    assert main.message_of(caught.value).startswith(
        "triptych: "
    ) and "error of triptych itself" not in main.message_of(caught.value)


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"layers": -1}, "encoder.layers is -1"),
        ({"heads": 0}, "encoder.heads is 0"),
        ({"heads": 3}, "encoder: width 8 must be a multiple of heads 3"),
        ({"width": 2**63}, "encoder.width is 9223372036854775808"),
        ({"dropout": 2.0}, "encoder.dropout is 2.0"),
        ({"norm_epsilon": float("nan")}, "encoder.norm_epsilon is nan"),
        ({"segments": -2}, "encoder.segments is -2"),
    ],
)
def test_models_that_cannot_be(run: Run, dials: dict[str, Any], said: str) -> None:
    path = run.path / "config.json"
    values = json.loads(path.read_text())
    values["model"]["encoder"] |= dials
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=rf"config\.json does not fit.*{said}"):
        run.read_config()
    values["model"] |= {"encoder": None, "decoder": None}
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match="neither an encoder nor a decoder"):
        run.read_config()


def test_a_certificate_of_another_shape(run: Run, tmp_path: Path) -> None:
    path = run.path / "import.json"
    values = json.loads(path.read_text())
    lacking = {key: value for key, value in values.items() if key != "source"}
    for wrong, said in (
        ([], "holds a list"),
        ({**values, "files": []}, "'files' is"),
        (lacking, "has no 'source'"),
        ({**values, "files": {"a": {}}}, "no SHA-256"),
        ({**values, "config": 3}, "'config' is 3"),
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(RunError, match=said):
            export_run(run.path, tmp_path / "out")


def test_a_state_of_another_shape(run: Run) -> None:
    for wrong in (
        [],
        {"version": 1, "optimizer": "adamw", "seed": 1},
        {"version": 1, "optimizer": "adamw", "seed": 1, "position": 3},
    ):
        run.write_checkpoint(3, {"model.safetensors": {}}, wrong)  # type: ignore[arg-type]
        settings, nothing = (
            SimpleNamespace(optimizer="adamw", seed=1, checkpoint_address=None),
            SimpleNamespace(load=lambda *_: None),
        )
        batches = SimpleNamespace(restore=lambda position: position["epoch"])
        empty = SimpleNamespace(state_dict=dict)
        job: Any = SimpleNamespace(
            run=run, settings=settings, batches=batches, model=empty, head=empty
        )
        with pytest.raises(
            RunError,
            match=r"state\.json .*(is not a JSON object|does not hold the state of a training)",
        ):
            restore(job, nothing, nothing, [])  # type: ignore[arg-type]


def test_a_damaged_line_of_the_record_is_passed_over_and_named(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        b'{"step": 1, "split": "train", "loss": 2.0}',
        b'{"step": 2, "split": "tr',
        b"\xff\xfe",
        b"[3]",
        b'{"step": "x"}',
        DEEP.encode(),
        b'{"step": 7, "split": "train", "loss": "x"}',
        b"",
        b'{"step": 9, "split": "validation", "best": true, "bleu": 4.0}',
        b'{"step": 10, "spl',
    ]
    (run.path / "metrics.jsonl").write_bytes(b"\n".join(lines))
    told: list[str] = []
    assert [line["step"] for line in run.read_metrics(told.append)] == [1, 9]
    assert told == [
        f"{run.path / 'metrics.jsonl'}: damaged and skipped: line 2, 3, 4, 5, 6 and 1 more."
    ]
    assert main.run(["info", str(run.path)]) == 0
    done = capsys.readouterr()
    assert "damaged and skipped: line 2, 3" in done.err and "best validation" in done.out


def test_tokenizers_and_shards_of_another_shape(run: Run, tmp_path: Path) -> None:
    path = run.path / "tokenizer.json"
    values = json.loads(path.read_text())
    for own in (
        {"rows": "x"},
        {"rows": -1},
        {"ends": ["x"]},
        {"before": [None]},
        {"begin": "none"},
        {"kind": []},
    ):
        path.write_text(json.dumps({**values, "triptych": {**values["triptych"], **own}}))
        with pytest.raises(RunError, match=r"tokenizer\.json is not a whole tokenizer file"):
            loading.load(path)
    path.write_text(json.dumps({**values, "triptych": {**values["triptych"], "rows": 10**12}}))
    assert loading.load(path).vocabulary_size == 10**12  # believed by nobody: the weights decide
    for index in (
        {"format_version": 2},
        {"format_version": 2, "shards": 3, "longest": 1, "digest": ""},
        [],
        DEEP,
    ):
        (tmp_path / "index.json").write_text(index if isinstance(index, str) else json.dumps(index))
        with pytest.raises(
            DataError, match=r"index\.json is not a(n| whole) index of token shards"
        ):
            Shards.open(tmp_path)


def test_a_panic_at_the_top_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    panic = type("PanicException", (BaseException,), {})("capacity overflow")

    def fail(arguments: list[str]) -> int:
        raise panic

    monkeypatch.setattr(main, "dispatch", fail)
    assert main.run(["info"]) == 1
    assert "PanicException: capacity overflow" in capsys.readouterr().err


def test_a_vocabulary_of_any_size_may_be_asked_for() -> None:
    text = ["the cat sat on the mat, the cat"] * 2
    assert (
        Tokenizer.train(text, "bpe", 10**12).to_json()
        == Tokenizer.train(text, "bpe", 2000).to_json()
    )
