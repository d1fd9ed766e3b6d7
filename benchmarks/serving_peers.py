"""The same decoder behind this server, `transformers serve` and llama.cpp's server, in one run.

    triptych export RUN FOLDER; triptych export RUN FILE.gguf --format gguf
    python benchmarks/serving_peers.py RUN --transformers FOLDER --llama FILE.gguf
        [--clients 1 8 32] [--tokens 32] [--seconds 20] [--rounds 2] [--threads 1] [--json FILE]

Each client sends its next conversation of one message to /v1/chat/completions when it has the
answer to the last, greedy, as a stream. The servers are processes of their own and take turns,
A B C A B C; ratios are medians of the rounds. Tokens are the pieces of a stream that have content.
transformers is asked as it comes, and with --continuous-batching if that starts. llama.cpp's server
is xllamacpp's, with one slot a client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving_load import free_port, percentile

LLAMA = """
import sys, time, xllamacpp
given = xllamacpp.CommonParams()
given.model.path, given.port, given.n_parallel = sys.argv[1], int(sys.argv[2]), int(sys.argv[4])
given.cpuparams.n_threads = given.cpuparams_batch.n_threads = int(sys.argv[3])
given.n_ctx = 512 * int(sys.argv[4])
server = xllamacpp.Server(given)
print(server.listening_address, flush=True)
time.sleep(1e6)
"""
ASKED = [
    "Why is the sky blue?", "Write three sentences about a river.", "What is a bicycle made of?",
    "Tell me how bread is baked.", "Describe a rainy day in the city.", "What do bees do all day?",
    "Explain what a library is for.", "How does a clock show the time?", "What is snow?",
    "Name some animals of the forest, and say what they eat.", "How do I grow tomatoes?",
]  # fmt: skip


class Client:
    """Ask with several clients at once; collect when each piece of each answer came."""

    def __init__(self, port: int, model: str, tokens: int) -> None:
        self.port, self.model, self.tokens = port, model, tokens
        self.first: list[float] = []
        self.between: list[float] = []
        self.whole: list[float] = []
        self.written = 0

    async def run(self, clients: int, seconds: float) -> dict[str, float]:
        """Return requests and tokens a second, and percentiles of milliseconds."""
        began = time.perf_counter()
        await asyncio.gather(*(self.one(n, began + seconds) for n in range(clients)))
        passed = time.perf_counter() - began
        found = {
            "requests_per_second": len(self.whole) / passed,
            "tokens_per_second": self.written / passed,
        }
        for name, values in (("first", self.first), ("between", self.between),
                             ("whole", self.whole)):  # fmt: skip
            for one in (50, 95, 99):
                found[f"{name}_p{one}_ms"] = 1000 * percentile(values, one)
        return found

    async def one(self, number: int, until: float) -> None:
        draw = random.Random(number)
        while time.perf_counter() < until:
            body = json.dumps({
                "model": self.model, "max_tokens": self.tokens, "temperature": 0, "stream": True,
                "messages": [{"role": "user", "content": draw.choice(ASKED)}],
            }).encode()  # fmt: skip
            head = (
                "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            before = began = time.perf_counter()
            writer.write(head.encode() + body)
            status = await reader.readline()
            if b" 200" not in status:
                raise SystemExit(f"{status!r} {(await reader.read())[:400]!r}")
            pieces = 0
            while line := await reader.readline():
                if not line.startswith(b"data: {"):
                    continue
                choices = json.loads(line[6:]).get("choices") or [{}]
                if (choices[0].get("delta") or {}).get("content"):
                    now = time.perf_counter()
                    (self.between if pieces else self.first).append(now - before)
                    before, pieces = now, pieces + 1
            writer.close()
            self.written += pieces
            self.whole.append(time.perf_counter() - began)


def ready(port: int, process: subprocess.Popen[bytes], model: str) -> bool:
    """Wait until a server answers a first question; tell whether it lives."""
    body = {"model": model, "max_tokens": 2, "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(300):
        if process.poll() is not None:
            return False
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=120):
                return True
        except OSError:
            time.sleep(0.5)
    return False


def commands(given: argparse.Namespace) -> dict[str, tuple[list[str], str]]:
    """Return each server's command, without its port, and the name of its model."""
    beside = Path(sys.executable).parent
    found = {"triptych": ([sys.executable, "-m", "triptych", "serve", given.run, "--threads",
                           str(given.threads), "--port"], Path(given.run).name)}  # fmt: skip
    if given.transformers:
        base = [str(beside / "transformers"), "serve", given.transformers, "--device", "cpu",
                "--dtype", "float32"]  # fmt: skip
        found["transformers"] = ([*base, "--port"], given.transformers)
        found["transformers, continuous batching"] = (
            [*base, "--continuous-batching", "--port"],
            given.transformers,
        )
    if given.llama:
        found["llama.cpp"] = ([sys.executable, "-c", LLAMA, given.llama], "gguf")
    return found


def main(given: argparse.Namespace) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads), "HF_HUB_OFFLINE": "1"}
    running: dict[str, tuple[subprocess.Popen[bytes], int, str]] = {}
    lines: list[dict[str, Any]] = []
    try:
        for name, (command, model) in commands(given).items():
            port = free_port()
            more = [str(given.threads), str(max(given.clients))] if name == "llama.cpp" else []
            log = open(f"{given.logs}/{name.replace(' ', '-')}.log", "wb")  # noqa: SIM115
            process = subprocess.Popen([*command, str(port), *more], env=environment,
                                       stdout=log, stderr=log)  # fmt: skip
            if ready(port, process, model):
                running[name] = process, port, model
            else:
                print(f"{name} does not answer; see {log.name}", file=sys.stderr)
                process.kill()
        for clients in given.clients:
            rounds: dict[str, list[dict[str, float]]] = {name: [] for name in running}
            for _ in range(given.rounds):
                for name, (_, port, model) in running.items():
                    load = Client(port, model, given.tokens)
                    rounds[name].append(asyncio.run(load.run(clients, given.seconds)))
            for name, measured in rounds.items():
                lines.append({"server": name, "clients": clients, **medians(measured),
                              "ratio": ratio(rounds["triptych"], measured)})  # fmt: skip
                print(json.dumps(lines[-1]), flush=True)
    finally:
        for process, _, _ in running.values():
            process.kill()
    if given.json is not None:
        given.json.write_text(json.dumps(lines, indent=1))


def medians(measured: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in measured), 2)
            for name in measured[0]}  # fmt: skip


def ratio(ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]]) -> float:
    """Return how many times as many tokens a second this server writes."""
    each = [one["tokens_per_second"] / max(1e-9, other["tokens_per_second"])
            for one, other in zip(ours, theirs, strict=True)]  # fmt: skip
    return round(statistics.median(each), 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--transformers")
    parser.add_argument("--llama")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--logs", default=".")
    parser.add_argument("--json", type=Path)
    main(parser.parse_args())
