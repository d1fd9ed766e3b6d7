"""Test that control characters are escaped on a terminal and kept elsewhere."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pty
import subprocess
import sys
import tty
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import triptych.cli
from triptych.cli import chat, console
from triptych.cli.answering import one_line
from triptych.cli.main import message_of, run
from triptych.cli.predict import print_as_written
from triptych.inference.predictor import Predictor
from triptych.tasks.specs import SPECS

CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"  # OSC 52: puts a text into the clipboard
AS_SHOWN = "\\u001b]52;c;cm0gLXJmIH4=\\u0007"
FAMILY = "👨‍👩‍👧‍👦"
HOSTILE = f"\x00\x07\x08\x1b[2J\r\x7f\x9b31m\u202etxt\u2066{FAMILY}\u200e\u200fنمی\u200cخواهم\ufe0f"


class Screen:
    """Put a pseudo terminal in the place of stdout and stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, self.file)

    def read(self) -> str:
        """Everything that was written; closes the terminal."""
        self.file.close()
        return read_all(self.master)


def read_all(master: int) -> str:
    found = b""
    with contextlib.suppress(OSError):  # the other side is closed
        while part := os.read(master, 65536):
            found += part
    os.close(master)
    return found.decode()


def answered(monkeypatch: pytest.MonkeyPatch, *pieces: str) -> None:
    """Every answer that is shown as it is written consists of `pieces`."""

    def stream(self: Any, *_: object, **__: object) -> Generator[str, None, bool]:
        yield from pieces
        return True  # it ended by itself

    monkeypatch.setattr(Predictor, "stream", stream)


CODE = ("def f():\n", "    if x:\n\t", f"return {FAMILY[:3]}", f"{FAMILY[3:]} ")
PIECES = (*CODE, "\x1b", "]52;c;cm0gLXJmIH4=", "\x07\x1b", "[2J")


