"""Test a tagging run from the command line, with CoNLL files and words by another run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.cli.main import run as run_command

Command = Callable[..., SimpleNamespace]
DIALS = (
    '[model]\npreset = "encoder-tiny"\nwidth = 16\nheads = 2\ninner_width = 32\nlayers = 1\n'
    "[tokenizer]\nvocabulary_size = 330\n"
    "[training]\nsteps = 2\n[batches]\nbatch_tokens = 400\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ner.conll, ner.toml, and chars.toml for a run that finds words; both trained."""
    path = tmp_path_factory.mktemp("tagging")
    people = ["Ann", "Bob", "Cy", "Dee", "Eve", "Flo"]
    text = "".join(
        f"{one} B-PER\n{other} I-PER\nsaw O\nRome B-LOC\n\n" for one in people for other in people
    )
    (path / "ner.conll").write_text(text, encoding="utf-8")
    files = (
        f'[data]\ntrain = "{path / "ner.conll"}"\nvalidation = "{path / "ner.conll"}"\ntest = '
        f'"{path / "ner.conll"}"\n'
    )
    (path / "chars.toml").write_text(
        f'[task]\nname = "tagging"\nunit = "character"\n{files}{DIALS}', encoding="utf-8"
    )
    ner = f'[task]\nname = "tagging"\ndecoding = "crf"\nwords = "{path / "chars"}"\n{files}{DIALS}'
    (path / "ner.toml").write_text(ner, encoding="utf-8")
    for name in ("chars", "ner"):
        assert run_command(["train", str(path / f"{name}.toml"), "--out", str(path / name)]) == 0
    return path


def test_a_run_takes_the_words_of_another_along(folder: Path, triptych: Command) -> None:
    assert (folder / "ner" / "words" / "model.safetensors").is_file()
    done = triptych("predict", folder / "ner", "--jsonl", "AnnBob saw")
    found = json.loads(done.out)
    alone = json.loads(triptych("tag", folder / "chars", "--jsonl", "AnnBob saw").out)
    assert done.code == 0 and found["words"] == alone["words"]


def test_words_can_be_given_split(folder: Path, triptych: Command) -> None:
    done = triptych("tag", folder / "ner", "--words", "--jsonl", "Ann don't 我們。")
    assert (
        json.loads(done.out)["words"] == ["Ann", "don't", "我們。"]
        and len(json.loads(done.out)["tags"]) == 3
    )


def test_words_are_refused_where_they_mean_nothing(folder: Path, triptych: Command) -> None:
    for verb in ("tag", "inspect"):
        done = triptych(verb, folder / "chars", "Ann saw", "--words")
        assert done.code == 2 and "Leave it out" in done.err


def test_evaluate_names_f1_first(folder: Path, triptych: Command) -> None:
    done = triptych("evaluate", folder / "ner", "--json", "--bootstrap", "3")
    found = json.loads(done.out.strip().split("\n")[-1])
    assert (
        found["task"] == "tagging"
        and next(iter(found["metrics"])) == "f1"
        and "f1" in found["intervals"]
    )
    other = triptych("evaluate", folder / "ner", "--json", "--data", folder / "ner.conll")
    assert json.loads(other.out.strip().split("\n")[-1])["metrics"] == found["metrics"]


def test_inspect_writes_a_page(folder: Path, triptych: Command, tmp_path: Path) -> None:
    done = triptych("inspect", folder / "ner", "Ann saw <b>Rome</b>", "--html", tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert (
        done.code == 0
        and "&lt;b&gt;" in page
        and '<section class="picture">' in page
        and '"encoder"' in page
        and "Written" in done.err
    )
    told = triptych("inspect", folder / "ner", "Ann saw Rome", "--kinds", "encoder")
    assert told.code == 0 and "gradient x input of the tags" in told.err and "Rome" in told.out
    blank = triptych("inspect", folder / "ner", "  ")
    assert blank.code == 2 and "nothing to inspect" in blank.err


def test_check_reads_files_and_recipes(folder: Path, triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.conll").write_text("a O\nb I-X\n\n", encoding="utf-8")
    done = triptych("data", "check", tmp_path / "bad.conll")
    assert (
        done.code == 1
        and "bad.conll:2: broken BIO: I-X ('b') cannot follow O" in done.out
        and "1 sentence" in done.err
    )
    assert "leak" in triptych("data", "check", folder / "ner.toml").out
