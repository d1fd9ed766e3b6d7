r"""Print everything that the verbs print: answers on stdout, messages and progress on stderr.

No other module of the command line prints text that is not its own (a test checks it), because a
terminal obeys control characters: a label or an answer could rename the window, fill the clipboard
or reverse the direction of the text. On a terminal they are written as escapes, for example \u001b,
which JSON and TOML read back as the same character. Elsewhere every byte stays as it is.
"""

from __future__ import annotations

import math
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from ..messages import Message, message
from .language import translated

if TYPE_CHECKING:
    from ..training.job import Progress

MOMENT_SECONDS = 2.0  # shorter work is not counted aloud
LINE_SECONDS = 10.0  # between two lines of a count
SMOOTHING = 0.9  # factor of the moving averages of the shown speed and loss
LAYOUT = "\n\t"  # control characters that an answer may hold
# C0, DEL, C1 and bidirectional controls.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
MARGIN = re.compile(r"\n(?!  |\n|$)")  # a line break whose next line would begin at the margin
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

BREAKS = re.compile("[\t-\r\x1c-\x1e\x85\u2028\u2029]")  # of a line or a column
LABEL_WIDTH = 48  # columns of a terminal that a label takes in a table; JSON has it whole
_broken: list[str] = []  # names from the command line that hold a line break


def shown(text: str, stream: TextIO, keep: str = "") -> str:
    """Escape the control characters of `text`, except `keep`, if `stream` is a terminal."""
    if not is_terminal(stream):
        return text
    return CONTROLS.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    return SHORT.get(character) or f"\\u{ord(character):04x}"


def is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # the stream is closed
        return False


