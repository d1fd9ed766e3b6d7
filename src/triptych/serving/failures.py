"""Answer a request that one of our own bugs ended: once, in its dialect, and with one log entry."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ..errors import TriptychError
from .problems import Problem, problem_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

log = logging.getLogger("triptych.serving")


def stream_problem(error: Exception) -> Problem:
    """Return what the last event of a stream says of an error; one of our own bugs is logged."""
    if not isinstance(error, TriptychError):
        log.error("A stream failed", exc_info=error)
    return problem_of(error)


class Failures:
    """Wrap the routes of an ASGI application.

    A handler of `Exception` would be called by Starlette's outermost layer, which raises the error
    once more: the server then closes the connection and writes a second traceback.

    Args:
        app: The routes.
        answer: (scope, error) -> the ASGI application that answers.
    """

    def __init__(
        self, app: Application, answer: Callable[[MutableMapping[str, Any], Exception], Application]
    ) -> None:
        self.app, self.answer = app, answer

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = False

        async def sending(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            if not began:  # else the server closes the connection, so that the end is seen
                await self.answer(scope, error)(scope, receive, send)
