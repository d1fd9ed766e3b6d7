"""Know which requests to the engines belong to the client of an HTTP request.

`guard.py` opens a `Client` around each HTTP request, and leaves it when the connection is closed:
what is still being computed for it is then taken back. One HTTP request may have many parts (the
lines of a text, a list of prompts). Once its first part was taken, the others wait for room in the
queue instead of being refused, a bounded number of them at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from ..inference.engine.engine import Engine
from ..inference.engine.tickets import Cancelled, Late, Lost, Ticket
from .limits import PARTS_AT_ONCE

POLL_SECONDS = 0.01  # after which the queue is looked at again


class Client:
    """Hold the tickets of one HTTP request, and the queues in which it waits for events."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.waits: set[asyncio.Queue[Any]] = set()
        self.has_left = False
        self.is_admitted = False  # a part of it was taken
        self.lost: BaseException | None = None  # why nothing more is answered
        self.parts = asyncio.Semaphore(PARTS_AT_ONCE)
        self._turn = asyncio.Lock()

    def leave(self) -> None:
        """Take everything back that is not over."""
        self.has_left = True
        for ticket in self.tickets:
            ticket.cancel()

    def lose(self, why: BaseException) -> None:
        """End the request with an error, without waiting for the engine."""
        self.lost = why
        for ticket in self.tickets:
            ticket.cancel()
        for queue in self.waits:
            queue.put_nowait((0, Lost(why)))

    def register(self, ticket: Ticket) -> None:
        """Let a ticket belong to this client."""
        self.is_admitted = True
        self.tickets = [one for one in self.tickets if not one.is_over]
        self.tickets.append(ticket)
        if self.has_left:
            ticket.cancel()

    def refuse(self) -> None:
        """Raise why nothing more is answered, if that is so."""
        if self.lost is not None:
            raise self.lost
        if self.has_left:
            raise Cancelled("The request was taken back.")

    async def admit(self, engine: Engine) -> None:
        """Wait until the queue has room for a further part; a first part does not wait.

        Raises Late after the deadline.
        """
        waited = 0.0
        async with self._turn:
            while self.is_admitted and not engine.has_room:
                self.refuse()
                if waited > engine.limits.deadline:
                    raise Late(
                        "The request took longer than {seconds:.0f} seconds. Ask for less, or "
                        "try again later.",
                        seconds=engine.limits.deadline,
                    )
                await asyncio.sleep(POLL_SECONDS)
                waited += POLL_SECONDS
        self.refuse()


current: ContextVar[Client | None] = ContextVar("client", default=None)


def client() -> Client:
    """Return the client whose request is being answered; outside of one a new client."""
    return current.get() or Client()


@asynccontextmanager
async def part() -> AsyncIterator[None]:
    """Wait for the turn of a part of the request: no more than PARTS_AT_ONCE are in work."""
    own = client()
    async with own.parts:
        own.refuse()
        yield
