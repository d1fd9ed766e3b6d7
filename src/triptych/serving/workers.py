"""Keep several processes at work that were forked from this one, and end them together.

They accept from one listening socket, and share the pages of everything that was loaded before
(docs/decisions/037-worker-processes.md).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from .failures import log

POLL_SECONDS = 0.05
SHORT_SECONDS, LONGEST_PAUSE = 2.0, 30.0  # a worker that ends so soon is started after a pause
GRACE_SECONDS = 2.0  # beyond the seconds of draining, before a worker is killed


class Workers:
    """Start workers, start them again when they die, and pass on the signal to end.

    Args:
        count: How many.
        work: (number, file descriptor) -> None, in a worker, until SIGTERM; the descriptor can be
            read once this process is gone.
        on_death: Called here with the number of a worker that has ended.
        seconds: That a worker has to end in.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[int, int], None],
        on_death: Callable[[int], object],
        seconds: float,
    ) -> None:
        self.work, self.on_death, self.seconds = work, on_death, seconds
        self.running: dict[int, tuple[int, float]] = {}  # number -> process, when it was started
        self.due = dict.fromkeys(range(count), 0.0)  # number -> when it is started
        self.pauses = dict.fromkeys(range(count), 0.0)
        self._signal: int | None = None
        self._leash = os.pipe()

    def run(self, on_end: Callable[[], object] = lambda: None) -> None:
        """Work until SIGINT or SIGTERM; on_end is called before the workers are told to end."""
        ending = (signal.SIGINT, signal.SIGTERM)
        former = {one: signal.signal(one, self._note) for one in ending}
        gc.collect()
        gc.freeze()  # else a collection in a worker would write to, and so copy, every page
        try:
            while self._signal is None:
                self._start_due()
                self._reap()
                time.sleep(POLL_SECONDS)
            on_end()
            self._end()
        finally:
            self._send(signal.SIGKILL)
            for one in self._leash:
                os.close(one)
            for one, handler in former.items():
                signal.signal(one, handler)
            gc.unfreeze()

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._signal is not None:  # a second one: at once
            self._send(signal.SIGINT)
        self._signal = number

    def _start_due(self) -> None:
        now = time.monotonic()
        for number, when in list(self.due.items()):
            if when <= now:
                del self.due[number]
                self.running[number] = self._fork(number), now

    def _fork(self, number: int) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process:
            return process
        code = 1
        try:
            for one in (signal.SIGINT, signal.SIGTERM):
                signal.signal(one, signal.SIG_DFL)
            os.close(self._leash[1])
            self.work(number, self._leash[0])
            code = 0
        except BaseException as error:
            log.error("Worker %d failed", number + 1, exc_info=error)
        finally:
            sys.stderr.flush()
            os._exit(code)  # nothing of the first process is cleaned up here

    def _reap(self) -> None:
        """Note which workers have ended, and when they are started again."""
        for number, (process, began) in list(self.running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:
                continue
            del self.running[number]
            self.on_death(number)
            if self._signal is not None:
                continue
            now = time.monotonic()
            soon = now - began < SHORT_SECONDS
            pause = min(LONGEST_PAUSE, 2 * self.pauses[number] or 0.5) if soon else 0.0
            self.pauses[number], self.due[number] = pause, now + pause
            code = os.waitstatus_to_exitcode(status)
            how = f"by signal {-code}" if code < 0 else f"with status {code}"
            log.error(
                "Worker %d (process %d) ended %s; it is started again.", number + 1, process, how
            )

    def _end(self) -> None:
        """Tell the workers to end, and wait for them; one that does not end is killed."""
        self._send(signal.SIGTERM)
        last = time.monotonic() + self.seconds + GRACE_SECONDS
        while self.running and time.monotonic() < last:
            self._reap()
            time.sleep(POLL_SECONDS)
        self._send(signal.SIGKILL)
        for process, _ in self.running.values():
            os.waitpid(process, 0)
        self.running = {}

    def _send(self, number: int) -> None:
        for process, _ in self.running.values():
            os.kill(process, number)
