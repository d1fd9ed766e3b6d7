r"""Abuse a server, and look whether others notice.

    python benchmarks/abuse.py decoder=RUN translator=RUN classifier=RUN --out FILE.json

Fuzzed requests over all paths, streams that are cancelled, bodies that are too large, clients that
send or read slowly, and a step of the model that raises. Meanwhile a probe asks the same question
again and again. Nothing may answer 5xx but 503, and no 503 may be for a bug of ours ("wrong" lists
both), the probe's answer may not change, memory and the requests in progress must return to what
they were, and /health must be bad right after a dead loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import signal
import socket
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

PROBE = {"model": "decoder", "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, -(2**70), 1e308, 0.5, "", " ", "\x00", "a" * 300, "\ud800",
    "貓" * 50, [], {}, [[]], [None], [1, "a"], {"a": {"b": []}}, [[1] * 40], "null", "auto", "none",
)  # fmt: skip
TEXT = "Good morning, my friend."
OURS = b"could not answer this request"  # is said of a bug of ours
PATHS: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("POST", "/v1/completions", {**PROBE, "max_tokens": 3, "n": 1, "stop": ["x"], "echo": False,
                                 "logprobs": None, "stream": False, "seed": 1, "top_p": 1}),
    ("POST", "/v1/completions", {"model": "translator", "prompt": [TEXT], "max_tokens": 3}),
    ("POST", "/v1/chat/completions", {"model": "translator", "max_tokens": 3, "stream": True,
                                      "messages": [{"role": "user", "content": TEXT}]}),
    ("POST", "/v1/embeddings", {"model": "classifier", "input": [TEXT, "b"],
                                "encoding_format": "float"}),
    ("POST", "/v1/tasks/text-classification", {"inputs": TEXT, "parameters": {"top_k": 1}}),
    ("POST", "/v1/tasks/translation", {"inputs": TEXT, "parameters": {"max_new_tokens": 3}}),
    ("POST", "/v1/tasks/zero-shot-classification",
     {"inputs": TEXT, "parameters": {"candidate_labels": ["a", "b"]}}),
    ("POST", "/v1/trace", {"model": "classifier", "input": "hello", "kinds": ["encoder"]}),
    ("POST", "/translate", {"q": TEXT, "source": "en", "target": "de", "format": "text"}),
    ("POST", "/detect", {"q": TEXT}),
    ("POST", "/translate_file", {"file": "a", "source": "en", "target": "de"}),
    ("POST", "/api/generate", {"model": "decoder", "prompt": "A", "stream": False,
                               "options": {"num_predict": 3, "temperature": 0}}),
    ("POST", "/api/chat", {"model": "translator", "messages": [{"role": "user", "content": "A"}],
                           "options": {"num_predict": 3}}),
    ("POST", "/api/embed", {"model": "classifier", "input": "a"}),
    ("POST", "/api/show", {"model": "decoder"}),
    ("POST", "/infill", {"input_prefix": "a", "input_suffix": "b", "prompt": "", "n_predict": 3}),
    ("POST", "/tokenize", {"prompt": TEXT, "add_special_tokens": False}),
    ("POST", "/detokenize", {"tokens": [1, 2, 3]}),
    ("GET", "/v1/models", None), ("GET", "/v1/models/decoder", None), ("GET", "/languages", None),
    ("GET", "/api/tags", None), ("GET", "/metrics", None), ("GET", "/ready", None),
    ("GET", "/version", None), ("GET", "/openapi.json", None), ("GET", "/tokenizer_info", None),
    ("GET", "/v1/runs/decoder/metrics", None), ("GET", "/download_file/none", None),
    ("DELETE", "/v1/models/decoder", None), ("PUT", "/none/../..", None),
    ("OPTIONS", "/v1/x", None),
)  # fmt: skip


def serve(runs: dict[str, str], port: int, broken: Any) -> None:
    """Serve runs; while `broken` is 1 the next step of the decoder raises, while it is 2 each."""
    import logging

    import torch
    import uvicorn

    from triptych.inference.engine.engine import Engine
    from triptych.inference.engine.limits import EngineLimits
    from triptych.inference.engine.scheduler import Scheduler
    from triptych.inference.loading import load
    from triptych.runs.allocator import keep_few_programs, keep_freed_pages
    from triptych.serving.app import build_app
    from triptych.serving.guard import log
    from triptych.serving.served import Served

    log.setLevel(logging.CRITICAL)
    keep_freed_pages()
    keep_few_programs()
    engines = {name: Engine(load(run), EngineLimits(deadline=20)) for name, run in runs.items()}
    model: Any = engines["decoder"].predictor.model

    def raising(former: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            if broken.value:
                broken.value = 0 if broken.value == 1 else 2
                raise RuntimeError("a step that raises")
            return former(*given, **options)

        return call

    for name in ("step", "start"):
        setattr(model, name, raising(getattr(model, name)))
    Scheduler(list(engines.values()), torch.get_num_threads()).start()
    app: Any = build_app(Served(engines))
    uvicorn.run(app, port=port, log_level="critical", access_log=False)


class Server:
    """Know where the server is, and send it bytes."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid

    async def send(self, data: bytes, wait: float = 60.0) -> bytes:
        """Send bytes over a new connection, and return all that comes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            await writer.drain()
            return await asyncio.wait_for(reader.read(-1), wait)
        except (ConnectionError, TimeoutError):
            return b""
        finally:
            writer.close()

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Send a request and return status and body; 0: the connection was closed."""
        raw = b"" if body is None else json.dumps(body).encode()
        return parsed(await self.send(head(method, path, len(raw)) + raw))

    def memory(self) -> int:
        """Return the resident memory in kB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    async def open_requests(self) -> int:
        """Return how many requests wait or are being answered."""
        _, text = await self.ask("GET", "/metrics")
        values = [line.split() for line in text.decode().splitlines()]
        names = ("triptych_waiting{", "triptych_live{")
        return int(sum(float(v[1]) for v in values if v and v[0].startswith(names)))


def head(method: str, path: str, length: int | None, more: str = "") -> bytes:
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\n{size}{more}\r\n"
    ).encode()


def parsed(answer: bytes) -> tuple[int, bytes]:
    start, _, body = answer.partition(b"\r\n\r\n")
    words = start.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body


# What is done to it -------------------------------------------------------------------------------


def fuzzed(draw: random.Random) -> tuple[bytes, bool]:
    """Return a request that is somewhat wrong, and whether its body is shorter than it says."""
    method, path, body = draw.choice(PATHS)
    if body is None:
        return head(
            method, path + draw.choice(["", "?model=%00", "/../x", "?" + "a" * 500]), 0
        ), False
    body = dict(body)
    for _ in range(draw.randint(0, 3)):
        name = draw.choice([*body, "extra"])
        body[name] = draw.choice(ODD)
    raw = json.dumps(body).encode()
    kind = draw.random()
    if kind < 0.1:  # bytes that are not JSON
        place = draw.randrange(len(raw))
        raw = raw[:place] + bytes(draw.randrange(256) for _ in range(5)) + raw[place + 2 :]
    elif kind < 0.13:
        raw = b"[" * draw.choice([10, 5000]) + raw
    elif kind < 0.16:  # less than was announced, so that the connection breaks
        return head(method, path, len(raw)) + raw[: len(raw) // 2], True
    elif kind < 0.2:
        return bytes(draw.randrange(256) for _ in range(60)) + b"\r\n\r\n", False
    return head(method, path, len(raw)) + raw, False


async def many(count: int, at_once: int, one: Callable[[int], Awaitable[None]]) -> None:
    """Call `one` with 0 ... count - 1, some at once."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(work() for _ in range(at_once)))


