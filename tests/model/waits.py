"""Wait in tests, but never for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

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
