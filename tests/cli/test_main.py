"""Test the entry point: quick help, exit codes, overrides split off the arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.cli.main import split_overrides
from triptych.cli.verbs import DATA_VERBS, VERBS
from triptych.errors import UsageError

Command = Callable[..., SimpleNamespace]


def seconds_of_children() -> float:
    """Return the processor time of ended children: that of a busy machine is no longer."""
    spent = os.times()
    return spent.children_user + spent.children_system


def test_help_imports_no_torch_and_is_quick() -> None:
    code = (
        "import sys, triptych.cli.main as m; code = m.run(['--help']); "
        "print(code, 'torch' in sys.modules, 'pydantic' in sys.modules, file=sys.stderr)"
    )
    fastest = 9.0
    for _ in range(3):
        began = seconds_of_children()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
        )
        fastest = min(fastest, seconds_of_children() - began)
    assert done.stderr.split() == ["0", "False", "False"]
    assert all(verb in done.stdout for verb in (*VERBS, "data"))
    assert fastest < 0.4


def test_every_verb_explains_itself_without_torch() -> None:
    verbs = [*VERBS, *(f"data {verb}" for verb in DATA_VERBS)]
    code = (
        f"import sys, triptych.cli.main as m\nfor verb in {verbs!r}:\n"
        "    print(end='\\x1e')\n    code = m.run([*verb.split(), '--help'])\n"
        "    print(verb, code, 'torch' in sys.modules, sep='|', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stderr.splitlines() == [f"{verb}|0|False" for verb in verbs]
    for verb, text in zip(verbs, done.stdout.split("\x1e")[1:], strict=True):
        assert f"Usage: triptych {verb}" in text


def test_overrides_are_taken_out() -> None:
    rest, found = split_overrides(
        [
            "train",
            "x",
            "--training.steps",
            "5",
            "--out",
            "y",
            "--model.encoder.layers=2",
            "--data.target=a=b",
        ]
    )
    assert rest == ["train", "x", "--out", "y"]
    assert found == {"training.steps": "5", "model.encoder.layers": "2", "data.target": "a=b"}
    assert split_overrides(["--training.every-steps", "-1"]) == ([], {"training.every_steps": "-1"})
    assert split_overrides(["predict", "--", "--a.b", "c"]) == (["predict", "--", "--a.b", "c"], {})
    assert split_overrides(["1.5", "a.b", "--x"]) == (["1.5", "a.b", "--x"], {})
    with pytest.raises(UsageError, match="needs a value"):
        split_overrides(["--training.steps", "--resume"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian", "x"], 'Did you mean "train"'),
        (["train"], "RECIPE"),
        (["train", "nothing"], "Unknown recipe 'nothing'"),
        (["train", "phrasebook", "--dry-rum"], "--dry-run"),
        (["info", "--training.steps", "3"], "takes no recipe keys"),
        (["evaluate", "x", "--split", "tset"], "tset"),
        (["evaluate", "x", "--bootstrap", "many"], "many"),
        (["compare", "a"], "two runs or more"),
        (["data", "fetch"], "Name a set"),
        (["data", "fetch", "multi30"], "Did you mean 'multi30k'"),
        (["train", "phrasebook", "--steps", "5"], "with its table: --training.steps."),
        (
            ["train", "phrasebook", "--batch-tokens=5"],
            "--batches.batch_tokens or --decoding.batch_tokens",
        ),
        (["classify", "x", "text", "--beams", "5"], "--decoding.beams"),
        (["init", "translaton", "--source", "a"], "Did you mean 'translation'"),
        (
            ["init", "x", "--train", "a"],
            "Allowed: chat, classification, language-modelling, masked-words, parsing, "
            "question-answering, ",
        ),
        (
            ["init", "translation", "--train", "a.tsv"],
            "--train has no effect on translation, which reads --source",
        ),
        (
            ["init", "tagging", "--train", "a.conll", "--target-language", "de"],
            "--target-language has no effect on tagging",
        ),
        (
            ["init", "classification", "--train", "a.tsv", "--out", "no/such/a.toml"],
            "There is no folder no/such for a.toml",
        ),
    ],
)
def test_wrong_usage_is_a_sentence_and_code_2(
    triptych: Command, arguments: list[str], said: str
) -> None:
    done = triptych(*arguments)
    assert done.code == 2 and said in done.err and done.out == ""


def test_a_file_in_the_place_of_another_is_called_what_it_is(
    triptych: Command, files: Path
) -> None:
    done = triptych("train", files / "a.tsv")
    assert done.code == 2 and "A recipe is a .toml file; triptych init writes one" in done.err
    done = triptych("evaluate", files / "my.toml")
    assert done.code == 1 and "my.toml is a file; a run is the folder" in done.err


def test_our_own_errors_are_no_tracebacks_either(
    triptych: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("whoops")

    monkeypatch.setattr("triptych.cli.main.build_app", broken)
    done = triptych("info")
    assert done.code == 1 and "ZeroDivisionError: whoops" in done.err and "--debug" in done.err


def test_ctrl_c_anywhere_is_quiet(triptych: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("triptych.cli.main.build_app", stopped)
    done = triptych("info")
    assert done.code == 130 and done.err.strip() == "Stopped."


@pytest.mark.parametrize("closed", ["<&-", "'one red dogs' >&-"])
def test_a_stream_that_was_closed_before_is_an_empty_one(trained: Path, closed: str) -> None:
    script = f"{sys.executable} -m triptych translate {trained} {closed}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "") and "triptych:" not in done.stderr


def test_files_of_a_pattern_are_said_to_be_too_many(triptych: Command, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text,label\n")
    given = ("init", "classification", "--train", tmp_path / "a.csv")
    done = triptych(*given, tmp_path / "b.csv")
    assert done.code == 2
    assert "Several files are named, as a pattern like *.csv names them" in done.err
    assert "Several files" not in triptych(*given, "something").err
