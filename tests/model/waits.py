"""Wait in tests, but never for ever."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS = 60.0


def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until a condition holds; fail after some seconds."""
    last = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < last, f"not after {seconds} seconds"
        time.sleep(0.01)


def joined(*threads: threading.Thread, seconds: float = SECONDS) -> None:
    """Wait until threads have ended; fail after some seconds."""
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), f"{thread.name} runs after {seconds} seconds"


@contextmanager
def killed_after(*processes: subprocess.Popen[str], seconds: float = 300.0) -> Iterator[None]:
    """Kill processes that run too long, so that nobody reads from them for ever, and at the end."""

    def kill() -> None:
        for process in processes:
            if process.poll() is None:
                process.kill()

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        kill()
        for process in processes:
            process.wait(30)
