"""Test other runtimes: predictions are those of Triptych itself, which does what they cannot."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from triptych.cli.loading import EngineName
from triptych.cli.main import main
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import RunError, TriptychWarning, UsageError
from triptych.inference.loading import load
from triptych.inference.predictor import Predictor
from triptych.inference.runtimes import check
from triptych.inference.runtimes.runtime import RUNTIMES
from triptych.model.build import build
from triptych.presets import configure
from triptych.runs.checkpoint import weights_of
from triptych.runs.run import Run, RunConfig
from triptych.setup import runtimes
from triptych.tasks.specs import SPECS

SMALL = {"width": 16, "heads": 4, "inner_width": 24, "layers": 2}
TEXTS = ["the cat sat on the mat", "a mat on the cat, the cat", "", "cat", "on the mat 9 sat"]
TASKS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "translation": (
        "transformer-tiny",
        SMALL,
        {"languages": {"source": ["en"], "targets": ["de"]}, "tags": []},
    ),
    "classification": ("encoder-tiny", SMALL, {"labels": ["one", "two", "three"]}),
    "tagging": (
        "encoder-tiny",
        SMALL,
        {
            "names": ["O", "B-X", "I-X"],
            "scheme": "bio",
            "written": "bio",
            "spaces": "always",
            "words": {"rules": "spaces"},
            "unit": "word",
        },
    ),
    "embedding": ("encoder-tiny", SMALL, {}),
    "language-modelling": ("decoder-small", SMALL, {}),
}
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"beams": 4},
    {"beams": 3, "n_best": 3, "length_penalty": 0.6},
    {"min_length": 5},
    {"no_repeat_ngram_size": 2},
    {"repetition_penalty": 1.3},
    {"suppress_tokens": [5, 6, 7]},
    {"scores": False},
)


def toy(folder: Path, name: str) -> Path:
    """Write a run as training would leave it, with every parameter random."""
    preset, sizes, labels = TASKS[name]
    tokenizer = Tokenizer.train(["the cat sat on the mat and a mat"] * 3, "bpe", 330)
    config = configure(preset, sizes)
    config = dataclasses.replace(config, vocabulary_size=tokenizer.vocabulary_size)
    run, chosen = Run.create(folder), SPECS[name].build({})
    torch.manual_seed(5)
    model, head = build(config), chosen.head(config, labels)
    with torch.no_grad():
        for parameter in [*model.parameters(), *head.parameters()]:
            parameter.add_(0.2 * torch.randn_like(parameter))
    run.write_text("tokenizer.json", tokenizer.to_json())
    run.write_labels(labels)
    run.write_model(weights_of(model, head))
    run.write_config(
        RunConfig(
            task=name,
            model=config,
            options=dict(chosen.options),
            tokenizers={"shared": "tokenizer.json"},
        )
    )
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "triptych" / "engines"


def needs(name: str) -> None:
    library = RUNTIMES[name].library
    pytest.importorskip(library, reason=f"{library} is not installed")


def used(run: Path, name: str) -> tuple[Predictor, list[str]]:
    predictor, told = load(run), list[str]()
    runtimes.use_runtime(predictor, name, told.append)
    return predictor, told


def answers(predictor: Predictor, **settings: Any) -> list[tuple[object, ...]]:
    return [
        (
            one.text,
            one.cut,
            None if one.score is None else pytest.approx(one.score, abs=1e-3),
            None if one.log_probability is None else pytest.approx(one.log_probability, abs=1e-2),
            [other.text for other in one.alternatives],
        )
        for one in predictor.predict(TEXTS, **settings)
    ]


def test_a_translator(tmp_path: Path) -> None:
    needs("ctranslate2")
    predictor, told = used(toy(tmp_path / "run", "translation"), "ctranslate2")
    assert "Converting" in told[0] and "not checked" in told[1]
    own = load(tmp_path / "run")
    for settings in SETTINGS:
        assert answers(predictor, **settings) == answers(own, **settings), settings


def test_what_an_engine_cannot_do_is_answered_here(tmp_path: Path) -> None:
    needs("ctranslate2")
    predictor, _ = used(toy(tmp_path / "run", "translation"), "ctranslate2")
    own = load(tmp_path / "run")
    with pytest.warns(TriptychWarning, match="does not draw as decoding.seed says, so Triptych"):
        found = answers(predictor, temperature=1.0)
    assert found == answers(own, temperature=1.0)


@pytest.mark.parametrize("name", ["classification", "tagging", "embedding"])
def test_an_encoder(tmp_path: Path, name: str) -> None:
    needs("onnxruntime")
    pytest.importorskip("onnx", reason="onnx is not installed")
    predictor, _ = used(toy(tmp_path / "run", name), "onnxruntime")
    assert predictor.engine is not None
    own = load(tmp_path / "run").predict(TEXTS)
    for one, other in zip(predictor.predict(TEXTS), own, strict=True):
        assert one.text == other.text
        near(one.details, other.details)


def near(one: Any, other: Any) -> None:
    """Assert that two results are alike, their numbers up to 1e-4."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            near(one[key], other[key])
    elif isinstance(one, list):
        for each in zip(one, other, strict=True):
            near(*each)
    else:
        assert one == (pytest.approx(other, abs=1e-4) if isinstance(one, float) else other)


