"""Read the body of a request within its limits, before anything is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np

from .limits import BODY_BYTES, MOST_CONTAINERS, MOST_VALUES
from .problems import ApiError
from .security import header

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
PART = 1 << 20  # bytes that are looked at together
SMALL = 1 << 16  # bytes that are looked at without another thread
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class Gone(Exception):
    """Report that the client left before its request had arrived."""


async def read(scope: MutableMapping[str, Any], receive: Receive) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: It is too large (413), or it is JSON of too many values.
        Gone: The client has left.
    """
    headers = dict(scope["headers"])
    length = header(headers, "content-length")
    too_large = ApiError("The request is larger than {most:,} bytes.", most=BODY_BYTES).at(413)
    if length is not None and length.isdigit() and int(length) > BODY_BYTES:
        raise too_large
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES:
            raise too_large
        parts.append(part)
        if not message.get("more_body", False):
            break
    body = b"".join(parts)
    if not (header(headers, "content-type") or "").strip().lower().startswith(FORMS):
        if len(body) < SMALL:
            refuse_values(body)
        else:
            await asyncio.to_thread(refuse_values, body)
    return body


def refuse_values(body: bytes) -> None:
    """Raise ApiError, 413, for JSON of more values than are taken.

    Parsing them would hold up every other request: a megabyte of "[],[],..." is a million objects.
    """
    if body.count(b",") <= MOST_VALUES and body.count(b"[") + body.count(b"{") <= MOST_CONTAINERS:
        return
    # What stands in strings does not count; an escaped quotation mark ends none.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    values = containers = within = 0
    for start in range(0, len(plain), PART):
        codes = np.frombuffer(plain[start : start + PART], dtype=np.uint8)
        inside = (np.cumsum(codes == ord('"')) + within) % 2
        within = int(inside[-1])
        outside = codes[inside == 0]
        values += int(np.count_nonzero(outside == ord(",")))
        containers += int(np.count_nonzero((outside == ord("[")) | (outside == ord("{"))))
        if values > MOST_VALUES or containers > MOST_CONTAINERS:
            raise ApiError(
                "The request has more than {values:,} values, or {containers:,} lists and objects.",
                values=MOST_VALUES,
                containers=MOST_CONTAINERS,
            ).at(413)
