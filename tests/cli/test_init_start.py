"""Test init --start for every kind of task, and the offer of a pretrained model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_init_others import _files

import toy_folder
from triptych.recipe.schema import Recipe

Command = Callable[..., SimpleNamespace]
SHORT = ["--training.epochs", "1", "--training.precision", "float32"]
UNDERSTANDS = ("tagging", "parsing", "question-answering", "masked-words")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    held = toy_folder.tensors(pooler=False, masked=True)
    config = {**toy_folder.CONFIG, "architectures": ["BertForMaskedLM"]}
    return toy_folder.write(tmp_path / "pretrained" / "bert", held, config)


def _labelled(path: Path, rows: int = 60) -> Path:
    path.write_text(
        "text\tlabel\n"
        + "".join(f"the cat sat {number}\t{'ab'[number % 2]}\n" for number in range(rows))
    )
    return path


def test_a_classifier_starts_from_a_folder_untouched(
    triptych: Command, bert: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    table = _labelled(tmp_path / "mine.tsv")
    done = triptych(
        "init",
        "classification",
        "--train",
        table,
        "--validation",
        table,
        "--start",
        bert,
        "--out",
        recipe,
    )
    assert done.code == 0 and "the model in bert" in done.err and "epochs" in done.err, done.err
    made = Recipe.load(recipe)
    assert (
        made.model.start == str(bert.resolve())
        and made.training.minutes is None
        and made.training.steps is None
    )
    assert made.training.warmup_share == 0.1 and made.training.schedule == "linear"
    # the folder has 64 positions
    assert made.task == {"name": "classification", "learn": "label", "window": 62, "stride": 20}
    assert 512 <= made.batches.batch_tokens <= 1024
    # three passes over so few texts are too few updates
    assert made.training.epochs and made.training.epochs > 3
    trained = triptych("train", recipe, "--out", tmp_path / "run", *SHORT)
    assert trained.code == 0 and "Taken from" in trained.err, trained.err
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert lines[-1]["epoch"] == 1.0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["encoder"]["dropout"] == 0.1  # the folder's, not that of a new model


def test_the_rate_falls_with_the_width() -> None:
    from triptych.setup.draft.start import RATE_BY_WIDTH

    assert RATE_BY_WIDTH / 768 < 1e-4 < RATE_BY_WIDTH / 384 < 3e-4


@pytest.mark.parametrize("task", UNDERSTANDS)
def test_every_task_that_understands(
    task: str, triptych: Command, bert: Path, tmp_path: Path
) -> None:
    file, recipe = _files(tmp_path)[task], tmp_path / "mine.toml"
    given = ["--validation", file, "--test", file] if "masked" in task else []
    done = triptych("init", task, "--train", file, *given, "--start", bert, "--out", recipe)
    assert done.code == 0, done.err
    made = Recipe.load(recipe)
    assert (
        "match_feature" not in made.task
        and "dropout" not in made.task
        and made.model.start == str(bert.resolve())
    )
    trained = triptych("train", recipe, "--out", tmp_path / "run", *SHORT)
    assert trained.code == 0 and (tmp_path / "run" / "model.safetensors").is_file(), trained.err


def test_a_translator_goes_on(
    triptych: Command, trained: Path, files: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    done = triptych(
        "init",
        "translation",
        "--source",
        files / "a.en",
        "--target",
        files / "a.de",
        "--start",
        trained,
        "--out",
        recipe,
    )
    assert done.code == 0, done.err
    made = Recipe.load(recipe)
    assert (made.data.source, made.data.target, made.model.start) == ("en", "de", str(trained))
    done = triptych("train", recipe, "--out", tmp_path / "run", *SHORT)
    assert done.code == 0, done.err


def test_a_start_of_another_kind_is_refused(
    triptych: Command, bert: Path, trained: Path, files: Path, tmp_path: Path
) -> None:
    table, out = _labelled(tmp_path / "mine.tsv"), tmp_path / "a.toml"
    done = triptych("init", "classification", "--train", table, "--start", trained, "--out", out)
    assert (
        done.code == 2
        and "an encoder and a decoder; classification needs an encoder alone" in done.err
    )
    done = triptych(
        "init",
        "translation",
        "--source",
        files / "a.en",
        "--target",
        files / "a.de",
        "--start",
        bert,
        "--out",
        out,
    )
    assert done.code == 2 and "translation needs an encoder and a decoder" in done.err
    done = triptych(
        "init", "classification", "--train", table, "--start", tmp_path / "nothing", "--out", out
    )
    assert done.code == 2 and "nothing is not a folder" in done.err and not out.exists()


def test_minutes_take_the_place_of_epochs(triptych: Command, bert: Path, tmp_path: Path) -> None:
    table, out = _labelled(tmp_path / "mine.tsv"), tmp_path / "a.toml"
    assert (
        triptych(
            "init",
            "classification",
            "--train",
            table,
            "--start",
            bert,
            "--minutes",
            "2",
            "--out",
            out,
        ).code
        == 0
    )
    assert (Recipe.load(out).training.minutes, Recipe.load(out).training.epochs) == (2, None)


def test_a_model_at_hand_is_offered(
    triptych: Command, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    table = _labelled(bert.parent / "mine.tsv")
    done = triptych("init", "classification", "--train", table, "--out", tmp_path / "a.toml")
    assert (
        done.code == 0
        and f"--start {bert}" in done.err
        and "bert of the library transformers" in done.err
    )
    (tmp_path / "cache" / "models--x--y" / "snapshots").mkdir(parents=True)
    bert.rename(tmp_path / "cache" / "models--x--y" / "snapshots" / "abc")
    done = triptych("init", "classification", "--train", table, "--out", tmp_path / "b.toml")
    assert "snapshots/abc" in done.err
    (tmp_path / "talks.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": f"{n}?"},
                        {"role": "assistant", "content": "Yes."},
                    ]
                }
            )
            + "\n"
            for n in range(40)
        )
    )
    done = triptych(
        "init", "chat", "--train", tmp_path / "talks.jsonl", "--out", tmp_path / "c.toml"
    )
    assert done.code == 0 and "--start" not in done.err  # an encoder does not chat
