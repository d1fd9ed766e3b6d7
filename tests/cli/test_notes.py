"""Notes on empty answers: which texts, and why."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from triptych.cli.chat import ChatSession, in_terminal, on_pipe
from triptych.cli.notes import report_empty
from triptych.cli.predict import print_as_written
from triptych.data.example import Example
from triptych.inference.predictor import Predictor
from triptych.tasks.task import Prediction

Command = Callable[..., SimpleNamespace]


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"))


def answering(text: str, **others: Any) -> Callable[..., Iterator[Prediction]]:
    """Return what gives the same answer to every text."""

    def answer(_: Predictor, examples: list[Example], *__: object) -> Iterator[Prediction]:
        yield from (Prediction(text=text, **others) for _ in examples)

    return answer


def test_empty_lines_are_named_and_keep_their_keys(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, "one red dogs\n\n  \ntwo\n")
    done = triptych("predict", trained, "--jsonl")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0 and len({tuple(line) for line in lines}) == 1
    assert "Empty answer: stdin:2, stdin:3 (the input is empty).\n" in done.err
    assert done.err.count("Empty answer") == 1
    assert (
        "Empty answer: text 2 (the input is empty)" in triptych("translate", trained, "a", "").err
    )
    assert "Empty answer" not in triptych("translate", trained, "one red dogs").err


def test_many_empty_lines_are_counted(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, "\n" * 1500)
    assert "stdin:1, stdin:2, stdin:3 and 1,497 more (" in triptych("predict", trained).err


def test_a_text_that_could_not_be_read_is_told_once(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, "word " * 20_000 + "\n")
    done = triptych("predict", trained)
    assert done.code == 1 and "Its answer is left empty" in done.err
    assert "Empty answer" not in done.err


def test_an_answer_that_ended_at_once(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "answer", answering(""))
    done = triptych("translate", trained, "one", "two")
    assert done.code == 0 and done.out == "\n\n"
    assert "Empty answer: text 1, text 2 (the model ended at once" in done.err
    assert "--decoding.min_length 1" in done.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Prediction("", details={"labels": [], "probabilities": {"spam": 0.1}}),
            "no label reached",
        ),
        (Prediction("", details={"start": None}), "the answer is not in the passage"),
        (Prediction(" ", tokens=[5]), "only spaces before the end or a text of --decoding.stop"),
        (Prediction("", tokens=[]), "the model ended at once"),
    ],
)
def test_each_kind_of_answer_has_its_reason(
    answer: Prediction, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = SimpleNamespace(head="span" if "start" in answer.details else "tokens", continues=True)
    predictor = SimpleNamespace(task=SimpleNamespace(spec=spec), is_empty=lambda _: False)
    report_empty(cast(Predictor, predictor), [answer], [Example(text="a", place="text 1")])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("pieces", "is_told"), [([], True), ([" ", "\n"], True), (["x"], False)])
def test_an_answer_that_is_streamed(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    pieces: list[str], is_told: bool,
) -> None:  # fmt: skip
    def stream(*_: object, **__: object) -> Iterator[str]:
        yield from pieces
        return True

    monkeypatch.setattr(Predictor, "stream", stream)
    assert print_as_written(str(trained), "one", {}) == 0
    found = capsys.readouterr()
    assert found.out == "".join(pieces) + "\n"
    assert ("Empty answer: text 1 (the model ended at once" in found.err) == is_told


class Silent:
    """Answer nothing, as a model that ends at once."""

    def say(self, text: str, show: Callable[[str], object]) -> str:
        return "hello" if text == "hi" else ""

    def reset(self) -> None: ...


def test_a_chat_on_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin(monkeypatch, "hi\n\n/reset\nwho?\n")
    assert on_pipe(cast(ChatSession, Silent())) == 0
    found = capsys.readouterr()
    assert found.out == "hello\n\n\n"
    assert "Empty answer: stdin:2 (the input is empty)" in found.err
    assert "Empty answer: stdin:4 (the model ended at once" in found.err


def test_a_chat_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["who?"])

    def read(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    assert in_terminal(cast(ChatSession, Silent())) == 0
    assert "The answer is empty: the model ended at once." in capsys.readouterr().err