async def fuzz(server: Server, count: int, seed: int) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    texts: Counter[str] = Counter()  # of 503
    examples: list[str] = []

    async def one(number: int) -> None:
        request, is_short = fuzzed(random.Random(f"{seed} {number}"))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(request)
            if is_short:
                writer.write_eof()  # what was announced and not sent will not come
            status, body = parsed(await asyncio.wait_for(reader.read(-1), 60))
        except (ConnectionError, TimeoutError):
            status, body = 0, b""
        finally:
            writer.close()
        statuses[status] += 1
        if status == 503:
            texts[body[-120:].decode("utf-8", "replace")] += 1
        if status >= 500 and (status != 503 or OURS in body):
            examples.append(f"{request[:200]!r} -> {body[:100]!r}")

    await many(count, 32, one)
    return {
        "requests": count,
        "statuses": dict(sorted(statuses.items())),
        "503": dict(texts),
        "wrong": examples[:5],
    }


async def cancel(server: Server, count: int) -> dict[str, Any]:
    raw = json.dumps({**PROBE, "max_tokens": 400, "min_tokens": 400, "stream": True}).encode()
    begun = 0

    async def one(number: int) -> None:
        nonlocal begun
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(head("POST", "/v1/completions", len(raw)) + raw)
            first = await asyncio.wait_for(reader.read(300), 60)
            begun += first.startswith(b"HTTP/1.1 200")
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.transport.abort() if number % 2 else writer.close()

    await many(count, 16, one)
    return {"streams": count, "begun": begun}


