"""Download a file piece by piece, bound its size, and unpack and hash it on the way.

Memory holds one piece, whatever a server sends and whatever an archive claims to hold.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import os
import struct
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ...errors import DataError
from ..formats.lines import PIECE_BYTES

_NETWORK = (urllib.error.URLError, OSError, http.client.HTTPException)
_DAMAGED = (zipfile.BadZipFile, KeyError, OSError, EOFError, zlib.error, ValueError, struct.error)
# Raised for a zip with a password, or packed by an unknown method.
_LOCKED = (RuntimeError, NotImplementedError)
# The methods that Python unpacks in pieces; others it unpacks whole.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def pieces(content: IO[bytes] | gzip.GzipFile, most: int, too_long: str) -> Iterator[bytes]:
    """Read to the end. Raises DataError with the text `too_long` after more than `most` bytes."""
    length = 0
    while piece := content.read(PIECE_BYTES):
        length += len(piece)
        if length > most:
            raise DataError(too_long)
        yield piece


def received(address: str, most: int, advice: str) -> Iterator[bytes]:
    """Yield what an address sends.

    Raises DataError if it cannot be reached or sends more than `most` bytes. `advice` is the
    message if the network fails, with {reason} in it.
    """
    too_long = (
        f"{address} sends more than the {most:,} bytes that are expected. Nothing was kept. Try "
        "again, or from another network."
    )
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            yield from pieces(answer, most, too_long)
            # When reading in pieces, http.client does not report a truncated answer.
            if left := getattr(answer, "length", None):
                raise http.client.IncompleteRead(b"", left)
    except _NETWORK as problem:
        raise DataError(
            advice.replace("{reason}", str(getattr(problem, "reason", problem)))
        ) from None


def unpacked(archive: Path, member: str | None, most: int, address: str) -> Iterator[bytes]:
    """Decompress a gzip file, or one member of a zip.

    Raises DataError if it is damaged or holds more than `most` bytes.
    """
    too_long = (
        f"The file from {address} is not the expected archive (it holds more than {most:,} bytes). "
        "Nothing was kept."
    )
    try:
        if member is None:
            with gzip.open(archive, "rb") as content:
                yield from pieces(content, most, too_long)
            return
        with zipfile.ZipFile(archive) as held:
            info = held.getinfo(member)
            if info.compress_type not in _PACKED:
                raise zipfile.BadZipFile(f"{member} is packed by method {info.compress_type}")
            with held.open(info) as content:
                yield from pieces(content, most, too_long)
    except (*_DAMAGED, *_LOCKED) as problem:
        raise DataError(
            f"The file from {address} is not the expected archive ({problem}). Try again, or from "
            "another network."
        ) from None


@contextlib.contextmanager
def aside(path: Path, kind: str) -> Iterator[Path]:
    """Yield a temporary file name beside `path`, and delete the file unless it was renamed."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.{kind}")
    try:
        yield beside
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def write_pieces(beside: Path, content: Iterable[bytes], path: Path) -> str:
    """Write a file and flush it to the disk. Returns its SHA-256.

    Raises:
        DataError: It cannot be written; `path` is its name in the message. Errors of `content` are
            passed on.
    """
    digest = hashlib.sha256()
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = beside.open("wb")
    with file:
        for piece in content:
            digest.update(piece)
            with _writing(path):
                file.write(piece)
        with _writing(path):
            file.flush()
            os.fsync(file.fileno())
    return digest.hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write to a temporary file, flush and rename it: `path` is there whole or not at all."""
    with aside(path, "part") as beside:
        write_pieces(beside, [content], path)
        rename(beside, path)


def rename(beside: Path, path: Path) -> None:
    with _writing(path):
        beside.replace(path)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise DataError(
            f"{path} cannot be written: {problem.strerror or problem}. Make room, or name another "
            "folder with XDG_CACHE_HOME."
        ) from None
