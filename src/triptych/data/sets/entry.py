"""What the catalogue says of a public set: its files with their addresses and digests, its parts,
its fields, and how it is read.
"""

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
    """name: in the set's folder, perhaps with .gz there; sha256: of the decompressed content;
    member: of a zip at the address.
    """

    name: str
    sha256: str
    address: str
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One public set."""

    name: str
    description: str
    licence: str
    languages: tuple[str, ...]
    files: tuple[File, ...] = ()
    notes: tuple[str, ...] = field(default=())
    fields: tuple[str, ...] = ("source", "target")  # what its Examples hold
    # reads one part; None: the set holds pairs of source and target, which `sets.pairs` reads
    loader: Loader | None = None
    splits: tuple[SplitName, ...] = SPLITS  # the parts that it has; others are said not to be there
    # in $TRIPTYCH_DATA and the cache, where it is not called by the set's name
    folder: str | None = None
