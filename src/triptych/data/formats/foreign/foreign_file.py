"""Hold a file of another tool, written as lines of one of Triptych's own formats."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ....errors import DataError, UsageError
from ....messages import message
from ...example import Notify

SHOWN = 3  # places that a notice names


@dataclass(slots=True)
class ForeignFile:
    """Hold a file of another tool as lines of JSONL, CSV or CoNLL, which every reader takes.

    kind: what it is, for a notice, like "Label Studio JSON". lines: of one of our own formats;
    `direct reading` and `triptych data convert` use the same lines. numbered: True if the number of
    a line counts records of the file; False if it is the line of the file itself. left_out: reason
    -> places of the records that cannot be used. notes: sentences on what else is not read.
    """

    kind: str
    lines: list[str]
    numbered: bool = True
    left_out: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    notes: list[str] = field(default_factory=list[str])

    def leave_out(self, reason: str, place: str) -> None:
        """Note a record that cannot be used; it is counted and reported, never learnt."""
        self.left_out.setdefault(reason, []).append(place)

    def tell(self, path: Path, report: Notify) -> None:
        """Report what the file is read as, and what is left out of it."""
        counted = message("; a number after its name counts its records") if self.numbered else ""
        report(
            message(
                "{name}: read as {kind}{counted}.", name=path.name, kind=self.kind, counted=counted
            )
        )
        for reason, places in self.left_out.items():
            more = f" and {len(places) - SHOWN:,} more" if len(places) > SHOWN else ""
            report(
                message(
                    "{name}: {records} left out, {reason}: {names}{more}.",
                    name=path.name,
                    records=_records(places),
                    reason=reason,
                    names=", ".join(places[:SHOWN]),
                    more=more,
                )
            )
        for note in self.notes:
            report(f"{path.name}: {note}")

    def refuse_empty(self, path: Path) -> None:
        """Raise DataError if no record can be used although there are some."""
        if self.left_out and not any(line.strip() for line in self.lines):
            reasons = "; ".join(
                f"{reason} ({len(places):,})" for reason, places in self.left_out.items()
            )
            raise DataError(
                "{path} is read as {kind}, and none of its records can be used: {reasons}.",
                path=path,
                kind=self.kind,
                reasons=reasons,
            )


def _records(places: Sequence[str]) -> str:
    return f"{len(places):,} record{'s' if len(places) > 1 else ''}"


class ForeignReader(Protocol):
    """Read one kind of file, or return None if the file is not of that kind."""

    def __call__(self, path: Path, raw: bytes) -> ForeignFile | None: ...


def own_line(record: Mapping[str, object]) -> str:
    """Write a record as a line of JSONL."""
    return json.dumps(record, ensure_ascii=False)


def at_their_lines(records: Iterable[tuple[int, str]]) -> tuple[list[str], bool]:
    """Place each record at its line of the file, with empty lines between, if each has its own.

    records: (line of the file, from 1; our own line). Returns the lines, and whether their numbers
    count records because several begin on one line of the file.
    """
    found = list(records)
    numbers = [number for number, _ in found]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        return [line for _, line in found], True
    lines: list[str] = []
    for number, line in found:
        lines += [""] * (number - 1 - len(lines)) + [line]
    return lines, False


def extra_missing(path: str | Path, package: str) -> UsageError:
    """Return the error for a file whose reader is a package of the extra `files`."""
    return UsageError(
        "{path} is read with the package {package}, which is not installed: "
        'pip install "triptych[files]"',
        path=path,
        package=package,
    )
