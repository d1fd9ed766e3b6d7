"""Start a server of a run in a process of its own, for benchmarks of serving."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def serve(run: str, kind: str, port: int, threads: int) -> None:
    """Serve a run until the process is ended."""
    import torch
    import uvicorn

    from triptych.decoding.writing import decode
    from triptych.inference.engine.engine import Engine
    from triptych.inference.engine.limits import EngineLimits
    from triptych.inference.engine.scheduler import Scheduler
    from triptych.inference.engine.tickets import Done, Piece, Ticket
    from triptych.inference.loading import load
    from triptych.runs.allocator import keep_few_programs, keep_freed_pages
    from triptych.serving.app import build_app
    from triptych.serving.served import Served

    class Naive(Engine):
        """Decode one request after the other, each alone."""

        lock = threading.Lock()
        pool = ThreadPoolExecutor(128)

        def submit(self, job: Any, **options: Any) -> Ticket:
            ticket = Ticket(options.get("listener"), wants_pieces=options.get("pieces", False))

            def answer() -> None:
                with self.lock:
                    torch.set_num_threads(threads)
                    found = decode(self.predictor.model, [job], self.predictor.tokenizers.target)
                if ticket.wants_pieces:
                    ticket.send(Piece(found[0][0].text))
                ticket.send(Done(found[0]))

            self.pool.submit(answer)
            return ticket

    torch.set_num_threads(threads)
    keep_freed_pages()
    keep_few_programs()
    predictor = load(run)
    engine = (Engine if kind == "engine" else Naive)(predictor, EngineLimits(queue=1000))
    if kind == "engine":
        Scheduler([engine], threads).start()
    app = build_app(Served({"run": engine}))
    uvicorn.run(app, port=port, log_level="error", access_log=False)


def percentile(values: Sequence[float], share: int) -> float:
    """Return the value below which `share` percent of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)] if ordered else float("nan")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: Any) -> None:
    while process.is_alive():
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server could not start")
