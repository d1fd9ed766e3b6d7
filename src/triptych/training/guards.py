"""What can go wrong in a step, and what is said of it: no memory, not a number, Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor, nn

_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the step failed for lack of memory, on a CPU or on an accelerator."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


class Interrupt:
    """While entered, the first Ctrl-C only asks to stop, the second one stops at once. SIGTERM asks, too.

    (torchrun sends SIGTERM after a Ctrl-C, and so do schedulers before they kill: that is no second Ctrl-C.)
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():  # elsewhere signals cannot be caught
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number in list(self._before):
            self._restore(number)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if number == signal.SIGINT:
            self._restore(number)

    def _restore(self, number: int) -> None:
        if number in self._before:
            signal.signal(number, self._before.pop(number))


def is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


class FirstBadModule:
    """While entered, remembers the first module whose output holds a NaN or an infinity."""

    def __init__(self, **roots: nn.Module) -> None:
        self.name: str | None = None
        self._hooks = [
            module.register_forward_hook(self._hook(f"{root}.{name}" if root == "head" else name))
            for root, top in roots.items()
            for name, module in top.named_modules()
            if name
        ]

    def _hook(self, name: str):
        def look(module: nn.Module, inputs: object, output: object) -> None:
            if self.name is None and isinstance(output, Tensor) and output.is_floating_point() and not is_finite(output):
                self.name = name

        return look

    def __enter__(self) -> FirstBadModule:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
