"""Read the lines of a user's file in one of Triptych's own formats, whatever tool wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....errors import DataError
from ...example import Notify
from ..lazy_lines import LazyLines, is_plain
from ..lines import (
    LONGEST_DOCUMENT_BYTES,
    LONGEST_LINE_BYTES,
    as_utf8,
    decode_lines,
    encoding_of,
    is_packed,
    read_bytes,
)
from ..refused import refuse_binary, refuse_tools
from . import fast_text, json_list, label_folders, parquet, spacy, tmx, xliff, xlsx
from .foreign_file import ForeignFile, ForeignReader

# Tried in this order; the first that knows the file reads it.
READERS: tuple[ForeignReader, ...] = (
    spacy.read,
    json_list.read,
    tmx.read,
    xliff.read,
    xlsx.read,
    fast_text.read,
)
DOCUMENTS = (
    ".json",
    *tmx.ENDINGS,
    *xliff.ENDINGS,
    *xlsx.ENDINGS,
    *parquet.ENDINGS,
)  # a file is one document, so a line may be as long as the file


def foreign(
    path: str | Path, raw: bytes | None = None, encoding: str | None = None
) -> ForeignFile | None:
    """Read a file of another tool, or a folder; None if it is in one of our own formats.

    raw: its bytes as `utf8_content` returns them, if they are read already.

    Raises DataError naming file and line or record of what is damaged.
    """
    path = Path(path)
    if path.is_dir() and (folders := label_folders.read(path, encoding)) is not None:
        return folders
    raw = utf8_content(path, encoding) if raw is None else raw
    found = (read(path, raw) for read in READERS)
    return next((one for one in found if one is not None), None)


@dataclass(frozen=True, slots=True)
class OwnFile:
    """Hold the lines of a user's file in one of our own formats, and what it was read as.

    is_foreign: another tool wrote it, or it is a folder, so that its lines are not those of a text
    file. encoding: that of a text file, as a user calls it.
    """

    lines: Sequence[str]
    is_foreign: bool
    encoding: str = "UTF-8"


def own_lines(
    path: str | Path, report: Notify | None = None, encoding: str | None = None
) -> list[str]:
    """Read the lines of a file in one of our own formats, converted where another tool wrote it.

    Args and errors are those of `own_file`.
    """
    lines = own_file(path, report, encoding).lines
    return lines if isinstance(lines, list) else list(lines)


def own_file(
    path: str | Path, report: Notify | None = None, encoding: str | None = None
) -> OwnFile:
    """Read a file in one of our own formats, converted where another tool wrote it.

    report: receives what a foreign file is read as, and what is left out of it. encoding: that of
    the file, as `lines.decode_text` takes it.

    Raises DataError as `foreign` and `lines_of`.
    """
    path = Path(path)
    raw = None if path.is_dir() else utf8_content(path, encoding)
    if raw is not None:
        refuse_tools(path, raw)
    found = foreign(path, raw, encoding)
    if found is None:
        raw = utf8_content(path, encoding) if raw is None else raw
        refuse_binary(raw, str(path))
        plain = is_plain(raw) and not is_packed(raw)
        lines = LazyLines(raw) if plain else decode_lines(raw, str(path), report)
        return OwnFile(lines, False, encoding_of(path, encoding))
    found.refuse_empty(path)
    if report is not None:
        found.tell(path, report)
    return OwnFile(found.lines, True)


def utf8_content(path: str | Path, encoding: str | None = None) -> bytes:
    """Return a file's bytes, in UTF-8 if it is text. Raises DataError as `lines.decode_text`."""
    path = Path(path)
    whole = path.name.removesuffix(".gz").lower().endswith(DOCUMENTS)
    raw = read_bytes(path, LONGEST_DOCUMENT_BYTES if whole else LONGEST_LINE_BYTES)
    is_one = is_packed(raw) or parquet.is_parquet(path, raw)
    return raw if is_one else as_utf8(raw, str(path), encoding)


def is_foreign(path: str | Path, raw: bytes) -> bool:
    """Tell whether another tool wrote a file; its reader reports what cannot be read of it."""
    try:
        packed = is_packed(raw) or parquet.is_parquet(path, raw)
        return packed or foreign(path, raw) is not None
    except DataError:
        return False
