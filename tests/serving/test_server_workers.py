"""Several processes that answer: started again, counted together, ended together."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from waits import until

from triptych.serving.files import KEPT_FILES, SharedFiles
from triptych.serving.problems import ApiError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
MEGABYTES = 64


def children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(one) for one in found.split()]


@pytest.fixture()
def two(tmp_path: Path) -> Iterator[SimpleNamespace]:
    log = tmp_path / "log"
    script = Path(__file__).with_name("toy_workers.py")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, script, str(MEGABYTES)], stdout=subprocess.PIPE, stderr=errors
        )
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], 60)[0], log.read_text()
        port = int(process.stdout.readline())
        until(lambda: len(children(process.pid)) == 2)
        yield SimpleNamespace(process=process, port=port, log=log)
    finally:
        for child in children(process.pid) if process.poll() is None else []:
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait(30)
        process.stdout.close()


def ask(port: int, path: str, body: Any = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json", "Connection": "close"}
    method = "GET" if body is None else "POST"
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def count(port: int) -> int:
    _, text = ask(port, "/metrics")
    found = re.search(r'triptych_requests_done_total\{model="lm"\} (\d+)', text)
    assert found is not None
    return int(found[1])


def begun(port: int, tokens: int) -> http.client.HTTPResponse:
    """A stream whose first event has come."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = {"model": "lm", "prompt": "a", "max_tokens": tokens, "min_tokens": tokens - 1}
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/completions", json.dumps({**body, "stream": True}), headers)
    answer = connection.getresponse()
    assert answer.status == 200 and answer.readline()
    return answer


def stop(process: int) -> None:
    """Let a process take no connection."""
    os.kill(process, signal.SIGSTOP)
    until(lambda: " T " in Path(f"/proc/{process}/stat").read_text())


def test_two_workers_answer_die_and_end(two: SimpleNamespace) -> None:
    body = {"model": "lm", "prompt": "a", "max_tokens": 2}
    for _ in range(20):
        assert ask(two.port, "/v1/completions", body)[0] == 200
    # A worker writes its counts ten times a second.
    until(lambda: count(two.port) == 20, 20)

    first, second = children(two.process.pid)
    stop(second)
    cut = begun(two.port, 8000)  # by the first
    stop(first)
    os.kill(second, signal.SIGCONT)
    whole = begun(two.port, 200)
    os.kill(first, signal.SIGKILL)
    # Its client sees that the end is missing: neither the last event nor the last chunk comes.
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        cut.read()
    assert whole.read().rstrip().endswith(b"data: [DONE]"), "the other is unharmed"
    until(lambda: first not in children(two.process.pid), 20)
    assert ask(two.port, "/v1/completions", body)[0] == 200, "the other one answers"
    until(lambda: len(children(two.process.pid)) == 2, 20)
    until(lambda: count(two.port) == 22, 20)  # no count is lost with a worker
    assert second in children(two.process.pid)
    lines = [json.loads(line) for line in two.log.read_text().splitlines()]
    (told,) = [one["message"] for one in lines if "message" in one]
    assert f"process {first}" in told and "signal 9" in told and "started again" in told

    two.process.send_signal(signal.SIGTERM)
    assert two.process.wait(30) == 0
    assert "Traceback" not in two.log.read_text()


def test_workers_end_with_the_first_process(two: SimpleNamespace) -> None:
    workers = children(two.process.pid)
    assert ask(two.port, "/ready")[0] == 200
    two.process.kill()
    two.process.wait(30)

    def are_gone() -> bool:
        alive = [one for one in workers if Path(f"/proc/{one}").exists()]
        return not [one for one in alive if " Z " not in Path(f"/proc/{one}/stat").read_text()]

    until(are_gone, 30)


def test_workers_share_what_was_loaded(two: SimpleNamespace) -> None:
    for _ in range(4):
        ask(two.port, "/v1/completions", {"model": "lm", "prompt": "a", "max_tokens": 2})
    for worker in children(two.process.pid):
        path = Path(f"/proc/{worker}/smaps_rollup")
        if not path.exists():
            pytest.skip("this system does not tell the share of a process in its pages")
        sizes = dict(re.findall(r"(\w+): +(\d+) kB", path.read_text()))
        private = int(sizes["Private_Dirty"]) + int(sizes["Private_Clean"])
        assert private < MEGABYTES << 10 < int(sizes["Rss"])


def test_a_file_is_found_by_another_worker(tmp_path: Path) -> None:
    one, other = SharedFiles(tmp_path), SharedFiles(tmp_path)
    key = one.add("ä.txt", b"x\ny")
    assert other.get(key) == ("ä.txt", b"x\ny")
    for wrong in ("../x", "0" * 32, key + "/", ""):
        with pytest.raises(ApiError):
            other.get(wrong)
    for _ in range(KEPT_FILES + 5):
        one.add("b.txt", b"")
    assert len(list(tmp_path.iterdir())) == KEPT_FILES


def test_files_are_translated_by_workers(two: SimpleNamespace) -> None:
    import urllib.request

    line = b"--b\r\nContent-Disposition: form-data; name="
    body = line + b'"target"\r\n\r\nde\r\n' + line
    body += b'"file"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    address = f"http://127.0.0.1:{two.port}/translate_file"
    request = urllib.request.Request(address, body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = json.load(answer)["translatedFileUrl"]
    for _ in range(8):
        assert urllib.request.urlopen(found, timeout=30).status == 200
