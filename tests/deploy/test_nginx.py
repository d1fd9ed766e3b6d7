"""nginx before several servers: its file is read by nginx, and says what the page promises."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from triptych.serving.limits import BODY_BYTES

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")


def directives(name: str) -> list[str]:
    return re.findall(rf"^\s*{name} (.*);$", TEXT, re.MULTILINE)


def test_it_says_what_the_server_needs() -> None:
    assert directives("client_max_body_size") == [f"{BODY_BYTES >> 20}m"]
    assert directives("proxy_buffering") == ["off"]
    (again,) = directives("proxy_next_upstream")
    assert {"error", "http_503", "http_429", "non_idempotent"} <= set(again.split())
    assert directives("proxy_request_buffering") == ["on"]  # else nothing could be sent again
    servers = re.findall(r"^\s*server 127\.0\.0\.1:(\d+) max_fails=1", TEXT, re.MULTILINE)
    started = re.findall(r"^#\s+triptych serve .*--port (\d+) ", TEXT, re.MULTILINE)
    assert servers == started == ["8001", "8002"]


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    conf = importlib.import_module("serving_replicas").write_conf(tmp_path, [1, 2], 18080)
    done = subprocess.run(["nginx", "-t", "-c", conf], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "listen 127.0.0.1:18080" in conf.read_text() and "127.0.0.1:8001" not in (
        re.sub(r"#.*", "", conf.read_text())
    )