def test_a_language_model(tmp_path: Path) -> None:
    needs("llama.cpp")
    predictor, told = used(toy(tmp_path / "run", "language-modelling"), "llama.cpp")
    assert predictor.engine is not None, told
    own = load(tmp_path / "run")
    for one, other in zip(
        predictor.predict(TEXTS, max_length=12), own.predict(TEXTS, max_length=12), strict=True
    ):
        assert (one.text, one.tokens, one.cut) == (other.text, other.tokens, other.cut)
        assert one.log_probability == pytest.approx(other.log_probability, abs=0.1)
    with pytest.warns(TriptychWarning, match="without decoding.beams"):
        predictor.predict(TEXTS[:1], beams=2, max_length=4)


def test_llama_cpp_ends_where_it_was_never_asked(tmp_path: Path) -> None:
    needs("llama.cpp")
    used(toy(tmp_path / "run", "language-modelling"), "llama.cpp")
    (folder,) = (tmp_path / "cache").rglob("model.gguf")
    code = (  # as it waited for ever in about one of five
        "import sys, types; from pathlib import Path\n"
        "from triptych.inference.runtimes.continuations import ContinuationRuntime\n"
        "side = types.SimpleNamespace(begin_id=0)\n"
        "loaded = types.SimpleNamespace(tokenizers=types.SimpleNamespace(target=side))\n"
        "for _ in range(10):\n"
        "    ContinuationRuntime(Path(sys.argv[1]), loaded)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder.parent)], check=True, timeout=100)


def test_it_is_converted_and_checked_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("ctranslate2")
    run = toy(tmp_path / "run", "translation")
    lines = "".join(f"the cat {number}\ta mat {number}\n" for number in range(8))
    (tmp_path / "validation.tsv").write_text(lines)
    Run(run).write_recipe(
        '[task]\nname = "translation"\n[data]\nsource = "en"\ntarget = "de"\n'
        f'train = "{tmp_path}/validation.tsv"\nvalidation = "{tmp_path}/validation.tsv"\n'
    )
    monkeypatch.setattr(runtimes, "MOST", 5)
    _, told = used(run, "ctranslate2")
    assert len(told) == 2 and "checked on 5 development examples, of which 5 are" in told[1], told
    assert "bleu" in told[1]
    (folder,) = cache.iterdir()
    kept = json.loads((folder / runtimes.CHECK).read_text())
    assert kept["same"] == 5 and kept["engine"] == pytest.approx(kept["native"])

    def unexpected(*rest: object) -> None:
        raise AssertionError("it is converted and checked already")

    monkeypatch.setattr(runtimes, "export_run", unexpected)
    monkeypatch.setattr(runtimes, "checked", unexpected)
    assert used(run, "ctranslate2")[1] == told[1:]
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert runtimes.converted_folder(Run(run), RUNTIMES["ctranslate2"]) != folder


def test_a_difference_is_found(tmp_path: Path) -> None:
    needs("ctranslate2")
    predictor, _ = used(toy(tmp_path / "run", "translation"), "ctranslate2")
    engine = predictor.engine
    assert engine is not None
    examples = [
        dataclasses.replace(predictor.example(text), target="a mat") for text in TEXTS if text
    ]
    assert check.checked(predictor, engine, examples, "1").same == len(examples)
    other: Any = engine
    with torch.no_grad():
        predictor.model.embedding.weight.normal_()
    found = check.checked(predictor, other, examples, "1")
    assert found.same < len(examples) and f"{found.same:,} are" in found.sentence("ctranslate2")


@pytest.mark.parametrize(
    ("task", "name", "words"),
    [
        ("language-modelling", "ctranslate2", "CTranslate2 has no such model"),
        ("translation", "onnxruntime", "only encoders are written"),
        ("classification", "llama.cpp", "cannot be exported"),
    ],
)
def test_a_run_of_another_kind_is_answered_here(
    tmp_path: Path, cache: Path, task: str, name: str, words: str
) -> None:
    needs(name)
    predictor, told = used(toy(tmp_path / "run", task), name)
    assert predictor.engine is None and words in told[-1] and "Triptych answers" in told[-1], told
    assert not cache.exists() or not list(cache.iterdir())


def test_a_damaged_conversion_is_named(tmp_path: Path, cache: Path) -> None:
    needs("ctranslate2")
    run = toy(tmp_path / "run", "translation")
    used(run, "ctranslate2")
    (folder,) = cache.iterdir()
    (folder / "model.bin").write_bytes(b"half")
    with pytest.raises(RunError, match="Delete that folder"):
        used(run, "ctranslate2")


def test_the_flag_names_all() -> None:
    assert get_args(EngineName) == ("native", *RUNTIMES)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(toy(tmp_path / "run", "classification"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, kind in RUNTIMES.items():
        with pytest.raises(UsageError, match=rf"pip install 'triptych\[{kind.extra}\]'"):
            runtimes.use_runtime(predictor, name, print)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("onnxruntime")
    pytest.importorskip("onnx", reason="onnx is not installed")
    run = str(toy(tmp_path / "run", "classification"))
    assert code("predict", run, *TEXTS[:2]) == 0
    own = capsys.readouterr().out
    assert code("classify", run, *TEXTS[:2], "--engine", "onnxruntime") == 0
    there = capsys.readouterr()
    assert there.out == own and "onnxruntime: not checked" in there.err
    assert code("predict", run, "a", "--engine", "onnxruntime", "--draft", "ngram") == 2
    assert "--draft is for Triptych's own engine" in capsys.readouterr().err


def code(*words: str) -> object:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return end.value.code
