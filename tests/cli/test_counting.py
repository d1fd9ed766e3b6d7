"""What predict, evaluate and embed show of their progress: on stderr, and only of long work."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.cli import console, inputs
from triptych.cli.console import Counting
from triptych.cli.inputs import count_inputs, lines_ahead

Command = Callable[..., SimpleNamespace]


class Clock:
    """A clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        # not Python's own clock, by which the threads of other tests sleep
        monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: self.now))


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_short_work_is_not_counted_aloud(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Counting(3, "texts") as counting:
        for _ in range(3):
            clock.now += 0.6
            counting.add()
    assert capsys.readouterr() == ("", "")


def test_long_work_has_a_line_now_and_then(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Counting(2000, "texts") as counting:
        for _ in range(20):
            clock.now += 3
            counting.add(100)
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "100 of 2,000 texts  0:03 passed, 0:57 left",
        "500 of 2,000 texts  0:15 passed, 0:45 left",
        "900 of 2,000 texts  0:27 passed, 0:33 left",
        "1,300 of 2,000 texts  0:39 passed, 0:21 left",
        "1,700 of 2,000 texts  0:51 passed, 0:09 left",
    ]


def test_without_a_total_it_counts(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Counting(None, "texts") as counting:
        clock.now += 5
        counting.add(7)
    assert capsys.readouterr().err == "7 texts  0:05 passed\n"


def test_passes_begin_anew(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Counting(4, "examples") as counting:
        answered = counting.begin("Answering")
        clock.now += 4
        answered(0.5)
        answered(0.5)
        scored = counting.begin("Scoring")
        clock.now += 10
        scored(2)
    assert capsys.readouterr().err.splitlines() == [
        "Answering: 0 of 4 examples  0:04 passed, 0:28 left",
        "Scoring: 2 of 4 examples  0:10 passed, 0:10 left",
    ]


def test_nothing_is_shown_while_someone_types(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Counting(None, "texts", quiet=True) as counting:
        clock.now += 50
        counting.add()
    assert capsys.readouterr().err == ""


def refresh(counting: Counting) -> None:
    """Draw the bar now; otherwise it is drawn four times a second."""
    assert counting.bar is not None, "the bar is visible"
    counting.bar.refresh()


def test_on_a_terminal_there_is_a_bar_that_goes_away(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    counting = Counting(10, "texts")
    with counting:
        counting.add()
        assert screen.getvalue() == ""
        clock.now += 3
        counting.add(4)
        print("answer")  # stdout may be a file: it does not pass through the bar
        refresh(counting)
    assert "5 of 10 texts" in screen.getvalue() and counting.bar is None
    assert screen.getvalue().endswith("\x1b[1A\x1b[2K")  # the line is removed
    assert capsys.readouterr().out == "answer\n"
    with counting:  # a later block goes on counting
        counting.add(3)
        refresh(counting)
    assert "8 of 10 texts" in screen.getvalue()


@pytest.mark.parametrize(
    ("content", "lines"), [(b"", 0), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"x" * 9, 1)]
)
def test_lines_of_a_file_are_counted_before_they_are_read(
    content: bytes, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").write_bytes(content)
    monkeypatch.setattr(inputs, "CHUNK_BYTES", 3)
    with (tmp_path / "in").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert lines_ahead() == lines
        assert file.read().encode() == content  # nothing of it was used up


def test_lines_of_a_pipe_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading) as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert lines_ahead() is None
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\n"))
    assert lines_ahead() is None and count_inputs(["a", "b"], "texts").total == 2
    monkeypatch.setattr(sys, "stdin", Screen("a\n"))
    assert count_inputs((), "texts").quiet


def test_verbs_count_on_stderr_and_answer_as_ever(
    triptych: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["one red dogs", "two blue cats", "", "three red birds"]
    quick = triptych("translate", trained, *texts, "--decoding.batch_tokens", "1")
    assert "texts" not in quick.err
    scores = triptych("evaluate", trained, "--json").out
    monkeypatch.setattr(console, "MOMENT_SECONDS", -1.0)
    monkeypatch.setattr(console, "LINE_SECONDS", 0.0)
    done = triptych("translate", trained, *texts, "--decoding.batch_tokens", "1")
    assert done.out == quick.out and "of 4 texts" in done.err
    counted = [line.split(" of ")[0] for line in done.err.splitlines() if " of 4 texts" in line]
    assert counted == ["1", "2", "3"]  # the empty one first; no line when all is done
    done = triptych("evaluate", trained, "--json", "--decoding.batch_tokens", "1")
    assert json_of(done.out) == json_of(scores)
    assert "Answering: 9 of 10 examples" in done.err


def json_of(text: str) -> object:
    return json.loads(text)["metrics"]


def test_pieces_of_one_example_are_counted_in_parts(triptych: Command, trained: Path) -> None:
    import triptych as package
    from triptych.data.example import Example

    predictor = package.load(trained)
    counts: list[float] = []
    examples = [Example(source=text) for text in ("one", "two cats", "")]
    assert len(list(predictor.answer(examples, done=counts.append))) == 3
    assert sum(counts) == pytest.approx(3.0)
    passes: dict[str, list[float]] = {}
    scored = [Example(source="one", target="eins"), Example(source="two", target="zwei")]
    predictor.evaluate(scored, begin=lambda name: passes.setdefault(name, []).append)
    assert {name: sum(each) for name, each in passes.items()} == {"Answering": 2, "Scoring": 2}
