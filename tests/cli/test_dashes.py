"""A text that begins with a hyphen: what is said without `--`, and that all after `--` is text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.cli.helping import takes_texts
from triptych.cli.main import build_app, run, split_overrides
from triptych.cli.verbs import VERBS

Command = Callable[..., SimpleNamespace]
WITH_TEXTS = [
    "predict", "translate", "summarize", "classify", "tag", "parse", "answer", "embed", "complete",
    "chat", "inspect",
]  # fmt: skip
LIKE_OPTIONS = ["--code", "x.py", "--threads", "no", "--decoding.beams", "5", "--debug", "--help"]


def test_these_verbs_take_texts() -> None:
    assert [name for name, verb in VERBS.items() if takes_texts(verb.load())] == WITH_TEXTS


@pytest.mark.parametrize("verb", WITH_TEXTS)
def test_the_error_holds_the_very_command(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed = [verb, "runs/nothing", "-3 °C outside"]
    assert run(typed) == 2
    said = capsys.readouterr().err
    assert '"-3 °C outside" begins with -, so it was read as an option.' in said
    command = said.partition("goes after --: ")[2]
    assert shlex.split(command) == ["triptych", verb, "runs/nothing", "--", "-3 °C outside"]
    assert run(shlex.split(command)[1:]) == 1, "now the run is looked for"
    assert "There is no run folder runs/nothing" in capsys.readouterr().err


def test_options_stay_options_and_texts_keep_their_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = (
        "translate R one '- two' --to de three --jsonl --decoding.beams 2 --truncate=9 --threads 1"
    )
    assert run(shlex.split(typed)) == 2
    assert capsys.readouterr().err.endswith(
        "goes after --: triptych translate R --to de --jsonl --decoding.beams 2 --truncate=9 "
        "--threads 1 -- one '- two' three\n"
    )


@pytest.mark.parametrize(
    ("typed", "said", "advised"),
    [
        ("predict R -hello", "Unknown option: -hello. A text that begins with -", True),
        ("predict R --beams 3 one", "Give a recipe key with its table: --decoding.beams", False),
        ("predict R --passge x one", "Did you mean --passage?", False),
        ("evaluate R '-3 degrees'", "Unknown option: -3 degrees.", False),
    ],
)
def test_a_misspelt_option_is_called_one(
    typed: str, said: str, advised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shlex.split(typed)) == 2
    found = capsys.readouterr().err
    assert said in found and ("goes after --" in found) == advised and "-h is not" not in found


def test_a_value_that_begins_with_a_hyphen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["answer", "R", "What?", "--passage", "- a list"]) == 2
    assert "one that begins with - is given as --passage=VALUE." in capsys.readouterr().err


@pytest.mark.parametrize("verb", WITH_TEXTS[:-1])
def test_all_after_two_hyphens_is_text(verb: str) -> None:
    rest, overrides = split_overrides([verb, "R", "--", *LIKE_OPTIONS, "--"])
    _, bound, _ = build_app([verb]).parse_args(rest, exit_on_error=False, print_error=False)
    assert bound.args == ("R", *LIKE_OPTIONS, "--") and not overrides and not bound.kwargs


def test_a_run_gets_these_texts(triptych: Command, trained: Path) -> None:
    done = triptych("predict", trained, "--jsonl", "--", *LIKE_OPTIONS, "-3")
    assert done.code == 0
    assert [json.loads(line)["source"] for line in done.out.splitlines()] == [*LIKE_OPTIONS, "-3"]
