"""Read the curves of runs from metrics.jsonl: a value of each line over steps, time or tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..errors import RunError
from .named import find
from .run import Run
from .seeds import seed_folders

Axis = Literal["step", "minutes", "tokens"]
Point = tuple[float, float]
Record = dict[str, Any]
SPLITS = ("train", "validation")
FARTHEST = 1e100  # a number beyond it is taken for infinite


@dataclass(frozen=True)
class History:
    """Hold what a run has logged.

    Args:
        name: What pictures call the run.
        train: The lines of training, by rising step.
        validation: Those of validation.
    """

    name: str
    train: list[Record]
    validation: list[Record]

    def values(self, *splits: str) -> list[str]:
        """Return the names of the numbers in the lines of these splits, or of both."""
        return list(
            dict.fromkeys(
                key
                for split in splits or SPLITS
                for line in self.lines(split)
                for key, value in line.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            )
        )

    def lines(self, split: str) -> list[Record]:
        return self.train if split == "train" else self.validation

    def points(self, split: str, key: str, axis: Axis) -> list[Point]:
        """Return (x, y) of every line that has a finite value of `key` and a place on the axis."""
        found: list[Point] = []
        for line in self.lines(split):
            x, y = self._place(line, axis), number(line.get(key))
            if x is not None and y is not None:
                found.append((x, y))
        return found

    def infinite(self, split: str, key: str) -> int:
        """Return how many values of `key` are not finite."""
        return sum(
            isinstance(line.get(key), float) and number(line[key]) is None
            for line in self.lines(split)
        )

    def _place(self, line: Record, axis: Axis) -> float | None:
        if axis == "step":
            return float(line["step"])
        if axis == "minutes":
            seconds = number(line.get("seconds"))
            return None if seconds is None else seconds / 60
        own = number(line.get("tokens"))
        return self._tokens(line["step"]) if own is None else own

    @cached_property
    def _known(self) -> list[Point]:
        """Return (step, tokens read) of the beginning and of each line of training."""
        found: list[Point] = [(0.0, 0.0)]
        for line in self.train:
            tokens = number(line.get("tokens"))
            found += [] if tokens is None else [(float(line["step"]), tokens)]
        return found

    def _tokens(self, step: int) -> float | None:
        """Return the tokens read up to a step; lines of validation do not say it."""
        known = self._known
        after = bisect_left(known, (float(step), 0.0))
        if after == len(known):
            return known[-1][1] if len(known) > 1 else None
        (left, low), (right, high) = known[max(0, after - 1)], known[after]
        return high if right <= left else low + (high - low) * (step - left) / (right - left)


def number(value: object) -> float | None:
    """Return a value as a number, None where it is not a finite one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < FARTHEST else None


def histories(paths: Sequence[str], tell: Callable[[str], None]) -> list[History]:
    """Return what each run has logged; a folder of several seeds stands for its runs.

    Args:
        paths: Run folders.
        tell: Receives a sentence about lines that cannot be read.

    Raises:
        RunError: There is no such run, or it has logged nothing.
    """
    folders: list[Path] = []
    for path in (find(one) or Path(one) for one in paths):
        seeds = [folder for folder in seed_folders(path).values() if _has_lines(folder)]
        folders += seeds or [path]
    folders = list(dict.fromkeys(folders))
    return [
        _history(folder, name, tell)
        for folder, name in zip(folders, names_of(folders), strict=True)
    ]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=1)):
        names = ["/".join(one[-length:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def _has_lines(folder: Path) -> bool:
    return (folder / "metrics.jsonl").is_file()


def _history(folder: Path, name: str, tell: Callable[[str], None]) -> History:
    run = Run(folder) if _has_lines(folder) else Run.open(folder)
    lines = latest([line for line in run.read_metrics(tell) if _is_placed(line)])
    if not lines:
        raise RunError(
            f"{folder} has no curves: its metrics.jsonl is "
            f"{'empty or damaged' if _has_lines(folder) else 'missing'}. Name a run that "
            "`triptych train` has trained for some steps."
        )
    if not _ends_whole(folder / "metrics.jsonl"):
        tell(f"{folder / 'metrics.jsonl'}: its last line is cut off and skipped.")
    return History(name, *([line for line in lines if line["split"] == one] for one in SPLITS))


def _is_placed(line: Record) -> bool:
    return line.get("split") in SPLITS and number(line.get("step")) is not None


def latest(lines: Sequence[Record]) -> list[Record]:
    """Return the lines by rising step.

    Where a run was resumed from an earlier step, what it had logged beyond that step no longer
    belongs to it and is left out.
    """
    kept: list[Record] = []
    for line in lines:
        place = len(kept)
        while place and _is_replaced(kept[place - 1], line):
            place -= 1
        kept[place:] = [line]
    return kept


def _is_replaced(before: Record, line: Record) -> bool:
    """Tell whether `line` continues the run from an earlier place than `before`."""
    again = before["step"] == line["step"] and before["split"] == line["split"]
    return before["step"] > line["step"] or again


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1))
        return file.read() in (b"\n", b"")
