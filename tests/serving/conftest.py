"""Runs of toy size behind the HTTP application, in this process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

sys.path.insert(0, str(Path(__file__).parent.parent / "inference"))

import uvicorn
from starlette.testclient import TestClient
from toy_runs import classifier, translator, writer
from waits import until

from triptych.inference.engine.engine import Engine
from triptych.inference.engine.limits import EngineLimits
from triptych.inference.engine.scheduler import Scheduler
from triptych.serving.app import build_app
from triptych.serving.security import Security
from triptych.serving.served import Served

LIMITS = EngineLimits(deadline=60)


@pytest.fixture(scope="session")
def engines() -> Iterator[dict[str, Engine]]:
    found = {
        "lm": Engine(writer(), LIMITS),
        "chat": Engine(writer("chat"), LIMITS),
        "translator": Engine(translator(), LIMITS),
        "classifier": Engine(classifier(), LIMITS),
    }
    scheduler = Scheduler(list(found.values()), threads=1).start()
    yield found
    scheduler.close()


@pytest.fixture(scope="session")
def served(engines: dict[str, Engine]) -> Served:
    return Served(engines)


@pytest.fixture(scope="module")
def client(engines: dict[str, Engine]) -> Iterator[TestClient]:
    """An application of the file's own: to build its routes takes longer than most requests."""
    app: Any = build_app(Served(engines))
    with TestClient(app, base_url="http://localhost") as found:
        yield found


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """Serve an application on loopback; the value is its address."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="on")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    until(lambda: running.started or not thread.is_alive())
    assert thread.is_alive(), "the server could not start"
    try:
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join(30)
        running.force_exit = thread.is_alive()


@pytest.fixture(scope="session")
def listen() -> Callable[[Any], AbstractContextManager[str]]:
    """What serves an application on loopback."""
    return listening


@pytest.fixture(scope="session")
def server(engines: dict[str, Engine]) -> Iterator[str]:
    """A server on loopback that asks for a key, and its address."""
    with listening(build_app(Served(engines), Security(api_key="secret"))) as address:
        yield address


@pytest.fixture(scope="session")
def open_server(engines: dict[str, Engine]) -> Iterator[str]:
    """A server on loopback without a key, and its address."""
    with listening(build_app(Served(engines))) as address:
        yield address


@pytest.fixture(scope="session")
def runs(served: Served) -> SimpleNamespace:
    """The predictors, which answer alone what the server must answer."""
    return SimpleNamespace(**{name: run.predictor for name, run in served.runs.items()})
