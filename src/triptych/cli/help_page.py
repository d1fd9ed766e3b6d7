"""Draw a help page: its labels in the user's language, its lines broken as that language does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclopts.help import ColumnSpec, DefaultFormatter, HelpEntry, InlineText
from rich.measure import Measurement
from rich.text import Text

from ..messages import Message, message
from .language import translated
from .wrapping import breaks, cells, units

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

CHOICES, DEFAULT, REQUIRED = message("choices"), message("default"), message("required")
VALUES = {  # what the library calls the kind of a value -> what a user reads
    "STR": "TEXT",
    "INT": "N",
    "FLOAT": "N",
    "STR...": "TEXT...",
    "BOOL|PATH": "[PATH]",
}
NAMES_PART = 0.35  # of the width of the page, at most, for the names of options


@dataclass(frozen=True, slots=True)
class Wrapped:
    """Hold a text that is broken to the width it is given when it is printed."""

    text: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.text.split("\n", allow_blank=True):
            for part in line.divide(breaks(line.plain, options.max_width)):
                part.rstrip()
                yield part

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        plain = self.text.plain
        least = max((cells(one) for one in units(plain)), default=0)
        most = max((cells(line) for line in plain.split("\n")), default=0)
        return Measurement(least, most).with_maximum(options.max_width)


def named(entry: HelpEntry) -> str:
    """Return the names of a command or an option, with the kind of its value."""
    names = " ".join(entry.display_labels)
    if entry.positional_label or not entry.metavar:
        first, *others = names.split(" ")
        return f"{first} ({', '.join(others)})" if others else first
    return f"{names} {VALUES.get(entry.metavar, entry.metavar)}"


def described(entry: HelpEntry) -> Wrapped:
    """Return what a command or an option does, then its choices, default, and if it is required."""
    text = Text(_plain(entry.description))
    marks: list[tuple[str, str]] = []
    if entry.choices:
        names = translated(message(", ")).join(entry.choices)
        marks.append((_mark(CHOICES, names), "cyclopts.choices"))
    if entry.default is not None:
        marks.append((_mark(DEFAULT, entry.default), "cyclopts.default"))
    if entry.required:
        marks.append((f"[{translated(REQUIRED)}]", "cyclopts.required"))
    for words, style in marks:
        text.append(" ").append(words, style)
    return Wrapped(text)


def _mark(name: Message, value: str) -> str:
    return f"[{translated(message('{name}: {value}', name=name, value=value))}]"


def _plain(words: Any) -> str:
    """Return the text of a description, which the library wraps."""
    inner = words.primary_renderable if isinstance(words, InlineText) else words
    return "" if inner is None else str(inner)


def _columns(
    console: Console, options: ConsoleOptions, entries: list[HelpEntry]
) -> tuple[ColumnSpec, ...]:
    """Return the columns of a table: what is required is marked, named and described."""
    name = ColumnSpec(
        renderer=named,
        style="cyclopts.name",
        overflow="fold",
        max_width=math.ceil(console.width * NAMES_PART),
    )
    columns = name, ColumnSpec(renderer=described)
    if not any(one.required for one in entries):
        return columns
    mark = ColumnSpec(
        renderer=lambda entry: "*" if entry.required else "",
        width=1,
        style="cyclopts.required_marker",
    )
    return mark, *columns


class HelpPage(DefaultFormatter):
    """Draw the usage, the description and the tables of a help page."""

    def __init__(self) -> None:
        super().__init__(column_specs=_columns)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print how a command is called."""
        words = str(usage).strip().removeprefix("Usage:").strip()
        console.print(Text(translated(message("Usage: {words}\n", words=words)), "bold"))

    def render_description(
        self, console: Console, options: ConsoleOptions, description: Any
    ) -> None:
        """Print what a command does, in paragraphs."""
        if words := _plain(description):
            console.print(Wrapped(Text(f"{words}\n")))
