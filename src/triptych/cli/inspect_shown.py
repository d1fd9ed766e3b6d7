"""Hold the options of `triptych inspect` and what it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..messages import message

if TYPE_CHECKING:
    from ..inspection.html import Picture
    from ..inspection.trace import Trace


MOST_ROWS = 40  # tokens listed in a terminal


MOST_WINDOWS = 6  # windows of a long text on one page


@dataclass(frozen=True, kw_only=True)
class Options:
    """Hold the options that go with the text."""

    to: str | None = None
    target: str | None = None
    kinds: tuple[str, ...] = ("cross",)
    passage: str | None = None
    words: bool = False
    decoding: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Shown:
    """Hold what there is to see of an answer.

    Args:
        answer: The answer in words.
        rows: A table for a terminal.
        note: The line below the table.
        traces: For a page; none of a sound.
        pictures: For a page.
        title: Of the page; its text where None.
        values: What --json prints where there is no trace.
    """

    answer: str
    rows: list[list[str]]
    note: str
    traces: list[Trace]
    pictures: list[Picture] = field(default_factory=list)
    title: str | None = None
    values: dict[str, Any] | None = None


def left_out(traces: list[Trace]) -> str:
    """Return a sentence on which windows of a long text the page shows."""
    first, whole, count = *traces[0].window, len(traces)
    which = (
        message("the first {count}", count=count)
        if first <= count
        else message(
            "window {first}, which holds the answer, and the first {count}",
            first=first,
            count=count - 1,
        )
    )
    return message(
        "The text is read in {whole} windows; the page shows the attention of {which}.",
        whole=whole,
        which=which,
    )
