"""Talk on stderr: sentences, and the progress of a training as a bar on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.job import Progress

SMOOTHING = 0.9  # of the shown speed and loss


def talk(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[str]], right: bool = True) -> str:
    """Aligned columns: the first to the left, the others to the right (or all to the left)."""
    rows = [list(row) for row in rows]
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell + " " * (wide - width(cell)) if place == 0 or not right else " " * (wide - width(cell)) + cell
            for place, (cell, wide) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def width(text: str) -> int:
    """Columns on a terminal: a Chinese character takes two."""
    from rich.cells import cell_len

    return cell_len(text)


def clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"


class Display:
    """Shows the progress of one training. Use as a context."""

    def __init__(self, every_steps: int, steps: int | None) -> None:
        self.every_steps, self.steps = every_steps, steps
        self.loss = self.speed = 0.0
        self.shown = self.before = 0.0
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Display:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[about]}"),
                           console=Console(stderr=True), transient=True)  # fmt: skip
            self.bar.start()
            self.task = self.bar.add_task("Training", total=1.0, about="")
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
            self.bar.update(self.task, completed=progress.fraction, about=self._about(progress))
        elif progress.event == "step" and (progress.step == 1 or progress.step % self.every_steps == 0):
            talk(self._about(progress))

    def _count(self, progress: Progress) -> None:
        passed, self.before = progress.seconds - self.before, progress.seconds
        speed, keep = progress.tokens / max(passed, 1e-6), SMOOTHING if self.speed else 0.0
        self.speed = keep * self.speed + (1 - keep) * speed
        self.loss = keep * self.loss + (1 - keep) * (progress.loss or 0.0)

    def _about(self, progress: Progress) -> str:
        steps = f"{progress.step:,}" + (f"/{self.steps:,}" if self.steps else "")
        known = progress.fraction > 0.002  # before that a guess would be wild
        left = clock(progress.seconds * (1 - progress.fraction) / progress.fraction) if known else "?"
        return (
            f"step {steps}  epoch {progress.epoch:.1f}  loss {self.loss:.3f}  {self.speed:,.0f} tokens/s  "
            f"{clock(progress.seconds)} passed, {left} left"
        )

    def _say(self, message: str) -> None:
        if self.bar is not None:
            self.bar.console.print(message, markup=False, highlight=False)
        else:
            talk(message)
