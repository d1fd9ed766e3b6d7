"""Test a labelled file through init, check, train, evaluate and classify."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.recipe.schema import Recipe, packaged

Command = Callable[..., SimpleNamespace]
WORDS = {"pos": ("good", "fine", "很好"), "neg": ("bad", "poor", "很差")}
SMALL = [
    "--training.steps",
    "30",
    "--model.layers",
    "1",
    "--model.width",
    "32",
    "--model.heads",
    "2",
    "--model.inner_width",
    "64",
    "--tokenizer.vocabulary_size",
    "330",
    "--training.precision",
    "float32",
    "--training.learning_rate",
    "0.01",
    "--training.warmup_steps",
    "2",
    "--training.average",
    "0",
]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    lines = [
        f"{word} film number {number}\t{label}"
        for number in range(40)
        for label, words in WORDS.items()
        for word in words
    ]
    (tmp_path / "mine.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "mine.tsv"


def test_from_a_file_to_answers(
    triptych: Command, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    recipe, run = tmp_path / "mine.toml", tmp_path / "run"
    done = triptych("init", "classification", "--train", mine, "--out", recipe)
    assert (
        done.code == 0 and done.out.strip() == str(recipe) and "192 texts with 2 labels" in done.err
    ), done.err
    assert triptych("data", "check", recipe).code == 0
    trained = triptych("train", recipe, "--out", run, *SMALL)
    assert trained.code == 0 and "accuracy" in trained.err, trained.err
    scored = json.loads(triptych("evaluate", run, "--json").out.strip().split("\n")[-1])
    assert (
        scored["task"] == "classification"
        and scored["metrics"]["accuracy"] == 100
        and scored["signature"]
    )
    answered = triptych("classify", run, "a good film", "很差 film", "", "--jsonl")
    rows = [json.loads(line) for line in answered.out.strip().split("\n")]
    assert [(row["input"], row["text"]) for row in rows][:2] == [
        ("a good film", "pos"),
        ("很差 film", "neg"),
    ]
    assert rows[0]["probabilities"]["pos"] > 0.5
    # An empty line has the keys of the others.
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert rows[2]["label"] is None and rows[2]["probabilities"] == {}
    (tmp_path / "other.tsv").write_text("text\tlabel\ngood film\tpos\nstrange film\tnew\n")
    other = json.loads(
        triptych("evaluate", run, "--data", tmp_path / "other.tsv", "--json")
        .out.strip()
        .split("\n")[-1]
    )
    assert other["metrics"]["accuracy"] == 50 and "'new' (1)" in other["signature"]
    untaught = tmp_path / "untaught"
    assert (
        triptych(
            "train",
            recipe,
            "--out",
            untaught,
            *SMALL,
            "--training.steps",
            "1",
            "--training.learning_rate",
            "1e-9",
        ).code
        == 0
    )
    card = (untaught / "MODEL_CARD.md").read_text()
    assert (
        " 0 tokens read" not in card
        and "On the validation split" in card
        and f"Own files: {mine}" in card
    )
    both = triptych("compare", run, untaught, "--bootstrap", "30")
    assert (
        both.code == 0 and "accuracy, against the first" in both.out and "Validation at" in both.out
    ), both.err
    report = json.loads(triptych("compare", run, untaught, "--bootstrap", "30", "--json").out)
    found = report["runs"][1]["against_first"]["accuracy"]
    assert (
        found["difference"]["value"] == report["runs"][1]["metrics"]["accuracy"] - 100 < 0
        and found["second_better"] < 50
    )
    page = triptych("compare", run, untaught, "--html", tmp_path / "page.html")
    assert page.code == 2 and "triptych inspect" in page.err


def test_a_wrong_label_in_the_development_file_stops_training(
    triptych: Command, mine: Path, tmp_path: Path
) -> None:
    (tmp_path / "dev.tsv").write_text("text\tlabel\ngood\tpos\nbad\tnegg\n")
    (tmp_path / "r.toml").write_text(
        '[task]\nname = "classification"\n[data]\ntrain = "mine.tsv"\nvalidation = "dev.tsv"\n'
        '[model]\npreset = "encoder-tiny"\n'
    )
    done = triptych(
        "train", tmp_path / "r.toml", "--out", tmp_path / "run", "--training.steps", "1"
    )
    assert (
        done.code == 1
        and "dev.tsv:3 has the label 'negg'" in done.err
        and "Did you mean 'neg'" in done.err
    )


def test_check_and_stats_of_labelled_files(triptych: Command, mine: Path, tmp_path: Path) -> None:
    done = triptych("data", "stats", mine)
    assert done.code == 0 and "labels  pos 120, neg 120" in done.out and "CJK" in done.out
    (tmp_path / "bad.tsv").write_text("text\tlabel\nx\ta\n\tb\nx\tb\ny\t\n")
    done = triptych("data", "check", tmp_path / "bad.tsv")
    assert (
        done.code == 1
        and all(f"bad.tsv:{line}" in done.out for line in (3, 4, 5))
        and "two labels" in done.out
    )


def test_init_refuses_what_cannot_be_learnt(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tlabel\nx\ta\ny\n")
    done = triptych(
        "init", "classification", "--train", tmp_path / "a.tsv", "--out", tmp_path / "a.toml"
    )
    assert done.code == 1 and "a.tsv:3" in done.err and not (tmp_path / "a.toml").exists()
    (tmp_path / "b.txt").write_text("x\ny\n")
    done = triptych(
        "init", "classification", "--train", tmp_path / "b.txt", "--out", tmp_path / "b.toml"
    )
    assert done.code == 2 and "header" in done.err
    done = triptych("init", "classification")
    assert done.code == 2 and "--train my.tsv" in done.err


def test_the_packaged_recipes_can_be_built() -> None:
    for name in ("ag-news", "sst2", "sms-spam", "banking77", "chnsenticorp", "tnews", "stsb"):
        assert name in packaged()
        recipe = Recipe.load(name)
        assert (
            recipe.build_task().name == "classification"
            and recipe.model.config()
            and recipe.data.set == name
        )