def put(
    *texts: object,
    sep: str = " ",
    end: str = "\n",
    flush: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Print answers on stdout, or on another stream. Line breaks and tabs are kept."""
    target = stream or sys.stdout
    print(
        *(shown(str(text), target, LAYOUT) for text in texts),
        sep=sep,
        end=end,
        file=target,
        flush=flush,
    )


def put_bytes(content: bytes) -> None:
    """Print a whole UTF-8 file on stdout: byte for byte, except on a terminal."""
    if is_terminal(sys.stdout):
        put(content.decode("utf-8-sig").replace("\r\n", "\n"), end="")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def field(text: object, stream: TextIO | None = None) -> str:
    """Escape what must stay on one line of stdout: a label, a file name, a cell.

    Line breaks and tabs are escaped too.
    """
    return shown(str(text), stream or sys.stdout)


def talk(*lines: str) -> None:
    """Print messages on stderr.

    On a terminal every line of a message but the first is indented, so that a line break in a
    message cannot imitate another message.
    """
    for line in lines:
        print(_sentence(translated(line)), file=sys.stderr, flush=True)


def ask(question: str) -> str | None:
    """Ask a question on stderr and return the next line of stdin, None at its end."""
    print(shown(question, sys.stderr), end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    return line.strip() if line else None


def remember(arguments: Iterable[str]) -> None:
    """Note the names from the command line that hold a line break, to print them on one line."""
    names = {part for one in arguments for part in (one, one.rsplit("/", 1)[-1]) if "\n" in part}
    _broken[:] = sorted(names, key=len, reverse=True)


def _sentence(text: str) -> str:
    if not is_terminal(sys.stderr):
        return text
    for name in _broken:
        text = text.replace(name, shown(name, sys.stderr))
    return MARGIN.sub("\n  ", shown(text, sys.stderr, "\n"))


def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback as Python does; a `sys.excepthook`."""
    text = "".join(traceback.format_exception(kind, error, trace))
    print(shown(text, sys.stderr, LAYOUT), end="", file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[str]], right: bool = True) -> str:
    """Return aligned columns for stdout.

    Args:
        rows: The cells.
        right: Align all columns but the first to the right; all to the left otherwise.
    """
    rows = [[field(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell + " " * (wide - width(cell))
            if place == 0 or not right
            else " " * (wide - width(cell)) + cell
            for place, (cell, wide) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def on_one_line(text: str) -> str:
    """Escape what would break a line or a column, also where stdout is a file or a pipe."""
    return BREAKS.sub(lambda found: _escape(found[0]), text)


def label(text: str) -> str:
    """Return a label of the data for a table: on one line, and cut if it is very long."""
    line = on_one_line(text)
    if width(line) <= LABEL_WIDTH:
        return line
    end = len(line)
    while width(line[:end]) >= LABEL_WIDTH:
        end -= max(1, (width(line[:end]) - LABEL_WIDTH) // 2)
    return f"{line[:end]}…"


def width(text: str) -> int:
    """Return the columns that a text takes on a terminal: a Chinese character takes two."""
    from rich.cells import cell_len

    return cell_len(text)


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss or m:ss; "?" where a file holds no number of seconds."""
    if not math.isfinite(seconds):
        return "?"
    whole = int(seconds)
    return (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
        if whole >= 3600
        else f"{whole // 60}:{whole % 60:02}"
    )


class Display:
    """Show the progress of one training; use it as a context."""

    def __init__(self, every_steps: int, steps: int | None) -> None:
        self.every_steps, self.steps = every_steps, steps
        self.loss = self.speed = 0.0
        self.shown = self.before = 0.0
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Display:
        if is_terminal(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[details]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task(translated(message("Training")), total=1.0, details="")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, progress: Progress) -> None:
        if progress.event == "step":
            self._count(progress)
        if progress.message and progress.event != "checkpoint":
            self._say(progress.message)
        if self.bar is not None:
            self.bar.update(self.task, completed=progress.fraction, details=self._details(progress))
        elif progress.event == "step" and (
            progress.step == 1 or progress.step % self.every_steps == 0
        ):
            talk(self._details(progress))

    def _count(self, progress: Progress) -> None:
        passed, self.before = progress.seconds - self.before, progress.seconds
        speed, keep = progress.tokens / max(passed, 1e-6), SMOOTHING if self.speed else 0.0
        self.speed = keep * self.speed + (1 - keep) * speed
        self.loss = keep * self.loss + (1 - keep) * (progress.loss or 0.0)

    def _details(self, progress: Progress) -> str:
        steps = f"{progress.step:,}" + (f"/{self.steps:,}" if self.steps else "")
        known = progress.fraction > 0.002  # earlier an estimate would be unreliable
        left = (
            clock(progress.seconds * (1 - progress.fraction) / progress.fraction) if known else "?"
        )
        words = message(
            "step {steps}  epoch {epoch:.1f}  loss {loss:.3f}  {speed:,.0f} tokens/s  {passed} "
            "passed, {left} left",
            steps=steps,
            epoch=progress.epoch,
            loss=self.loss,
            speed=self.speed,
            passed=clock(progress.seconds),
            left=left,
        )
        return translated(words) + self._of_experts(progress)

    def _of_experts(self, progress: Progress) -> str:
        """Say how unevenly experts are loaded: the least and the most loaded of all blocks."""
        if progress.experts is None:
            return ""
        least, most, dropped = progress.experts
        words = message(
            "experts {least:.0%}-{most:.0%} of tokens, {dropped:.1%} dropped",
            least=least,
            most=most,
            dropped=dropped,
        )
        return f"  {translated(words)}"

    def _say(self, words: str) -> None:
        if self.bar is not None:
            self.bar.console.print(
                _sentence(translated(words)), markup=False, highlight=False, emoji=False
            )
        else:
            talk(words)


class Counting:
    """Show on stderr how much of some work is done, once it takes longer than a moment.

    It is a bar on a terminal and a line now and then elsewhere. Within the context the bar may be
    visible; at its end the bar is removed, so that answers can be printed, and a later context goes
    on counting. `add` may be called by any thread.

    Args:
        total: How much there is; None where it is not known.
        unit: What is counted, in the plural.
        quiet: Show nothing, for example while someone types the inputs.
    """

    def __init__(self, total: int | None, unit: str, quiet: bool = False) -> None:
        self.total, self.unit, self.quiet = total, unit, quiet
        self.what, self.done = "", 0.0
        self.began = time.monotonic()
        self.due = self.began + MOMENT_SECONDS
        self.bar: Any = None
        self.task: Any = None
        self.lock = threading.RLock()

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        with self.lock:
            if self.bar is not None:
                self.bar.stop()
                self.bar = None

    def begin(self, what: str) -> Callable[[float], None]:
        """Begin another pass over the same items, count from 0, and return `add`."""
        with self.lock:
            self.what, self.done, self.began = what, 0.0, time.monotonic()
        return self.add

    def add(self, count: float = 1.0) -> None:
        """Count items that are done; a part of one is a fraction."""
        with self.lock:
            self.done += count
            now = time.monotonic()
            if self.quiet or now < self.due:
                return
            if is_terminal(sys.stderr):
                self._draw()
            elif self.total is None or round(self.done) < self.total:
                talk(self._line())
                self.due = now + LINE_SECONDS

    def _draw(self) -> None:
        if self.bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(
                BarColumn(),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
                refresh_per_second=4,
                redirect_stdout=False,  # it may be a file, and the bar is on stderr
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task("", total=self.total)
        self.bar.update(self.task, completed=self.done, description=self._line())

    def _line(self) -> str:
        passed, done = time.monotonic() - self.began, round(self.done)
        what = message("{what}: ", what=Message(self.what)) if self.what else ""
        if self.total is None:
            return translated(
                message(
                    "{what}{done:,} {unit}  {passed} passed",
                    what=what,
                    done=done,
                    unit=Message(self.unit),
                    passed=clock(passed),
                )
            )
        left = passed * max(0.0, self.total - self.done) / self.done if self.done else math.nan
        return translated(
            message(
                "{what}{done:,} of {total:,} {unit}  {passed} passed, {left} left",
                what=what,
                done=done,
                total=self.total,
                unit=Message(self.unit),
                passed=clock(passed),
                left=clock(left),
            )
        )
