"""Listen on an address and serve engines until the process is told to end."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import numpy as np
import torch
import uvicorn

from ..errors import UsageError
from ..inference.engine.engine import Engine
from ..inference.engine.scheduler import Scheduler
from ..inference.engine.tickets import Stopped
from .app import build_app
from .documents import Documents
from .failures import log
from .files import SharedFiles
from .guard import Guard
from .security import Security
from .served import Served
from .tallies import Tallies
from .workers import Workers

IDLE_SECONDS = 30  # after which a connection without a request is closed
ENDING = (signal.SIGINT, signal.SIGTERM)
BACKLOG = 2048  # connections that may wait to be accepted


class Listening:
    """Hold an address that is listened on; nothing is answered before `serve`."""

    def __init__(self, host: str, port: int) -> None:
        """Take the address. Raises UsageError where it is not free."""
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(kind, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind((host, port))
            self.socket.listen(BACKLOG)
        except OSError as error:
            self.socket.close()
            raise UsageError(
                "{host}:{port} cannot be listened on: {reason}. Give another --port.",
                host=host,
                port=port,
                reason=error.strerror or str(error),
            ) from None
        self.host, self.port = host, int(self.socket.getsockname()[1])

    @property
    def address(self) -> str:
        """Return the address as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def serve(
        self,
        engines: Mapping[str, Engine],
        security: Security,
        log_json: bool = False,
        log_texts: bool = False,
        drain_seconds: float = 20.0,
        workers: int = 1,
        documents: Documents | None = None,
    ) -> None:
        """Serve until SIGINT or SIGTERM, then let answers in progress end for a while.

        Args:
            engines: Of the runs, by name.
            security: Who may ask.
            log_json: Log lines of JSON.
            log_texts: Log the beginning of what clients send.
            drain_seconds: That answers in progress have to end in.
            workers: Processes that answer; more than one are forked from this one.
            documents: That questions are answered from.
        """
        set_logging(log_json)
        answer = partial(self._answer, engines, security, log_texts, Drain(drain_seconds))
        if workers == 1:
            answer(Served(engines, documents=documents))
            return
        several = list(engines.values())
        tallies, threads = Tallies(workers, several), torch.get_num_threads()
        with tempfile.TemporaryDirectory() as folder:
            files = SharedFiles(Path(folder))

            def work(number: int, leash: int) -> None:
                torch.set_num_threads(max(1, threads // workers))

                def sums() -> np.ndarray:
                    tallies.publish(number, several)
                    return tallies.sums()

                answer(Served(engines, files, sums, documents), leash=leash, beat=sums)

            Workers(workers, work, tallies.retire, drain_seconds).run(on_end=self.socket.close)

    def _answer(
        self,
        engines: Mapping[str, Engine],
        security: Security,
        log_texts: bool,
        drain: Drain,
        served: Served,
        leash: int | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        """Answer in this process. `Server` describes leash and beat."""
        scheduler = Scheduler(list(engines.values())).start()
        app = build_app(served, security, log_texts=log_texts)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            lifespan="on",
            # How many connections are taken at once: of workers none takes those of the others.
            backlog=BACKLOG if leash is None else 1,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=drain.cancel,  # pyright: ignore[reportArgumentType]
        )
        try:
            Server(config, scheduler, app, drain, leash, beat).run(sockets=[self.socket])
        finally:
            scheduler.close(join_seconds=drain.join)
            self.socket.close()


class Drain:
    """Divide the seconds that answers in progress are given when the server ends.

    Args:
        seconds: In which the process ends.

    After `end` seconds each answer ends with an error, of a stream its last event; after `cancel`
    those are dropped whose clients do not read; then the thread of the engines gets `join`.
    """

    def __init__(self, seconds: float) -> None:
        self.end, self.cancel, self.join = 0.85 * seconds, 0.93 * seconds, 0.05 * seconds


class Server(uvicorn.Server):
    """Take no more requests from the first signal on, and end without passing it on.

    Args:
        config: Of uvicorn.
        scheduler: Of the engines.
        guard: The application.
        drain: How long answers in progress may take.
        leash: A file descriptor that can be read once the first process is gone; then this one
            ends too.
        beat: Called ten times a second.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        scheduler: Scheduler,
        guard: Guard,
        drain: Drain,
        leash: int | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._scheduler, self._guard, self._drain = scheduler, guard, drain
        self._leash, self._beat = leash, beat

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)  # asyncio has set it to what is taken at once
        if self._leash is not None:
            loop, leash = asyncio.get_running_loop(), self._leash

            def gone() -> None:
                loop.remove_reader(leash)
                self.handle_exit(signal.SIGTERM, None)

            loop.add_reader(leash, gone)

    async def on_tick(self, counter: int) -> bool:
        """Look ten times a second whether to end."""
        self._beat()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers in progress end, and end those that take too long."""
        ending = asyncio.create_task(self._end_later())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _end_later(self) -> None:
        await asyncio.sleep(self._drain.end)
        self._guard.end(Stopped("The server is shutting down."))
        self._scheduler.stop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals that end a program while the server runs in its main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {one: signal.signal(one, self.handle_exit) for one in ENDING}
        try:
            yield
        finally:
            for one, handler in former.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal ends at once."""
        self._scheduler.refuse()
        super().handle_exit(sig, frame)


def set_logging(as_json: bool) -> None:
    """Log one line for each request on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(message)s"))
    libraries = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for one in (log, *libraries):
        one.handlers[:] = [handler]
        one.setLevel(logging.INFO if one is log else logging.ERROR)
        one.propagate = False


class JsonLines(logging.Formatter):
    """Write a record as one line of JSON, with its time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        values: dict[str, object] = {"time": now, "level": record.levelname.lower()}
        own = getattr(record, "values", None)
        values |= own if isinstance(own, dict) else {"message": record.getMessage()}
        if record.exc_info:
            values["error"] = self.formatException(record.exc_info)
        return json.dumps(values, ensure_ascii=False)