def test_an_answer_keeps_its_lines_and_emoji_and_loses_its_commands(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Screen(monkeypatch)
    answered(monkeypatch, *PIECES)
    assert run(["translate", str(trained), "one"]) == 0
    assert screen.read() == f"def f():\n    if x:\n\treturn {FAMILY} {AS_SHOWN}\\u001b[2J\n"


def test_a_pipe_gets_every_byte(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    answered(monkeypatch, *PIECES)
    assert print_as_written(str(trained), "one", {}) == 0
    console.put(HOSTILE)
    console.put(console.table([["a", HOSTILE.replace("\r", "\n")], ["b", "c"]], right=False))
    console.talk(f"{HOSTILE}\n\tx")
    found = capfdbinary.readouterr()
    rows = HOSTILE.replace("\r", "\n")
    assert found.out == f"{''.join(PIECES)}\n{HOSTILE}\na  {rows}\nb  c\n".encode()
    assert found.err == f"{HOSTILE}\n\tx\n".encode()


def test_a_chat_is_shown_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)

    class Conversation:
        def say(self, text: str, show: Callable[[str], None]) -> None:
            for piece in PIECES:
                show(piece)

    turns = iter(["hello"])

    def ask(prompt: str) -> str:
        for turn in turns:
            return turn
        raise EOFError

    monkeypatch.setattr("builtins.input", ask)
    assert chat.in_terminal(Conversation()) == 0  # type: ignore[arg-type]
    assert f"\n\treturn {FAMILY} {AS_SHOWN}\\u001b[2J\n" in screen.read()


def test_which_characters_are_shown_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    console.put(HOSTILE)
    console.put(console.field("a\nb\tc\r"))
    console.put(console.table([["x\ny", "漢字"], ["\x1b[1m", "z"]], right=False))
    console.talk("a\nb\tc:\n  listed", CLIPBOARD)
    first, second, *rows = screen.read().split("\n")
    kept = f"{FAMILY}\u200e\u200fنمی\u200cخواهم\ufe0f"
    assert first == f"\\u0000\\u0007\\u0008\\u001b[2J\\r\\u007f\\u009b31m\\u202etxt\\u2066{kept}"
    assert second == "a\\nb\\tc\\r"
    assert rows == ["x\\ny       漢字", "\\u001b[1m  z", "a", "  b\\tc:", "  listed", AS_SHOWN, ""]


def test_json_on_a_terminal_is_still_json(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    console.put(json.dumps({"label": HOSTILE}, ensure_ascii=False))
    written = screen.read()
    assert "\x7f" not in written and "\x9b" not in written and "\u202e" not in written
    assert json.loads(written) == {"label": HOSTILE}


@pytest.mark.parametrize("verb", ["check", "stats"])
def test_a_label_cannot_command_the_terminal(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(monkeypatch)
    file = tmp_path / "odd\x1b]2;name\x07\nerror: false.tsv"
    file.write_text("text\tlabel\n" + f"good\t{CLIPBOARD}\nbad\tno\n\tno\n" * 3, encoding="utf-8")
    run(["data", verb, str(file)])
    written = screen.read()
    assert "name\\u0007\\nerror: false.tsv" in written
    assert not set(written) & {"\x1b", "\x07"} and "\nerror: false" not in written
    assert verb == "check" or AS_SHOWN in written


def test_what_a_user_types_is_not_echoed_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    assert run([f"tra{CLIPBOARD}in"]) == 2 and run(["info", f"--{CLIPBOARD}", "\u202e"]) == 2
    assert run(["data", "check", f"no{CLIPBOARD}.tsv"]) == 1
    assert run(["data", "stats", "there/is\nno\tsuch.tsv"]) == 1
    written = screen.read()
    assert "There is no file there/is\\nno\\tsuch.tsv. Check the path" in written
    assert written.count(AS_SHOWN) >= 3 and "\x1b" not in written and "\u202e" not in written


@pytest.mark.parametrize(
    ("task", "raw"), [("classification", False), ("tagging", False), ("translation", True)]
)
def test_labels_stay_on_one_line(task: str, raw: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    predictor = SimpleNamespace(task=SimpleNamespace(spec=SPECS[task]))
    console.put(one_line(predictor, "a\nb\tc"))  # type: ignore[arg-type]
    assert screen.read() == ("a\nb\tc\n" if raw else "a\\nb\\tc\n")


def test_a_file_of_subtitles_is_shown_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    console.put_bytes(f"\ufeff1\r\n00:00 --> 00:01\r\n{CLIPBOARD}\r\n".encode())
    assert screen.read() == f"1\n00:00 --> 00:01\n{AS_SHOWN}\n"


def test_a_traceback_and_a_log_are_shown_the_same_way(tmp_path: Path) -> None:
    """Run in a process whose stderr is a terminal and whose stdout is a pipe."""
    code = f"""
import sys
from triptych.cli import console, main
from triptych.training.job import Progress
with console.Display(1, None) as display:
    said = "label {CLIPBOARD} :smile: [b]"
    display.show(Progress(event="validation", step=1, fraction=0.0, seconds=1.0, message=said))
console.put("{CLIPBOARD}")
main.main(["info", "no{CLIPBOARD}", "--debug"])
""".replace("\x1b", "\\x1b").replace("\x07", "\\x07")
    master, slave = pty.openpty()
    with open(tmp_path / "out", "wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=out, stderr=slave, check=False, timeout=300
        )
    os.close(slave)
    written = read_all(master)
    assert done.returncode == 1 and "Traceback" in written
    assert written.count(AS_SHOWN) >= 2 and ":smile: [b]" in written
    assert "\x1b]52" not in written and "\x07" not in written
    assert (tmp_path / "out").read_text() == f"{CLIPBOARD}\n"


def test_no_verb_prints_past_the_console() -> None:
    """Outside console.py only constants are printed, and no stream is written to."""
    for path in sorted(Path(triptych.cli.__path__[0]).glob("*.py")):
        if path.name == "console.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called, where = ast.unparse(node.func), f"{path.name}:{node.lineno}"
            constant = all(isinstance(one, ast.Constant) for one in node.args)
            assert called != "print" or constant, where
            assert not (called.startswith("sys.") and called.endswith((".write", ".writelines"))), (
                where
            )
            assert called not in ("Console", "warnings.warn", "traceback.print_exc"), where


@pytest.mark.parametrize(
    ("verb", "there", "not_there"),
    [
        ("train", "--batches.batch_tokens", "decoding"),
        ("predict", "--decoding.batch_tokens", "batches"),
        ("evaluate", "--decoding.batch_tokens", "batches"),
        ("data", "smaller files", "batch_tokens"),
        ("init", "smaller part of the files", "batch_tokens"),
        ("import", "more memory", "batch_tokens"),
        ("", "more memory", "batch_tokens"),
    ],
)
def test_the_advice_where_memory_ends_fits_the_verb(verb: str, there: str, not_there: str) -> None:
    for error in (
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ):
        sentence = message_of(error, verb)
        assert sentence.startswith("triptych: ") and there in sentence and not_there not in sentence


def test_a_verb_out_of_memory_gets_its_own_advice(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("triptych.cli.main.dispatch", full)
    assert run(["data", "fetch", "multi30k"]) == 1 and "batch_tokens" not in capfd.readouterr().err
    assert run(["train", "x"]) == 1 and "--batches.batch_tokens" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(61.9, "1:01"), (3600.0, "1:00:00"), (float("nan"), "?"), (float("inf"), "?")],
)
def test_a_duration_is_shown_whatever_a_file_holds(seconds: float, shown: str) -> None:
    assert console.clock(seconds) == shown
