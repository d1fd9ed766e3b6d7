"""Decide who may ask: the host that is named, the page that asks, the key that is given."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import UsageError
from .problems import ApiError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Without a key: what a load balancer asks, and the page's own files.
OPEN_PATHS = ("/health", "/ready", "/", "/favicon.ico")
OPEN_FOLDER = "/static/"
METRICS = "/metrics"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, kw_only=True)
class Security:
    """Hold what is allowed.

    Args:
        host: The address that the server listens on.
        api_key: The bearer key of every path that is not open; None: no key is needed.
        metrics_key: A key for the metrics alone.
        allow_hosts: Names beside loopback by which the server may be called.
        allow_origins: Origins of pages elsewhere that may ask, like "https://example.org".
        no_key: Clients elsewhere may ask without a key.
    """

    host: str = "127.0.0.1"
    api_key: str | None = None
    metrics_key: str | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    no_key: bool = False

    def __post_init__(self) -> None:
        for name, key in (("--api-key", self.api_key), ("--metrics-key", self.metrics_key)):
            if key is not None and not (key.strip() and key.isascii() and key.isprintable()):
                raise UsageError(
                    "{name} is empty, or has characters that a header cannot hold.", name=name
                )
        for origin in self.allow_origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise UsageError(
                    "--allow-origin {origin} is not an origin; write it like "
                    "https://example.org, without a path.",
                    origin=origin,
                )
        if not (is_loopback(self.host) or self.api_key or self.no_key):
            raise UsageError(
                "On {host} other machines could use the server. Give --api-key KEY, or --no-key "
                "if everyone may use it.",
                host=self.host,
            )

    def check_host(self, given: str) -> None:
        """Raise ApiError unless a Host header names this server.

        A page elsewhere could otherwise reach it under a name of its own (DNS rebinding).
        """
        name = host_of(given)
        names = (*LOOPBACK, *(one.lower() for one in self.allow_hosts))
        if name in names or name == self.host.lower():
            return
        raise ApiError(
            "This server does not answer to the name '{name}'. Who runs it can allow the name.",
            name=name[:100],
        ).at(403)

    def check_origin(self, origin: str | None, host: str) -> bool:
        """Return whether a page elsewhere asks and may; raise ApiError if it may not."""
        if origin is None:
            return False
        if origin in self.allow_origins:
            return True
        if origin.partition("://")[2].lower() == host.lower():
            return False
        raise ApiError(
            "A page of {origin} may not use this server. Who runs it can allow the origin.",
            origin=origin[:100],
        ).at(403)

    def check_key(self, path: str, authorization: str | None) -> None:
        """Raise ApiError unless the path is open or the bearer key is right."""
        is_open = path in OPEN_PATHS or path.startswith(OPEN_FOLDER)
        if is_open or (self.api_key is None and not (path == METRICS and self.metrics_key)):
            return
        scheme, _, given = (authorization or "").partition(" ")
        keys = [self.api_key, self.metrics_key if path == METRICS else None]
        right = [_same(given.strip(), key) for key in keys if key is not None]
        if scheme.lower() == "bearer" and any(right):
            return
        raise ApiError(
            "The key is missing or wrong. Send it as a header: Authorization: Bearer KEY."
        ).at(401)

    def cors_headers(self, origin: str) -> dict[str, str]:
        """Return the headers that let a page of an allowed origin read the answer."""
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Origin",
        }


def _same(given: str, key: str) -> bool:
    """Compare in a time that does not depend on where the two differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), key.encode())


def host_of(given: str) -> str:
    """Return the name of a Host header without its port, in lower case."""
    given = given.strip().lower()
    if given.startswith("["):
        name, end, port = given[1:].partition("]")
        is_whole = end and (not port or (port[0] == ":" and port[1:].isdigit()))
        return name if is_whole else given
    name, colon, port = given.rpartition(":")
    return name if colon and given.count(":") == 1 and (not port or port.isdigit()) else given


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def header(headers: Mapping[bytes, bytes], name: str) -> str | None:
    """Return a header of an ASGI scope as text."""
    value = headers.get(name.encode())
    return None if value is None else value.decode("latin-1")
