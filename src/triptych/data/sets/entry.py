"""Define the catalogue's entry of a public set: files, splits, fields, and its loader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ..example import Example, Notify
from ..table import DataTable

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
Loader = Callable[["Entry", SplitName, DataTable, Notify | None], list[Example]]


@dataclass(frozen=True, slots=True)
class File:
    """Describe a file of a set.

    name: in the set's folder, possibly with .gz there; sha256: of the decompressed content; member:
    its name in a zip at the address.
    """

    name: str
    sha256: str
    address: str
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Describe one public set."""

    name: str
    description: str
    licence: str
    languages: tuple[str, ...]
    files: tuple[File, ...] = ()
    notes: tuple[str, ...] = field(default=())
    fields: tuple[str, ...] = ("source", "target")  # of its Examples
    # Reads one split; None: the set holds pairs of source and target, which `sets.pairs` reads.
    loader: Loader | None = None
    splits: tuple[SplitName, ...] = SPLITS  # the splits that it has; others raise UsageError
    # Its folder in $TRIPTYCH_DATA and the cache, if it does not have the set's name.
    folder: str | None = None
    folds: int | None = None  # of a set that is scored by cross-validation
