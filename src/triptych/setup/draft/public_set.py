"""Draft a recipe for a public set of the catalogue instead of a user's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...data.formats.columns import LEARNT
from ...data.sets import catalog
from ...data.table import DataTable
from ...errors import UsageError

if TYPE_CHECKING:
    from .request import DraftRequest


def table_of(request: DraftRequest) -> DataTable | None:
    """Return the data table of the set that `train` names, None if it is a file or a folder.

    A set that is scored by cross-validation begins with its first fold.

    Raises:
        UsageError: Something is given that only the user's own files have.
    """
    name = str(request.train)
    if request.train.exists() or name not in catalog.entries():
        return None
    given = {
        **{f"--{part}": files for part, files in request.others.items()},
        "--columns": request.columns,
        "--encoding": request.encoding,
    }
    if idle := [flag for flag, value in given.items() if value]:
        raise UsageError(
            "{flag} is for your own files, but {name} is a public set, which has its own parts "
            "and columns. Leave it out.",
            flag=idle[0],
            name=name,
        )
    return DataTable(set=name, fold=1 if catalog.entry(name).folds else None)


def labelled_needs(name: str) -> tuple[str, ...]:
    """Return the fields that classification reads of a set: texts, and what is learnt."""
    fields = catalog.entry(name).fields
    learnt = next((field for field in LEARNT if field in fields), "label")
    return ("text", *(["text_pair"] if "text_pair" in fields else []), learnt)
