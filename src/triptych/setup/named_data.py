"""Find what the arguments of `triptych data` name: a recipe, a public set, or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.formats.lines import refuse_nothing
from ..data.load import aligned, files_of, load_split, reader_of, split_files
from ..data.sets.catalog import entries
from ..data.sets.entry import SPLITS
from ..data.table import DataTable
from ..data.validation import kinds
from ..errors import UsageError, unknown
from ..messages import message
from ..recipe.schema import Recipe, packaged
from ..tasks import translation
from ..tasks.specs import SPECS, build_task

if TYPE_CHECKING:
    from ..data.example import Example, Notify

PAIR_TASK = translation.SPEC.name
NOTHING = "Name the data: a recipe, a public set, one file with two columns, or two aligned files."


@dataclass(frozen=True, slots=True)
class NamedData:
    """Hold the data that the arguments name.

    data: as in a recipe. needs: the fields of its records. is_recipe: a recipe or a run names it.
    is_guess: the files themselves decided on the fields.
    """

    data: DataTable
    needs: tuple[str, ...]
    is_recipe: bool = False
    is_guess: bool = False

    @property
    def learns_from(self) -> str:
        """Return the field of `kinds.RECORDS` that the records are learnt from."""
        return kinds.learns_from(self.needs)

    @property
    def guess(self) -> str | None:
        """Return a sentence on what the files are taken for; None if it was not guessed."""
        if not self.is_guess:
            return None
        names = ", ".join(Path(name).name for name in split_files(self.data)["train"])
        learnt = self.learns_from
        return message(
            "{names}: taken for {kind}. If it is something else, name the task that reads it, "
            "like --task {task}.",
            names=names,
            kind=kinds.RECORDS[learnt][1],
            task="classification" if learnt == "tags" else "tagging",
        )


def names_recipe(name: str) -> bool:
    """Tell whether a name is that of a recipe or a run, and not of a folder of texts."""
    return (
        name in packaged()
        or name.endswith(".toml")
        or (Path(name).is_dir() and (Path(name) / "recipe.toml").is_file())
    )


def named_data(
    what: Sequence[str],
    task: str | None = None,
    encoding: str | None = None,
    columns: dict[str, str | int] | None = None,
) -> NamedData:
    """Return what the arguments name.

    Args:
        what: A recipe, a public set, or files.
        task: The task that reads the files; None: their content decides.
        encoding: That of the files, if it is not UTF-8.
        columns: Which columns or keys of the files are read.

    Raises:
        UsageError: Nothing is named, or a flag has no effect on what is.
        DataError: A file does not exist, or is empty.
    """
    if not what:
        raise UsageError(NOTHING)
    first = what[0]
    if len(what) == 1 and (names_recipe(first) or first in entries()):
        flags = {"--task": task, "--encoding": encoding, "--columns": columns}
        idle = next((flag for flag, given in flags.items() if given is not None), None)
        if idle is not None:
            raise UsageError(
                f"{idle} is for files, and {first} is a recipe or a set, which say themselves how "
                "their data is read. Leave it out."
            )
        if not names_recipe(first):
            return NamedData(DataTable(set=first), entries()[first].fields)
        recipe = Recipe.load(first)
        return NamedData(recipe.data, tuple(recipe.build_task().needs), is_recipe=True)
    for name in what:
        refuse_nothing(Path(name))
    data = DataTable(train=list(what), encoding=encoding, columns=columns)
    if task is not None:
        return NamedData(data, task_needs(task, what, encoding, columns))
    return NamedData(data, kinds.needs_of(what, encoding, columns), is_guess=True)


def task_needs(
    task: str,
    names: Sequence[str],
    encoding: str | None = None,
    columns: dict[str, str | int] | None = None,
) -> tuple[str, ...]:
    """Return the fields that a task reads; of labelled texts those that the file has."""
    if task not in SPECS:
        raise unknown("task", task, SPECS)
    needs = tuple(build_task(task, {}).needs)
    if needs[-1] not in kinds.LEARNT:
        return needs
    return kinds.labelled_needs(names[0], encoding, columns) or needs


def examples_of(
    found: NamedData, report: Notify | None, splits: Sequence[str] | None = None
) -> dict[str, Sequence[Example]]:
    """Return the examples by part; of labelled sets with all leaks, so that they can be seen.

    splits: those of a public set; None: all that it has.
    """
    data, needs = found.data, found.needs
    is_labelled = needs[0] == "text" and needs[-1] in kinds.LEARNT
    if data.set is not None:
        if splits is None:
            alone = is_labelled or aligned(needs)
            splits = SPLITS if alone else entries()[data.set].splits
        data = replace(data, leaks="keep") if is_labelled else data
        return {part: load_split(data, part, report, needs) for part in splits}
    if data.train is None or (found.is_recipe and not aligned(needs) and not is_labelled):
        return {part: load_split(data, part, report, needs) for part in SPLITS}
    return {part: read(names, found, report) for part, names in split_files(data).items()}


def read(names: Sequence[str], found: NamedData, report: Notify | None) -> Sequence[Example]:
    """Read files as examples with the fields that are named."""
    from ..data.formats.pairs import read as read_pairs

    if aligned(found.needs):
        data = found.data
        target = data.target if isinstance(data.target, str) else None
        return read_pairs(files_of(names, data), data.source, target, report)
    return reader_of(found.needs)(list(names), found.data, found.needs, report)
