"""Find the files of public sets in $TRIPTYCH_DATA or the user cache, else fetch and check them."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError
from ..example import Notify
from ..formats.lines import decode_lines, readable
from .download import aside, pieces, received, rename, unpacked, write_pieces
from .entry import Entry, File
from .sizes import BYTES

MOST_BYTES = 256 << 20  # of a file whose size is not in `sizes`
ARCHIVE_BYTES = 1 << 20  # allowed in an archive beside its known files


def file_lines(entry: Entry, file: str, report: Notify | None = None) -> list[str]:
    """Read the lines of one file of a set, checked against its digest."""
    return decode_lines(file_bytes(entry, file, report), file)


def file_bytes(entry: Entry, file: str, report: Notify | None = None) -> bytes:
    """Read one file of a set, decompressed, checked against its digest."""
    one = next(one for one in entry.files if one.name == file)
    path = locate(entry, one, report)
    found = b"".join(_read(entry, one, path))
    _check(one, hashlib.sha256(found).hexdigest(), str(path))
    return found


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych"


def find(entry: Entry, file: File) -> Path | None:
    """Return the path of a file of the set, possibly gzipped: $TRIPTYCH_DATA first, then the cache.

    None if it is in neither.
    """
    given = os.environ.get("TRIPTYCH_DATA")
    names = [entry.name, *([entry.folder] if entry.folder else [])]
    for folder in [
        root / one for root in ([Path(given)] if given else []) + [cache_folder()] for one in names
    ]:
        for path in (folder / file.name, folder / f"{file.name}.gz"):
            if path.exists():
                return path
    return None


def locate(entry: Entry, file: File, report: Notify | None = None) -> Path:
    """Return the file's path, after fetching it into the cache if needed. Raises DataError."""
    return find(entry, file) or _fetch(entry, file, report or (lambda message: None))


def fetch(entry: Entry, report: Notify | None = None) -> list[Path]:
    """Fetch all files of a set, each checked against its digest."""
    paths = []
    for file in entry.files:
        path = locate(entry, file, report)
        digest = hashlib.sha256()
        for piece in _read(entry, file, path):
            digest.update(piece)
        _check(file, digest.hexdigest(), str(path))
        paths.append(path)
    return paths


def most_bytes(entry: Entry, file: File) -> int:
    """Return the most bytes of a decompressed file: its known size, else MOST_BYTES."""
    return BYTES.get(entry.name, {}).get(file.name, MOST_BYTES)


def _sent_bytes(entry: Entry, file: File) -> int:
    """Return the most bytes that a file's address may send.

    An archive may hold other files of the set too, and has headers of its own.
    """
    if file.member is None and not file.address.endswith(".gz"):
        return most_bytes(entry, file)
    beside = [one for one in entry.files if one.address == file.address]
    return sum(most_bytes(entry, one) for one in beside) + ARCHIVE_BYTES


def _read(entry: Entry, file: File, path: Path) -> Iterator[bytes]:
    """Yield the pieces of a local file, decompressed. Raises DataError if it is too long."""
    most = most_bytes(entry, file)
    too_long = (
        f"{path} is not the expected file: it has more than {most:,} bytes. Delete it and fetch it "
        "again."
    )
    with (
        readable(path),
        gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as content,
    ):
        yield from pieces(content, most, too_long)


def _check(file: File, digest: str, where: str) -> None:
    if digest != file.sha256:
        raise DataError(
            "{where} is not the expected file: its SHA-256 is {digest}, expected "
            "{sha256}. Delete it and fetch it again.",
            where=where,
            digest=digest,
            sha256=file.sha256,
        )


def _fetch(entry: Entry, file: File, report: Notify) -> Path:
    name = entry.name
    if file.address.endswith("/"):
        raise DataError(
            "{name}/{name2} is not on this machine and cannot be fetched as one "
            "file: it is a tar of the folder {address}. Put it into "
            "$TRIPTYCH_DATA/{name}/ or {cache_folder}/, plain or as {name2}.gz.",
            name=name,
            name2=file.name,
            address=file.address,
            cache_folder=cache_folder() / name,
        )
    report(f"Fetching {file.name} of {name} from {file.address}")
    advice = (
        f"{name}/{file.name} is not on this machine and could not be fetched from {file.address} "
        f"({{reason}}). Put it into $TRIPTYCH_DATA/{name}/ or {cache_folder() / name}/, or go "
        "online and try again."
    )
    path = cache_folder() / name / file.name
    with aside(path, "sent") as sent, aside(path, "part") as part:
        digest = write_pieces(sent, received(file.address, _sent_bytes(entry, file), advice), path)
        if file.member is not None or file.address.endswith(".gz"):
            digest = write_pieces(
                part, unpacked(sent, file.member, most_bytes(entry, file), file.address), path
            )
        _check(file, digest, file.address)
        rename(part if part.exists() else sent, path)
    return path
