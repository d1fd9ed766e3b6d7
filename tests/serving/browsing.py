"""Debian's Chromium for tests of the page: it must not fail, nor ask anybody but the server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Debian's chromium")
QUIET = [
    f"--{one}"
    for one in (
        "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
    )
]  # fmt: skip


@contextmanager
def launched(*flags: str) -> Iterator[Any]:
    """Start the browser, with further flags."""
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=BROWSER, args=[*QUIET, *flags])
        yield found
        found.close()


@contextmanager
def opened(browser: Any, address: str) -> Iterator[Any]:
    """Open a page on a wide screen, and refuse errors and requests to anybody but `address`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    found, wrong = context.new_page(), list[str]()
    found.set_default_timeout(20_000)
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    found.on(
        "request",
        lambda one: None if one.url.startswith((address, "blob:")) else wrong.append(one.url),
    )
    found.address = address
    yield found
    context.close()
    assert not wrong


def numbers(page: Any, selector: str, name: str) -> list[float]:
    """Return the numbers that elements carry, in the order of the page."""
    return [float(one) for one in page.eval_on_selector_all(
        selector, f"all => all.map((one) => one.dataset.{name})")]  # fmt: skip
