"""Handle what can go wrong in a step: lack of memory, NaN, Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType, TracebackType
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..model.typed import named_modules

Handler = Callable[[int, FrameType | None], object] | int  # of a signal
STOPPING = (signal.SIGINT, signal.SIGTERM)
_NO_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether the step failed for lack of memory, on a CPU or on an accelerator."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _NO_MEMORY
    )


class Interrupt:
    """Hold Ctrl-C and SIGTERM while entered, so that neither breaks into an update.

    A signal that would end the program sets `asked`, and `deliver` ends it later. A second Ctrl-C
    ends it at once; a second SIGTERM does not (torchrun sends SIGTERM after a Ctrl-C, and
    schedulers repeat it before they kill). A handler that the program installed itself is called
    on exit. Signals that the program ignores stay ignored. Outside the main thread nothing is held.
    """

    def __init__(self) -> None:
        self.asked: int | None = None  # the signal that requests a stop
        self.stays = False  # True: signals are held until `restore`, between two entries too
        self.breaks_off = False  # True: the first signal raises where it arrives
        self._before: dict[int, Handler | None] = {}
        self._waiting: list[int] = []

    def __enter__(self) -> Interrupt:
        # Only the main thread can catch signals.
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                before = signal.getsignal(number)
                if before in (None, signal.SIG_IGN, self._hold):
                    continue
                if number == signal.SIGINT and self.asked:
                    continue
                self._before[number] = before
                signal.signal(number, self._hold)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.stays and not self._waiting:
            return
        self.restore()
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            signal.raise_signal(number)

    def restore(self) -> None:
        """Put back the handlers that were there before."""
        for number in list(self._before):
            self._restore(number)

    def deliver(self) -> NoReturn:
        """Raise KeyboardInterrupt, or for a held SIGTERM SystemExit(143)."""
        if self.asked == signal.SIGTERM:
            exit_on_sigterm(self.asked, None)
        raise KeyboardInterrupt

    def _hold(self, number: int, frame: FrameType | None) -> None:
        ending = (signal.SIG_DFL, signal.default_int_handler, exit_on_sigterm)
        if self._before[number] not in ending:
            self._waiting.append(number)
            return
        self.asked = self.asked or number
        if number == signal.SIGINT:
            self._restore(number)
        if self.breaks_off:
            self.breaks_off = False
            raise KeyboardInterrupt

    def _restore(self, number: int) -> None:
        before = self._before.pop(number, None)
        if (
            before is not None and signal.getsignal(number) == self._hold
        ):  # otherwise it was replaced
            signal.signal(number, before)


def exit_on_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    """Raise SystemExit with the exit code of a program that the signal ended."""
    raise SystemExit(128 + number)


@contextlib.contextmanager
def stoppable() -> Generator[None]:
    """Let SIGTERM raise SystemExit while entered, so that a training saves and closes.

    This is for command lines. SIGINT raises KeyboardInterrupt even in a background process of a
    script, where it is ignored by default: `kill -INT` stops and saves.
    """
    changed: dict[int, Handler] = {}
    wanted = {
        signal.SIGTERM: (signal.SIG_DFL, exit_on_sigterm),
        signal.SIGINT: (signal.SIG_IGN, signal.default_int_handler),
    }
    if threading.current_thread() is threading.main_thread():
        for number, (before, handler) in wanted.items():
            if signal.getsignal(number) == before:
                changed[number] = before
                signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in changed.items():
            signal.signal(number, before)


def is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


class FirstBadModule:
    """Record, while entered, the first module whose output holds a NaN or an infinity."""

    def __init__(self, **roots: nn.Module) -> None:
        self.name: str | None = None
        self._hooks: list[RemovableHandle] = [
            cast(Any, module).register_forward_hook(
                self._hook(f"{root}.{name}" if root == "head" else name)
            )
            for root, top in roots.items()
            for name, module in named_modules(top)
            if name
        ]

    def _hook(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def check(module: nn.Module, inputs: object, output: object) -> None:
            if (
                self.name is None
                and isinstance(output, Tensor)
                and output.is_floating_point()
                and not is_finite(output)
            ):
                self.name = name

        return check

    def __enter__(self) -> FirstBadModule:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
