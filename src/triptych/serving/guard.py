"""Stand before the routes: check who asks, read the body within its limits, notice who leaves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from . import bodies, clients
from .failures import Application, Message, Receive, Send, log
from .limits import BODY_SECONDS
from .problems import ApiError, ErrorBody, Problem, problem_of
from .security import HEADERS, Security, header


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
        self.clients: set[clients.Client] = set()  # whose requests are being answered

    def end(self, why: Exception) -> None:
        """End every request with an error: of a stream, its last event."""
        for client in self.clients:
            client.lose(why)

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
            body = await asyncio.wait_for(bodies.read(scope, receive), BODY_SECONDS)
            # What answers GET answers HEAD; the server below sends no body for it.
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            await self._pass({**scope, "method": method}, body, receive, sending)
        except bodies.Gone:
            status = 499
        except asyncio.CancelledError:  # the server's last seconds are over
            status = status or 503
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
        self.clients.add(client)
        try:
            await self.inner(scope, given, send)
        finally:
            clients.current.reset(token)
            watcher.cancel()
            self.clients.discard(client)
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


async def _answer(send: Send, problem: Problem, body_of: ErrorBody | None = None) -> None:
    """Send a whole answer."""
    body = b"" if body_of is None else json.dumps(body_of(problem), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
