"""Hold a request to `init`, and what every draft of a recipe shares."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ...data.example import Notify
from ...data.split import SHARES
from ...data.validation.pairs import Report
from ...errors import DataError, shell_command
from ...messages import Message, message
from ...training.settings import TrainingSettings
from .small import split_lines

if TYPE_CHECKING:
    from ...data.formats.choosing import ColumnChoice, Columns
    from ...data.formats.table_format import Format
    from ...data.table import DataTable


class ColumnChooser(Protocol):
    """Decide which columns of a file are read if its header leaves them in doubt."""

    def settled(
        self,
        name: str | Path,
        needs: Sequence[str],
        columns: Columns | None = None,
        languages: tuple[str | None, str | None] | None = None,
        encoding: str | None = None,
    ) -> dict[str, str | int] | None: ...

    def asked(
        self,
        form: Format,
        lines: list[str],
        needs: Sequence[str],
        choice: ColumnChoice | None,
        doubts: Sequence[str],
    ) -> dict[str, str | int]: ...


@dataclass(frozen=True, kw_only=True)
class DraftRequest:
    """Hold a task and a user's files, from which a recipe is drafted.

    Args:
        task: A task's name.
        train: The file, folder or public set to learn from; of a translation the source.
        reference: What the recipe names in its place: a data set of the hub, pinned.
        target: The target side of a translation, where it has its own file.
        languages: Codes of source and target, where they are known.
        others: Files of "validation" and "test".
        columns: Which columns or keys are read: field -> name or number.
        encoding: That of the files, if it is not UTF-8.
        minutes: How long to train; None: as long as the forecast says.
        start: A run, a folder of another library, or a model of the hub (pinned), to fine-tune.
        exportable: Draft what a class of the library transformers computes.
        out: Where the recipe will be written.
        device: The device that will train: auto, cpu or cuda.
        chooser: Decides on columns in doubt.
        report: Receives messages for the user.
    """

    task: str
    train: Path
    out: Path
    chooser: ColumnChooser
    report: Notify
    target: Path | None = None
    languages: tuple[str | None, str | None] = (None, None)
    others: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, str | int] | None = None
    encoding: str | None = None
    minutes: float | None = None
    start: Path | str | None = None
    reference: str | None = None
    exportable: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def training(self) -> TrainingSettings:
        """Return the settings that decide on which device, and how, to train."""
        return TrainingSettings(device=self.device)

    @property
    def train_name(self) -> str:
        """Return what the recipe names as the data to learn from."""
        return self.reference or str(self.train.resolve())

    def report_next(self, words: str) -> None:
        """Report the forecast and the next command."""
        command = shell_command("triptych", "train", self.out)
        self.report(message("{words} Next: {command}", words=words, command=command))


def reading_lines(data: DataTable) -> str:
    """Return the recipe's lines `columns = {...}` and `encoding`, where they are given."""
    encoding = f"encoding = {json.dumps(data.encoding)}\n" if data.encoding else ""
    return columns_line(data.columns) + encoding


def columns_line(columns: Mapping[str, str | int] | None) -> str:
    """Return the recipe's line `columns = {...}`, or nothing if there are none."""
    if not columns:
        return ""
    mapping = ", ".join(
        f"{field} = {json.dumps(str(name), ensure_ascii=False)}" for field, name in columns.items()
    )
    return f"columns = {{{mapping}}}\n"


def file_lines(data: DataTable, records: str) -> tuple[str, str]:
    """Return the lines of `data` on files and columns, and the remark on held-out data."""
    if data.set is not None:
        fold = "" if data.fold is None else f"fold = {data.fold:<24}# the test; others train\n"
        return f"set = {json.dumps(data.set)}\n{fold}", ""
    names = ("train", "validation", "test")
    files = "".join(
        f"{name} = {json.dumps(given, ensure_ascii=False)}\n"
        for name in names
        if (given := getattr(data, name))
    )
    return files + reading_lines(data) + split_lines(data), held_line(data, records)


def held_line(data: DataTable, records: str, of: str = "the text") -> str:
    """Return the remark on data that is held out of the training file; of: what is hashed."""
    kept = [name for name in ("validation", "test") if not getattr(data, name)]
    share = 100 * (data.held_out or SHARES["test"])
    way = "" if data.split == "stratified" else f" by a hash of {of}"
    return (
        f"# {' and '.join(kept)}: {share:g} % of the {records} each, kept out of training{way}\n"
        if kept
        else ""
    )


def refuse_fatal(report: Report, name: str, left_out: tuple[str, ...], notify: Notify) -> None:
    """Report the problems of the files, and raise DataError if training would fail.

    Args:
        report: The report on all files.
        name: The file to run `data check` on.
        left_out: How the reasons begin of problems that training leaves out.
        notify: Receives the counts of the other problems.
    """
    command = shell_command("triptych", "data", "check", name)
    fatal = [
        one
        for one in report.problems
        if one.severity == "error" and not one.reason.startswith(left_out)
    ]
    if fatal:
        more = (
            message(
                " ({count:,} more: {command} lists them all.)",
                count=len(fatal) - 1,
                command=command,
            )
            if len(fatal) > 1
            else ""
        )
        raise DataError("{fatal}{more}", fatal=fatal[0], more=more)
    for kind, count in report.counts.items():
        notify(
            message(
                "Check: {count:,} x {kind}; {command} lists them all.",
                count=count,
                kind=Message(kind),
                command=command,
            )
        )
