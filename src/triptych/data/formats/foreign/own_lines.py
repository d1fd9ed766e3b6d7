"""Read the lines of a user's file in one of Triptych's own formats, whatever tool wrote it."""

from __future__ import annotations

from pathlib import Path

from ...example import Notify
from ..lines import LONGEST_DOCUMENT_BYTES, LONGEST_LINE_BYTES, decode_lines, read_bytes
from . import json_list
from .foreign_file import ForeignFile, ForeignReader

# Tried in this order; the first that knows the file reads it.
READERS: tuple[ForeignReader, ...] = (json_list.read,)
DOCUMENTS = (".json",)  # a file is one document, so a line may be as long as the file


def foreign(path: str | Path, raw: bytes | None = None) -> ForeignFile | None:
    """Read a file of another tool; None if it is in one of our own formats.

    Raises DataError naming file and line or record of what is damaged.
    """
    path = Path(path)
    raw = _content(path) if raw is None else raw
    found = (read(path, raw) for read in READERS)
    return next((one for one in found if one is not None), None)


def own_lines(path: str | Path, report: Notify | None = None) -> list[str]:
    """Read the lines of a file in one of our own formats, converted where another tool wrote it.

    report: receives what a foreign file is read as, and what is left out of it.

    Raises DataError as `foreign` and `lines_of`.
    """
    path = Path(path)
    raw = _content(path)
    found = foreign(path, raw)
    if found is None:
        return decode_lines(raw, str(path), report)
    if report is not None:
        found.tell(path, report)
    return found.lines


def _content(path: Path) -> bytes:
    whole = path.name.removesuffix(".gz").lower().endswith(DOCUMENTS)
    return read_bytes(path, LONGEST_DOCUMENT_BYTES if whole else LONGEST_LINE_BYTES)
