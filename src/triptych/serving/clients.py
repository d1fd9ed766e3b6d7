"""Know which requests to the engines belong to the client of an HTTP request.

`app.py` opens a `Client` around each HTTP request, and leaves it when the connection is closed:
what is still being computed for it is then taken back.
"""

from __future__ import annotations

from contextvars import ContextVar

from ..inference.engine.tickets import Ticket


class Client:
    """Hold the tickets of one HTTP request."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.has_left = False

    def leave(self) -> None:
        """Take everything back that is not over."""
        self.has_left = True
        for ticket in self.tickets:
            ticket.cancel()


current: ContextVar[Client | None] = ContextVar("client", default=None)


def register(ticket: Ticket) -> None:
    """Let a ticket belong to the client whose request is being answered, if there is one."""
    client = current.get()
    if client is None:
        return
    client.tickets = [one for one in client.tickets if not one.is_over]
    client.tickets.append(ticket)
    if client.has_left:
        ticket.cancel()
