"""Memory of the server over many requests, each with a text of its own.

    python benchmarks/serving_memory.py RUN [--requests 20000] [--clients 8] [--tokens 8]

A quarter of them are streams, and one in fifty leaves before its answer is whole. Prints the
server's resident memory after every twentieth of the requests, and the slope of the second half by
least squares, in bytes a request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import sys
import time
from pathlib import Path

import numpy as np

from serving_load import free_port, serve, wait_for

WORDS = [
    "a", "the", "dog", "man", "two", "red", "house", "runs", "sees", "big", "old", "river", "tree",
    "child", "small", "green",
]  # fmt: skip


def resident(process: int) -> int:
    """Return the bytes of a process that are in memory."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise ValueError(process)


async def ask(port: int, number: int, tokens: int) -> None:
    """Send one request, whose text nobody else sends."""
    draw = random.Random(number)
    text = " ".join(draw.choices(WORDS, k=draw.randint(3, 40)))
    body = json.dumps(
        {"model": "run", "prompt": text, "max_tokens": tokens, "stream": number % 4 == 0}
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
        b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    if number % 50:
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    writer.close()


async def load(port: int, process: int, given: argparse.Namespace) -> list[tuple[int, int]]:
    """Return (requests, bytes) after every twentieth."""
    found: list[tuple[int, int]] = []
    numbers = iter(range(given.requests))
    each = max(1, given.requests // 20)

    async def client() -> None:
        for number in numbers:
            await ask(port, number, given.tokens)
            if (number + 1) % each == 0:
                found.append((number + 1, resident(process)))
                print(f"{number + 1:>8,}  {found[-1][1] / 1e6:8.1f} MB", flush=True)

    await asyncio.gather(*(client() for _ in range(given.clients)))
    return found


def main(given: argparse.Namespace) -> None:
    port = free_port()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=serve, args=(given.run, "engine", port, 1), daemon=True)
    process.start()
    wait_for(port, process)
    assert process.pid is not None
    began = time.perf_counter()
    try:
        found = asyncio.run(load(port, process.pid, given))
    finally:
        process.terminate()
    half = np.array(found[len(found) // 2 :], dtype=float)
    slope = np.polyfit(half[:, 0], half[:, 1], 1)[0]
    seconds = time.perf_counter() - began
    print(f"{given.requests:,} requests in {seconds:.0f} s; second half: {slope:.1f} bytes/request")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=8)
    main(parser.parse_args(sys.argv[1:]))
