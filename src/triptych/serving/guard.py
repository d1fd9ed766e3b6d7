"""Stand before the routes: check who asks, read the body within its limits, notice who leaves."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from . import clients
from .limits import BODY_BYTES, BODY_SECONDS
from .problems import ApiError, ErrorBody, Problem, problem_of
from .security import HEADERS, Security, header

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

log = logging.getLogger("triptych.serving")


class Guard:
    """Wrap an ASGI application.

    Args:
        inner: The routes.
        security: Who may ask.
        body_of: The error body of the dialect that a path belongs to.
        texts: Log the beginning of what is sent.
    """

    def __init__(
        self,
        inner: Application,
        security: Security,
        body_of: Callable[[str], ErrorBody],
        texts: bool = False,
    ) -> None:
        self.inner, self.security, self.body_of, self.texts = inner, security, body_of, texts

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one connection's request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.inner(scope, receive, send)
            return
        began, status = time.monotonic(), 0
        extra: dict[str, str] = dict(HEADERS)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message.get("headers", ())}
                added = [
                    (name.lower().encode(), value.encode())
                    for name, value in extra.items()
                    if name.lower().encode() not in present
                ]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        body = b""
        try:
            preflight = self._check(scope, extra)
            if preflight is not None:
                await _answer(sending, preflight)
                return
            body = await asyncio.wait_for(_read(scope, receive), BODY_SECONDS)
            await self._pass(scope, body, receive, sending)
        except _Gone:
            status = 499
        except TimeoutError:
            late = Problem(408, "The request did not arrive within a minute.")
            await _answer(sending, late, self.body_of(scope["path"]))
        except ApiError as error:
            await _answer(sending, problem_of(error), self.body_of(scope["path"]))
        finally:
            self._log(scope, status, time.monotonic() - began, body)

    def _check(self, scope: MutableMapping[str, Any], extra: dict[str, str]) -> Problem | None:
        """Raise ApiError for a request that is not allowed; return the answer to a preflight."""
        headers, security = dict(scope["headers"]), self.security
        host = header(headers, "host") or ""
        security.check_host(host)
        origin = header(headers, "origin")
        if security.check_origin(origin, host):
            assert origin is not None, "a page elsewhere names its origin"
            extra |= security.cors_headers(origin)
            if scope["method"] == "OPTIONS":
                return Problem(204, "")
        security.check_key(scope["path"], header(headers, "authorization"))
        return None

    async def _pass(
        self, scope: MutableMapping[str, Any], body: bytes, receive: Receive, send: Send
    ) -> None:
        """Let the routes answer, and take everything back if the client leaves meanwhile."""
        client, gone, is_read = clients.Client(), asyncio.Event(), False

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            client.leave()
            gone.set()

        async def given() -> Message:
            nonlocal is_read
            if not is_read:
                is_read = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        token, watcher = clients.current.set(client), asyncio.create_task(watch())
        try:
            await self.inner(scope, given, send)
        finally:
            clients.current.reset(token)
            watcher.cancel()
            client.leave()

    def _log(
        self, scope: MutableMapping[str, Any], status: int, seconds: float, body: bytes
    ) -> None:
        values: dict[str, Any] = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 4),
            "bytes": len(body),
        }
        if self.texts:
            values["body"] = body[:2000].decode("utf-8", "replace")
        log.info("%(method)s %(path)s %(status)s %(seconds)ss", values, extra={"values": values})


class _Gone(Exception):
    """Report that the client left before its request had arrived."""


async def _read(scope: MutableMapping[str, Any], receive: Receive) -> bytes:
    """Return the body of a request. Raises ApiError, 413, for one that is too large."""
    length = header(dict(scope["headers"]), "content-length")
    too_large = ApiError("The request is larger than {most:,} bytes.", most=BODY_BYTES).at(413)
    if length is not None and length.isdigit() and int(length) > BODY_BYTES:
        raise too_large
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES:
            raise too_large
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(send: Send, problem: Problem, body_of: ErrorBody | None = None) -> None:
    """Send a whole answer."""
    body = b"" if body_of is None else json.dumps(body_of(problem), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
