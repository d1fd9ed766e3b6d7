"""Are requests lost when one of two servers behind nginx is killed, and when one is stopped?

    python benchmarks/serving_replicas.py RUN [--clients 8] [--seconds 30] [--tokens 32]

Starts two servers of RUN, a run that writes, and nginx with deploy/nginx.conf, all on this machine.
Clients ask without a pause, half of them for streams. After a third of the time one server is
killed (SIGKILL) and started again; after two thirds the other is stopped (SIGTERM). Prints one JSON
object: how many requests were answered, how many answers were broken off or failed. A stream whose
first piece has come cannot be sent again: it is broken off by a kill.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

from serving_load import free_port

CONF = Path(__file__).resolve().parents[1] / "deploy" / "nginx.conf"
END = b"data: [DONE]"


def start(run: str, port: int) -> subprocess.Popen[bytes]:
    """Start a server and wait until it is ready."""
    command = [sys.executable, "-m", "triptych", "serve", f"model={run}", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait(port, process)
    return process


def wait(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("a server could not start")


def write_conf(folder: Path, ports: list[int], port: int) -> Path:
    """Write a whole configuration of nginx, with deploy/nginx.conf inside."""
    text = CONF.read_text("utf-8").replace("listen 8080;", f"listen 127.0.0.1:{port};")
    for named, own in zip((8001, 8002), ports, strict=True):
        text = text.replace(f"127.0.0.1:{named}", f"127.0.0.1:{own}")
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{text}}}\n"
    )
    return whole


class Load:
    """Ask for answers without a pause, and count how each request ended."""

    def __init__(self, port: int, tokens: int) -> None:
        self.port, self.tokens = port, tokens
        self.found: Counter[str] = Counter()

    async def client(self, streams: bool, until: float) -> None:
        kind = "stream" if streams else "whole"
        while time.perf_counter() < until:
            try:
                self.found[f"{kind} {await self.ask(streams)}"] += 1
            except OSError:
                self.found[f"{kind} refused"] += 1
                await asyncio.sleep(0.1)

    async def ask(self, streams: bool) -> str:
        """Return "answered", "broken off" or the status of a failure."""
        values = {"model": "model", "prompt": "the cat", "max_tokens": self.tokens}
        body = json.dumps({**values, "stream": streams}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        )
        kind = "Content-Type: application/json\r\nConnection: close\r\n\r\n"
        writer.write(f"{head}{kind}".encode() + body)
        raw = await reader.read()
        writer.close()
        status = re.match(rb"HTTP/1.1 (\d+)", raw)
        if status is None:
            return "broken off"
        if status[1] != b"200":
            return f"status {status[1].decode()}"
        is_whole = END in raw if streams else b'"usage"' in raw
        return "answered" if is_whole and b'"error"' not in raw else "broken off"


async def run(given: argparse.Namespace, folder: Path) -> dict[str, object]:
    ports, port = [free_port(), free_port()], free_port()
    servers = [start(given.run, one) for one in ports]
    nginx = subprocess.Popen(["nginx", "-c", write_conf(folder, ports, port)])
    try:
        wait(port, nginx)  # type: ignore[arg-type]
        load, began = Load(port, given.tokens), time.perf_counter()
        until = began + given.seconds
        clients = [
            asyncio.create_task(load.client(number % 2 == 0, until))
            for number in range(given.clients)
        ]
        await asyncio.sleep(given.seconds / 3)
        servers[0].send_signal(signal.SIGKILL)
        servers[0].wait()
        servers[0] = await asyncio.to_thread(start, given.run, ports[0])
        await asyncio.sleep(max(0.0, began + given.seconds * 2 / 3 - time.perf_counter()))
        servers[1].send_signal(signal.SIGTERM)
        await asyncio.gather(*clients)
        return {
            "clients": given.clients,
            "seconds": round(time.perf_counter() - began, 1),
            "exit_code_of_the_stopped": await asyncio.to_thread(servers[1].wait),
            **dict(sorted(load.found.items())),
        }
    finally:
        for process in (nginx, *servers):
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--tokens", type=int, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(run(given, Path(folder)))))


if __name__ == "__main__":
    main()
