"""Run engines in one thread, which owns their models, turn by turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import torch

from .engine import Engine
from .tickets import Stopped

IDLE_SECONDS = 0.5  # how often deadlines are looked at where nothing is computed


class Scheduler:
    """Give each engine its turn, one after the other, so that they share all threads of torch.

    Args:
        engines: One for each run.
        threads: How many threads of torch a step computes with; None: as many as this thread.
    """

    def __init__(self, engines: Sequence[Engine], threads: int | None = None) -> None:
        self.engines = engines
        self.beat = time.monotonic()  # when the last round of turns ended
        self._threads = threads or torch.get_num_threads()
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._is_ending = False
        for engine in engines:
            engine.wake = self._asked.set

    def start(self) -> Scheduler:
        """Begin to work."""
        self._thread.start()
        return self

    @property
    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def refuse(self) -> None:
        """Take no more requests."""
        for engine in self.engines:
            engine.is_closing = True

    def stop(self) -> None:
        """End the thread after its round of turns, and every request with it; do not wait."""
        self.refuse()
        self._is_ending = True
        self._asked.set()

    def close(self, drain_seconds: float = 0.0, join_seconds: float = 60.0) -> None:
        """Stop: take no more requests, finish those that are there for a while, then end them.

        Args:
            drain_seconds: That requests are given to end by themselves.
            join_seconds: That the step which is being computed is given.
        """
        self.refuse()
        last = time.monotonic() + drain_seconds
        while self.is_alive and time.monotonic() < last and any(map(_has_work, self.engines)):
            time.sleep(0.01)
        self.stop()
        if self._thread.ident is None:  # it was never started
            self._end()
        else:
            self._thread.join(join_seconds)

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        try:
            while not self._is_ending:
                self._asked.clear()
                worked = [_turned(engine) for engine in self.engines]
                self.beat = time.monotonic()
                if not any(worked):
                    self._asked.wait(IDLE_SECONDS)
        finally:
            self._end()

    def _end(self) -> None:
        for engine in self.engines:
            engine.end(Stopped("The server is shutting down."))


def _turned(engine: Engine) -> bool:
    """Let an engine compute; one that raises is dead, and the others go on."""
    if engine.death is not None:
        return False
    try:
        return engine.turn()
    except BaseException as error:
        engine.die(error)
        return False


def _has_work(engine: Engine) -> bool:
    return engine.death is None and engine.counters.open > 0
