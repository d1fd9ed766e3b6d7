"""What inspect was asked, and what it has to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..inspection.html import Picture
    from ..inspection.trace import Trace


MOST_ROWS = 40  # tokens named in a terminal


MOST_WINDOWS = 6  # of a long text on one page


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for beside the text."""

    to: str | None = None
    target: str | None = None
    kinds: tuple[str, ...] = ("cross",)
    passage: str | None = None
    words: bool = False
    decoding: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Shown:
    """What there is to see: the answer, rows for a terminal with a line below them, traces (one at
    least) and pictures for a page.
    """

    answer: str
    rows: list[list[str]]
    note: str
    traces: list[Trace]
    pictures: list[Picture] = field(default_factory=list)
    title: str | None = None  # of the page; without one its text