async def too_large(server: Server, count: int) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    part = b"a" * (1 << 20)

    async def one(number: int) -> None:
        chunked = number % 2 == 1
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        length = None if chunked else 40 << 20
        more = "Transfer-Encoding: chunked\r\n" if chunked else ""
        try:
            writer.write(head("POST", "/v1/completions", length, more))
            for _ in range(40 if chunked else 1):  # of the others the head says enough
                writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
                await asyncio.wait_for(writer.drain(), 30)
        except (ConnectionError, TimeoutError):
            pass
        try:
            statuses[parsed(await asyncio.wait_for(reader.read(-1), 30))[0]] += 1
        except (ConnectionError, TimeoutError):
            statuses[0] += 1
        finally:
            writer.transport.abort()

    await many(count, 4, one)
    return {"requests": count, "statuses": dict(statuses)}


async def slow(server: Server, count: int, seconds: float) -> dict[str, Any]:
    """Hold connections that send a byte a second, and streams that nobody reads."""
    raw = json.dumps({**PROBE, "max_tokens": 200, "stream": True}).encode()
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            whole = head("POST", "/v1/completions", len(raw)) + raw
            if number % 2:
                writer.write(whole)
                whole = b""
            while time.monotonic() < until:
                writer.write(whole[:1])
                whole = whole[1:]
                await asyncio.sleep(1)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    await many(count, count, one)
    return {"connections": count, "seconds": seconds}


