"""Requests a second of the server, beside a naive one that answers one request after the other.

Both servers are one process each with the same run, precision, threads and HTTP layer. The naive
one holds a lock while it decodes one request as `Predictor.predict` does. Clients are a process of
their own: each sends its next request when it has the answer to the last. The ways take turns, A B
A B, at 1, 8, 32 and 100 clients; ratios are medians of the rounds.

    python benchmarks/serving.py RUN [--texts FILE] [--clients 1 8 32 100] [--seconds 10]
        [--rounds 3] [--tokens 64] [--json FILE]

RUN is a run that writes. --texts: prompts or sources, one a line; else made-up ones of many
lengths. Times to the first token are of streams, requests a second of whole answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving_load import free_port, percentile, serve, wait_for

PERCENTILES = (50, 95, 99)


class Load:
    """Ask with several clients at once, and collect how long each answer took."""

    def __init__(self, port: int, texts: Sequence[str], tokens: int, streams: bool) -> None:
        self.port, self.texts, self.tokens, self.streams = port, texts, tokens, streams
        self.first: list[float] = []
        self.whole: list[float] = []
        self.written = 0

    async def run(self, clients: int, seconds: float) -> dict[str, float]:
        """Return requests a second and percentiles of milliseconds."""
        began = time.perf_counter()
        await asyncio.gather(*(self.client(n, began + seconds) for n in range(clients)))
        passed = time.perf_counter() - began
        found = {"requests_per_second": len(self.whole) / passed}
        for name, values in (("first", self.first), ("whole", self.whole)):
            for one in PERCENTILES:
                found[f"{name}_p{one}_ms"] = 1000 * percentile(values, one)
        return found

    async def client(self, number: int, until: float) -> None:
        """Send one request after the other over one connection."""
        draw = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while time.perf_counter() < until:
            body = json.dumps(
                {
                    "model": "run",
                    "prompt": draw.choice(self.texts),
                    "max_tokens": self.tokens,
                    "stream": self.streams,
                }
            ).encode()
            head = (
                f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                f"application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            began = time.perf_counter()
            writer.write(head.encode() + body)
            await self.answer(reader, began)
            self.whole.append(time.perf_counter() - began)
        writer.close()

    async def answer(self, reader: asyncio.StreamReader, began: float) -> None:
        """Read one answer to its end."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200"), head
        if "content-length" in head:
            length = int(head.partition("content-length:")[2].split("\r\n")[0])
            await reader.readexactly(length)
            self.first.append(time.perf_counter() - began)
            return
        is_first = True
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            part = await reader.readexactly(size + 2)
            if is_first and b'"text"' in part:
                self.first.append(time.perf_counter() - began)
                is_first = False
            if size == 0:
                return


def made_up(count: int = 200) -> list[str]:
    """Return texts of 3 to 30 words."""
    draw = random.Random(1)
    words = ["a", "the", "dog", "man", "two", "red", "house", "runs", "sees", "big", "old", "river"]
    return [" ".join(draw.choices(words, k=draw.randint(3, 30))) for _ in range(count)]


def main(arguments: argparse.Namespace) -> None:
    texts = made_up()
    if arguments.texts is not None:
        texts = [one for one in arguments.texts.read_text().splitlines() if one.strip()]
    context, ports, processes = multiprocessing.get_context("spawn"), {}, []
    for kind in ("engine", "naive"):
        ports[kind] = free_port()
        given = (arguments.run, kind, ports[kind], arguments.threads)
        processes.append(context.Process(target=serve, args=given, daemon=True))
        processes[-1].start()
        wait_for(ports[kind], processes[-1])
    found: list[dict[str, Any]] = []
    try:
        for clients in arguments.clients:
            for streams in (False, True):
                rounds: dict[str, list[dict[str, float]]] = {"engine": [], "naive": []}
                for _ in range(arguments.rounds):
                    for kind, measured in rounds.items():
                        load = Load(ports[kind], texts, arguments.tokens, streams)
                        measured.append(asyncio.run(load.run(clients, arguments.seconds)))
                line: dict[str, Any] = {"clients": clients, "streams": streams}
                for kind, measured in rounds.items():
                    for name in measured[0]:
                        values = [one[name] for one in measured]
                        line[f"{kind}_{name}"] = round(statistics.median(values), 2)
                pairs = zip(rounds["engine"], rounds["naive"], strict=True)
                ratios = [a["requests_per_second"] / b["requests_per_second"] for a, b in pairs]
                line["ratio"] = round(statistics.median(ratios), 2)
                found.append(line)
                print(json.dumps(line), flush=True)
    finally:
        for one in processes:
            one.terminate()
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 100])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    main(parser.parse_args(sys.argv[1:]))
