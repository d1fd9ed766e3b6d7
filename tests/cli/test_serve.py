"""`triptych serve`: what is refused before anything is loaded, and the end by a signal."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from waits import joined

from triptych.cli.main import run
from triptych.cli.serve import Access, named
from triptych.errors import UsageError

pytest.importorskip("fastapi", reason="the extra serve is not installed")
sys.path.insert(0, str(Path(__file__).parent.parent / "inference"))


def test_runs_are_asked_for_by_the_names_of_their_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a=b"
    folder.mkdir()
    found = named((f"{tmp_path}/one", "chat=runs/two", str(folder)))
    assert found == {"one": f"{tmp_path}/one", "chat": "runs/two", "a=b": str(folder)}
    for wrong in (("runs/one", "other/one"), ("=runs/one",), ("one=",)):
        with pytest.raises(UsageError):
            named(wrong)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "--api-key"),
        (["--port", "70000"], "65535"),
        (["--queue", "0"], "--queue"),
        (["--deadline", "-1"], "--deadline"),
        (["--workers", "0"], "--workers"),
        (["--workers", "1000"], "--workers"),
        (["--allow-origin", "page"], "--allow-origin"),
        (["--api-key", " "], "--api-key"),
        (["--api-key", ""], "--api-key"),
        (["--api-key-file", "none.txt"], "none.txt"),
        (["--api-key", "a", "--api-key-file", "b"], "not both"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", "runs/none", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_key_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n\n", encoding="utf-8")
    assert Access(api_key_file=tmp_path / "key").security("0.0.0.0").api_key == "secret"
    (tmp_path / "empty").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="empty"):
        Access(api_key_file=tmp_path / "empty").security("0.0.0.0")


def test_a_taken_port_is_told_before_a_run_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["serve", "runs/none", "--port", str(port)]) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_a_signal_ends_the_server_in_peace(capsys: pytest.CaptureFixture[str]) -> None:
    from toy_runs import writer

    from triptych.inference.engine.engine import Engine
    from triptych.serving.security import Security
    from triptych.serving.server import Listening

    listening = Listening("127.0.0.1", 0)
    said: list[str] = []

    def ask() -> None:
        body = json.dumps({"model": "lm", "prompt": "a secret", "max_tokens": 4}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{listening.address}/v1/completions", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                said.append(json.load(answer)["object"])
        finally:  # else the server would never end
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    listening.serve({"lm": Engine(writer())}, Security(), log_json=True)
    joined(thread)
    assert said == ["text_completion"] and signal.getsignal(signal.SIGTERM) is handler
    line = json.loads(capsys.readouterr().err.strip().splitlines()[-1])
    assert line["path"] == "/v1/completions" and line["status"] == 200
    assert "secret" not in json.dumps(line), "texts are not logged unless asked for"
    logging.getLogger("triptych.serving").handlers.clear()
