r"""Read the bytes and lines of users' files, plain or gzipped.

Only "\n" ends a line: U+2028 and similar characters are text. Errors name file and line. A byte
order mark (U+FEFF) at the beginning of a line is left over from joining files and is not text.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ...errors import DataError
from ..example import Notify

MARK = "\ufeff"  # the byte order mark
LONGEST_LINE_BYTES = 64 << 20  # of a compressed file; the next is for files that are one document
LONGEST_DOCUMENT_BYTES = 1 << 30
PIECE_BYTES = 1 << 20


def read_bytes(
    path: str | Path, longest: int = LONGEST_LINE_BYTES, gzipped: bool | None = None
) -> bytes:
    """Read a file, decompressed if its name ends in .gz.

    Args:
        path: The file.
        longest: The most bytes of one line of decompressed data, or of anything but a regular file
            (a pipe, a device): a few bytes of gzip can expand to gigabytes, and a device never
            ends. A regular file's size is known to its owner.
        gzipped: True if it is compressed although its name does not show it.

    Raises:
        DataError: It cannot be read, or one of its lines is too long.
    """
    path = Path(path)
    gzipped = path.suffix == ".gz" if gzipped is None else gzipped
    with readable(path):
        if not gzipped and (path.is_file() or path.is_dir()):
            return path.read_bytes()
        with gzip.open(path, "rb") if gzipped else open(path, "rb") as file:
            return _bounded(file, path, longest)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise DataError for errors of the system or a damaged gzip file while `path` is read."""
    try:
        yield
    except FileNotFoundError:
        raise missing(path) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a file in it.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise DataError(f"{path} is not a whole gzip file ({problem}). Copy it again.") from None
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror or problem}.") from None


def _bounded(file: IO[bytes] | gzip.GzipFile, path: Path, longest: int) -> bytes:
    """Read `file` in pieces. Raises DataError at the first line longer than `longest` bytes."""
    parts: list[bytes] = []
    held = 0  # bytes of the line that is being read
    while part := file.read(PIECE_BYTES):
        parts.append(part)
        first = part.find(b"\n")
        held += len(part) if first < 0 else first
        if held > longest:
            number = sum(one.count(b"\n") for one in parts[:-1]) + 1
            raise DataError(
                f"{path}:{number}: the line has over {longest:,} bytes. If that is right, "
                "decompress the file first (gunzip); otherwise it is damaged or made to fill the "
                "memory."
            )
        if first >= 0:
            held = len(part) - part.rfind(b"\n") - 1
    return b"".join(parts)


def missing(path: Path) -> DataError:
    """Return the error for a file that does not exist."""
    return DataError(
        f"There is no file {path}. Check the path; it is relative to the current folder, or in a "
        "recipe to the recipe's folder."
    )


def lines_of(path: str | Path, report: Notify | None = None) -> list[str]:
    """Read the lines of a UTF-8 text file, without their ends.

    Args:
        path: The file, plain or gzipped.
        report: Receives a sentence on byte order marks inside the file, if there are any.

    Raises:
        DataError: Names the first line that is not UTF-8.
    """
    return decode_lines(read_bytes(path), str(path), report)


def marked_lines(raw: bytes) -> list[int]:
    """Return the numbers of the lines after the first that begin with a byte order mark."""
    mark = MARK.encode()
    if mark not in raw[1:]:
        return []
    return [
        number
        for number, line in enumerate(raw.split(b"\n"), 1)
        if number > 1 and line.startswith(mark)
    ]


def not_utf8(place: str, byte: int, utf16: bool = False) -> DataError:
    """Return the error for a byte that is not UTF-8."""
    return DataError(
        f"{place}: byte 0x{byte:02X} is not UTF-8. Convert the file (for example: iconv -f "
        f"{'utf-16' if utf16 else 'latin1'} -t utf-8), or list all such lines with: triptych data "
        "check."
    )


def decode_text(raw: bytes, where: str) -> str:
    """Decode a file; `where` is its name in errors.

    Raises DataError naming the first line that is not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise not_utf8(
            f"{where}:{line}", raw[problem.start], raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        ) from None


def decode_lines(raw: bytes, where: str, report: Notify | None = None) -> list[str]:
    """Decode and split a file; `where` is its name in errors, `report` as in `lines_of`."""
    text = decode_text(raw, where)
    lines = text.split("\n")
    if MARK in text:
        lines = [line.lstrip(MARK) for line in lines]
        report_marks(where, marked_lines(raw) if report is not None else [], report)
    if lines and lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def report_marks(where: str, marked: Sequence[int], report: Notify | None) -> None:
    """Report the lines that begin with a byte order mark."""
    if report is not None and marked:
        several = f"{len(marked):,} byte order marks" if len(marked) > 1 else "a byte order mark"
        first = f"the first in line {marked[0]:,}" if len(marked) > 1 else f"in line {marked[0]:,}"
        report(f"{where}: {several} inside the file ({first}), where files were joined; left out.")


def stop(place: str, reason: str) -> None:
    """Raise DataError: the default of readers, which can also go on after an error."""
    raise DataError(f"{place}: {reason}")