async def warm_up(server: Server, given: argparse.Namespace) -> dict[str, Any]:
    """Do a little of everything, so that memory is what it will be."""
    await cancel(server, given.streams // 20)
    await too_large(server, 8)
    return await fuzz(server, given.fuzzed // 10, 0)


async def break_once(server: Server, broken: Any) -> dict[str, Any]:
    """Let one step raise: its requests get 503, the next ones an answer."""
    several = [server.ask("POST", "/v1/completions", {**PROBE, "prompt": str(n)}) for n in range(8)]
    broken.value = 1
    statuses = Counter(status for status, _ in await asyncio.gather(*several))
    health, _ = await server.ask("GET", "/health")
    other, _ = await server.ask("POST", "/v1/tasks/text-classification", {"inputs": TEXT})
    after, _ = await server.ask("POST", "/v1/completions", PROBE)
    return {"statuses": dict(statuses), "health": health, "other run": other, "after": after}


async def break_for_good(server: Server, broken: Any) -> dict[str, Any]:
    """Let every step raise: the run is dead, /health says so at once, other runs go on."""
    broken.value = 2
    began = time.monotonic()
    status, _ = await server.ask("POST", "/v1/completions", PROBE)
    health, body = await server.ask("GET", "/health")
    seconds = time.monotonic() - began
    other, _ = await server.ask("POST", "/v1/tasks/text-classification", {"inputs": TEXT})
    return {
        "request": status, "health": health, "seconds until it is bad": round(seconds, 3),
        "models": json.loads(body)["models"], "other run": other,
    }  # fmt: skip


class Probe:
    """Ask the same question twice a second."""

    def __init__(self, server: Server) -> None:
        self.server, self.seconds, self.wrong = server, list[float](), list[str]()
        self.ends = asyncio.Event()

    async def run(self, wanted: str) -> None:
        while not self.ends.is_set():
            began = time.monotonic()
            status, body = await self.server.ask("POST", "/v1/completions", PROBE)
            self.seconds.append(time.monotonic() - began)
            text = json.loads(body)["choices"][0]["text"] if status == 200 else str(status)
            if text != wanted:
                self.wrong.append(text[:80])
            await asyncio.sleep(0.5)


async def abuse(server: Server, broken: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Do everything in turn, each beside the probe; return what was seen."""
    _, body = await server.ask("POST", "/v1/completions", PROBE)
    wanted = json.loads(body)["choices"][0]["text"]
    phases: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
        "warm-up": lambda: warm_up(server, given),
        "fuzzed requests": lambda: fuzz(server, given.fuzzed, 1),
        "cancelled streams": lambda: cancel(server, given.streams),
        "bodies too large": lambda: too_large(server, 20),
        "slow clients": lambda: slow(server, 100, 20),
        "fuzzed requests, again": lambda: fuzz(server, given.fuzzed // 5, 2),
    }
    found: dict[str, Any] = {}
    for name, act in phases.items():
        before, probe = server.memory(), Probe(server)
        asking, began = asyncio.create_task(probe.run(wanted)), time.monotonic()
        line = await act()
        line["seconds"] = round(time.monotonic() - began)
        probe.ends.set()
        await asking
        until = time.monotonic() + 30
        while (still := await server.open_requests()) and time.monotonic() < until:
            await asyncio.sleep(0.2)
        line |= {
            "probe": {"asked": len(probe.seconds), "wrong": probe.wrong[:5],
                      "median_s": round(statistics.median(probe.seconds), 3),
                      "longest_s": round(max(probe.seconds), 3)},
            "requests left": still, "memory_mb": [before // 1024, server.memory() // 1024],
        }  # fmt: skip
        found[name] = line
        print(json.dumps({name: line}, ensure_ascii=False), flush=True)
    for name, last in (("a step that raises", break_once), ("a dead loop", break_for_good)):
        found[name] = await last(server, broken)
        print(json.dumps({name: found[name]}), flush=True)
    return found


def main(given: argparse.Namespace) -> None:
    runs = dict(one.split("=", 1) for one in given.runs)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    broken = context.Value("i", 0)
    process = context.Process(target=serve, args=(runs, port, broken), daemon=True)
    process.start()
    try:
        for _ in range(600):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if not process.is_alive():
                raise SystemExit("the server could not start")
            time.sleep(0.2)
        assert process.pid is not None
        found = asyncio.run(abuse(Server(port, process.pid), broken, given))
    finally:
        process.terminate()
        process.join(30)
    given.out.write_text(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", help="decoder=RUN translator=RUN classifier=RUN")
    parser.add_argument("--fuzzed", type=int, default=10_000)
    parser.add_argument("--streams", type=int, default=2_000)
    parser.add_argument("--out", type=Path, required=True)
    main(parser.parse_args())
