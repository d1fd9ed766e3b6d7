"""Test what is said of a small, uneven set: by init, train, evaluate and the model card."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.recipe.schema import Recipe

Command = Callable[..., SimpleNamespace]
SMALL = [
    *("--training.steps", "30", "--model.layers", "1", "--model.width", "32"),
    *("--tokenizer.vocabulary_size", "330", "--training.precision", "float32"),
    *("--training.learning_rate", "0.01", "--training.warmup_steps", "2"),
    *("--training.average", "0"),
]
SIZES = {"parcel": 60, "invoice": 36, "login": 20, "claim": 4}
HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None


def lines(sizes: dict[str, int] = SIZES) -> str:
    rows = [
        f"the {label} of case {n}\t{label}" for label, size in sizes.items() for n in range(size)
    ]
    return "text\tlabel\n" + "".join(f"{row}\n" for row in rows)


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Draft a recipe for the tickets and train it."""
    from triptych.cli.main import run as run_command

    folder = tmp_path_factory.mktemp("tickets")
    (folder / "mine.tsv").write_text(lines(), encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    recipe, run = folder / "mine.toml", folder / "run"
    given = ["init", "classification", "--train", str(folder / "mine.tsv"), "--out", str(recipe)]
    assert run_command(given) == 0
    patch.undo()
    assert run_command(["train", str(recipe), "--out", str(run), *SMALL]) == 0
    return SimpleNamespace(folder=folder, recipe=recipe, run=run)


def test_init_holds_out_enough_and_says_what_is_rare(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    (tmp_path / "mine.tsv").write_text(lines(), encoding="utf-8")
    done = triptych(
        "init", "classification", "--train", tmp_path / "mine.tsv", "--out", tmp_path / "a.toml"
    )
    assert done.code == 0 and "Held out: 12 for validation and 13 for test (10 %" in done.err
    assert "fewer than 10 training texts are hard to learn: 'claim' (3)" in done.err
    assert "Only 13 test texts" in done.err and "--test FILE" in done.err
    assert ("To beat: accuracy" in done.err) is HAS_SKLEARN
    assert "triptych evaluate RUN --baseline" in done.err
    data = Recipe.load(tmp_path / "a.toml").data
    assert data.split == "stratified" and data.held_out == 0.1
    assert "10 % of the texts each" in (tmp_path / "a.toml").read_text()


def test_init_of_other_kinds_holds_out_enough_too(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    (tmp_path / "a.conll").write_text(
        "".join(f"Ann{n} B-PER\nsings O\nOslo B-LOC\n\n" for n in range(60)), encoding="utf-8"
    )
    (tmp_path / "a.tsv").write_text(
        "source\ttarget\n" + "".join(f"s{n}\tt{n}\n" for n in range(60))
    )
    for task, flag, name in (
        ("tagging", "--train", "a.conll"),
        ("translation", "--source", "a.tsv"),
    ):
        done = triptych("init", task, flag, tmp_path / name, "--out", tmp_path / f"{task}.toml")
        assert done.code == 0 and "Held out: 6 for validation and 6 for test" in done.err, done.err
        assert ("To beat: f1 " in done.err) is (task == "tagging")
        assert Recipe.load(tmp_path / f"{task}.toml").data.held_out == 0.1


def test_a_set_with_files_of_its_own_is_not_divided(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    for name in ("a", "b"):
        (tmp_path / f"{name}.tsv").write_text(lines({"x": 30, "y": 30}).replace("case", name))
    held = [flag for part in ("validation", "test") for flag in (f"--{part}", tmp_path / "b.tsv")]
    done = triptych(
        *("init", "classification", "--train", tmp_path / "a.tsv", *held),
        *("--out", tmp_path / "a.toml"),
    )
    assert done.code == 0 and "Held out" not in done.err and "Only 60 test texts" in done.err
    assert Recipe.load(tmp_path / "a.toml").data.split is None


def test_training_and_the_model_card_say_it(triptych: Command, tickets: SimpleNamespace) -> None:
    done = triptych("train", tickets.recipe, "--out", tickets.folder / "dry", "--dry-run", *SMALL)
    for said in ("'claim' (3)", "Only 12 validation texts", "Only 13 test texts"):
        assert f"{said}" in done.err
    assert "First batch: " in done.err  # which a real run does not show
    card = (tickets.run / "MODEL_CARD.md").read_text()
    limits, training = card.split("## Limits")[1], card.split("## Training")[1].split("##")[0]
    assert "'claim' (3)" in limits and "Only 13 test texts" in limits
    assert "No temperature is fitted" in training


def test_evaluate_shows_each_class_and_the_confusions(
    triptych: Command, tickets: SimpleNamespace
) -> None:
    done = triptych("evaluate", tickets.run)
    assert done.code == 0, done.err
    heads = ["class", "in", "training", "texts", "precision", "recall", "f1"]
    rows = [line.split() for line in done.out.split("\n")]
    assert heads in rows and "Confusions: a row" in done.out
    assert next(row for row in rows if row[:1] == ["claim"])[1:3] == ["3", "1"]
    for said in ("Only 13 test texts", "No temperature is fitted", "'claim' (3)"):
        assert said in done.err
    values = json.loads(triptych("evaluate", tickets.run, "--json").out.strip().split("\n")[-1])
    assert set(values["classes"]) >= set(SIZES) and values["classes"]["claim"]["support"] == 1
    assert set(values["classes"]["claim"]) == {"precision", "recall", "f1", "support"}
    matrix = values["confusion"]
    assert matrix["labels"][:4] == list(SIZES)
    assert [sum(row) for row in matrix["counts"]][:4] == [6, 4, 2, 1]
    assert values["metrics"]["f1_macro"] == pytest.approx(values["metrics"]["f1"])


def test_evaluate_writes_a_page(triptych: Command, tickets: SimpleNamespace) -> None:
    page = tickets.folder / "page.html"
    done = triptych("evaluate", tickets.run, "--html", page, "--bootstrap", "20")
    assert done.code == 0 and f"Written: {page}" in done.err
    text = page.read_text(encoding="utf-8")
    assert "mine · test · 13" in text and "Only 13 test texts" in text and "claim" in text


@pytest.mark.skipif(not HAS_SKLEARN, reason="scikit-learn is not installed")
def test_a_run_below_the_baseline_is_told_so(triptych: Command, tickets: SimpleNamespace) -> None:
    worse = tickets.folder / "worse"
    steps = [*SMALL, "--training.steps", "1", "--training.learning_rate", "1e-9"]
    assert triptych("train", tickets.recipe, "--out", worse, *steps).code == 0
    for _ in range(2):  # the second time replaces the first
        done = triptych("evaluate", worse, "--baseline")
        assert done.code == 0 and "This run is below the baseline: accuracy" in done.err, done.err
        assert "such a difference may be chance" not in done.err
    row = next(line.split() for line in done.out.split("\n") if line.startswith("accuracy"))
    assert float(row[1]) < 70 and float(row[2]) == 100.0
    card = (worse / "MODEL_CARD.md").read_text()
    assert card.count("## Baseline") == 1 and "**This run is below the baseline" in card
    titles = [line for line in card.split("\n") if line.startswith("## ")]
    assert titles[-3:] == ["## Baseline", "## Limits", "## Recipe"]
    assert f"| accuracy | {row[1]} | 100.00 |" in card
    found = json.loads(triptych("evaluate", tickets.run, "--baseline", "--json").out)["baseline"]
    assert found["metrics"]["accuracy"] == 100.0 and found["training_examples"] == 95
    other = tickets.folder / "other.tsv"
    other.write_text(lines({"parcel": 3, "login": 2}))
    kept = (worse / "MODEL_CARD.md").read_text()
    assert triptych("evaluate", worse, "--baseline", "--data", other).code == 0
    assert (worse / "MODEL_CARD.md").read_text() == kept  # only the run's own test is kept


def test_a_loss_of_which_nothing_is_known_is_left_out(
    triptych: Command, tickets: SimpleNamespace
) -> None:
    (tickets.folder / "new.tsv").write_text("text\tlabel\nthe thing\tthing\nthe rest\trest\n")
    done = triptych("evaluate", tickets.run, "--json", "--data", tickets.folder / "new.tsv")
    values = json.loads(done.out)
    assert "loss" not in values["metrics"] and "loss = not known" in values["signature"]


def test_data_that_has_changed_is_told(triptych: Command, tickets: SimpleNamespace) -> None:
    mine = tickets.folder / "mine.tsv"
    assert "has changed" not in triptych("evaluate", tickets.run).err
    before = mine.read_text()
    try:
        mine.write_text(before + "the parcel of a new case\tparcel\n")
        done = triptych("evaluate", tickets.run)
        assert "The data has changed since the run was trained" in done.err
        assert "mine.tsv" in done.err and "stratified" in done.err
    finally:
        mine.write_text(before)


def test_flags_without_effect_are_refused(
    triptych: Command, tickets: SimpleNamespace, trained: Path
) -> None:
    done = triptych("evaluate", trained, "--html", trained / "a.html")
    assert done.code == 2 and "a run for translation with these options has none" in done.err
    done = triptych("evaluate", trained, "--baseline")
    assert done.code == 2 and "none for this run (translation)" in done.err
    done = triptych("evaluate", tickets.run, "--as", "classification", "--html", "a.html")
    assert done.code == 2 and "--html has no effect with --as" in done.err


@pytest.mark.parametrize("task", ["language-modelling", "masked-words"])
def test_init_of_plain_text_holds_out_enough_and_training_says_it(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    story = (f"On day {n} the harbour lay still, and nobody saw boat {n}." for n in range(60))
    (tmp_path / "story.txt").write_text("\n\n".join(story), encoding="utf-8")
    done = triptych("init", task, "--train", tmp_path / "story.txt", "--out", tmp_path / "a.toml")
    assert done.code == 0 and "Held out: 6 for validation and 6 for test (10 %" in done.err
    assert "characters of test text: a score measured on so little" in done.err
    assert Recipe.load(tmp_path / "a.toml").data.held_out == 0.1
    assert "kept out of training\n" in (tmp_path / "a.toml").read_text()  # not by a hash
    done = triptych("train", tmp_path / "a.toml", "--out", tmp_path / "run", "--dry-run")
    assert "; 6 for validation." in done.err and "characters of validation text" in done.err


def test_where_nothing_can_be_held_out_it_is_said_once(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    (tmp_path / "same.tsv").write_text("text\tlabel\n" + "same text\ta\nsame text\tb\n" * 20)
    done = triptych(
        "init", "classification", "--train", tmp_path / "same.tsv", "--out", tmp_path / "a.toml"
    )
    assert done.code == 0 and "Nothing is held out: 40 texts are too few for it" in done.err
    assert "Held out" not in done.err and "There are no" not in done.err
