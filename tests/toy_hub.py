"""A server in the form of the hub, on this machine, for one repository."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SECRET = "hf_secretSecretSecret"


class Hub(ThreadingHTTPServer):
    """What the hub answers about one repository, whose files are in `folder`.

    cut: bytes after which the transfer of the weights breaks off, once. broken: the weights
    cannot be had. more: sizes of files that are listed but not there.
    """

    def __init__(self, folder: Path, name: str, kind: str = "model") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.kind = name, kind
        self.folder, self.cut, self.more = folder, 0, dict[str, int]()
        self.asked: list[tuple[str, str, str, str]] = []
        self.revisions = {"main": COMMIT, COMMIT: COMMIT, "v1": COMMIT}
        self.sha, self.broken = COMMIT, False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *given: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        hub, path = self.server, self.path.split("?")[0]
        headers = (self.headers.get("Range", ""), self.headers.get("Authorization", ""))
        hub.asked.append((self.command, path, *headers))
        path, place = unquote(path), "/datasets/" if hub.kind == "dataset" else "/"
        about = re.fullmatch(rf"/api/{hub.kind}s/{hub.name}(?:/revision/(.+))?", path)
        file = re.fullmatch(rf"{place}{hub.name}/resolve/([0-9a-f]+)/(.+)", path)
        if about and about[1] in hub.revisions:
            sizes = {
                str(one.relative_to(hub.folder)): one.stat().st_size
                for one in sorted(hub.folder.rglob("*"))
                if one.is_file()
            }
            listed = [{"rfilename": a, "size": b} for a, b in {**sizes, **hub.more}.items()]
            values = {"id": hub.name, "modelId": hub.name, "sha": hub.sha, "siblings": listed}
            self._send(200, json.dumps(values).encode(), {}, body)
        elif file and (hub.folder / file[2]).is_file():
            self._send_file((hub.folder / file[2]).read_bytes(), file[2], body)
        else:
            missing = "RevisionNotFound" if about else "EntryNotFound" if file else "RepoNotFound"
            self._send(404, b"{}", {"X-Error-Code": missing}, body)

    def _send_file(self, content: bytes, name: str, body: bool) -> None:
        mark = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{mark}"', "X-Repo-Commit": self.server.sha, "Accept-Ranges": "bytes"}
        if self.server.broken and body and name.endswith(".safetensors"):
            self._send(500, b"", {}, body)
            return
        start = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["0"])[0])
        if start and body:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.server.cut if name.endswith(".safetensors") and body and not start else 0
        self._send(206 if start and body else 200, content[start:], headers, body, cut)

    def _send(
        self, code: int, content: bytes, headers: dict[str, str], body: bool, cut: int = 0
    ) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:cut] if cut else content)
        if cut:
            self.close_connection = True


@contextmanager
def served(folder: Path, name: str, kind: str, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a folder as a repository of the hub, and let the library know of no other hub."""
    hub = Hub(folder, name, kind)
    threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True).start()
    patch.setenv("HF_ENDPOINT", hub.endpoint)
    patch.setenv("HF_HUB_CACHE", str(folder.parent / "cache"))
    patch.setenv("XDG_CACHE_HOME", str(folder.parent / "own"))
    patch.setenv("HF_TOKEN", SECRET)
    patch.delenv("HF_HUB_OFFLINE", raising=False)
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
