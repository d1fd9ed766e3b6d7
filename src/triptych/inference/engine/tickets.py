"""Define what a client gets for a request, and how a request can fail. Imports no torch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...errors import TriptychError


class EngineError(TriptychError):
    """Report why a request got no answer, although it could be read."""


class Busy(EngineError):
    """Report that the queue is full. retry_after: seconds after which there may be room."""

    retry_after = 1


class Late(EngineError):
    """Report that the deadline of a request has passed."""


class Stopped(EngineError):
    """Report that the engine takes no requests any more, or has failed."""


class Cancelled(EngineError):
    """Report that the client took back its request."""


class Failed(EngineError):
    """Report that a step of the model raised an error, which is the cause of this one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold a piece of an answer: whole characters, after those of the pieces before."""

    text: str
    tokens: tuple[int, ...] = ()  # that became certain since the piece before

    def then(self, other: Piece) -> Piece:
        """Return this piece and the next one as one."""
        return Piece(self.text + other.text, self.tokens + other.tokens)


@dataclass(frozen=True, slots=True)
class Done:
    """Hold the result of a request."""

    result: Any


@dataclass(frozen=True, slots=True)
class Lost:
    """Hold the error of a request."""

    error: BaseException


Event = Piece | Done | Lost
Listener = Callable[[Event], object]  # is called by the engine's thread and must not block


@dataclass(slots=True, eq=False)
class Ticket:
    """Follow one request.

    Args:
        listener: Receives the events of the request; None for a caller that waits.
        deadline: When the request is given up, by `time.monotonic`.
        wants_pieces: The answer is sent while it is written.
        submitted: When it was submitted.
        sent: How many tokens its pieces brought.
        began: When its first piece or token was written; 0: not yet.
    """

    listener: Listener | None = None
    deadline: float = float("inf")
    wants_pieces: bool = False
    submitted: float = field(default_factory=time.monotonic)
    began: float = 0.0
    sent: int = 0
    is_cancelled: bool = False
    is_over: bool = False
    event: Event | None = None  # the last one
    _over: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Take the request back; at most one more step is computed for it."""
        self.is_cancelled = True

    def refusal(self, now: float) -> EngineError | None:
        """Return why the request must not go on, if it must not."""
        if self.is_cancelled:
            return Cancelled("The request was taken back.")
        if now > self.deadline:
            return Late(
                "The request took longer than {seconds:.0f} seconds. Ask for less, or try again "
                "later.",
                seconds=self.deadline - self.submitted,
            )
        return None

    def send(self, event: Event) -> None:
        """Hand an event to the client; after the last one nothing more is sent."""
        if self.is_over:
            return
        if not isinstance(event, Piece):
            self.is_over, self.event = True, event
        if self.listener is not None:
            self.listener(event)
        if self.is_over:
            self._over.set()

    def wait(self, timeout: float | None = None) -> Any:
        """Return the result, in another thread than the engine's.

        Raises:
            EngineError: The request was lost.
            TimeoutError: It is not over after `timeout` seconds.
        """
        if not self._over.wait(timeout):
            raise TimeoutError("the request is not over")
        if isinstance(self.event, Lost):
            raise self.event.error
        assert isinstance(self.event, Done), "a ticket ends with a result or an error"
        return self.event.result
