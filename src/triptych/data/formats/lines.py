r"""Read the bytes and lines of users' files, plain or gzipped.

Files are UTF-8, or UTF-16 or UTF-32 with a byte order mark, or in the encoding that the user names.
Only "\n" ends a line, or "\r" in a file without "\n": U+2028 and similar characters are text.
Errors name file and line. A byte order mark (U+FEFF) at the beginning of a line is left over from
joining files and is not text.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ...errors import DataError
from ...messages import message
from ..example import Notify
from .encodings import guessed, known, wide_mark, without_mark
from .refused import refuse_binary

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
        raise DataError("{path} is a folder; name a file in it.", path=path) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise DataError(
            "{path} is not a whole gzip file ({problem}). Copy it again.",
            path=path,
            problem=problem,
        ) from None
    except OSError as problem:
        raise DataError(
            "{path} cannot be read: {value}.", path=path, value=problem.strerror or problem
        ) from None


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
                "{path}:{number}: the line has over {longest:,} bytes. If that is "
                "right, decompress the file first (gunzip); otherwise it is damaged or "
                "made to fill the memory.",
                path=path,
                number=number,
                longest=longest,
            )
        if first >= 0:
            held = len(part) - part.rfind(b"\n") - 1
    return b"".join(parts)


def missing(path: Path) -> DataError:
    """Return the error for a file that does not exist."""
    return DataError(
        "There is no file {path}. Check the path; it is relative to the "
        "current folder, or in a recipe to the recipe's folder.",
        path=path,
    )


def refuse_nothing(path: Path) -> None:
    """Raise DataError for a file that does not exist, or is empty."""
    if not path.exists():
        raise missing(path)
    if path.is_file() and path.stat().st_size <= PIECE_BYTES and not read_bytes(path).strip():
        raise DataError("{path} is empty.", path=path)


def lines_of(
    path: str | Path, report: Notify | None = None, encoding: str | None = None
) -> list[str]:
    """Read the lines of a text file, without their ends.

    Args:
        path: The file, plain or gzipped.
        report: Receives a sentence on byte order marks inside the file, if there are any.
        encoding: That of the file, if it is not one that `decode_text` reads by itself.

    Raises:
        DataError: Names the first line that is not in its encoding.
    """
    return decode_lines(read_bytes(path), str(path), report, encoding)


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


def not_utf8(place: str, byte: int, raw: bytes = b"") -> DataError:
    """Return the error for a byte that is not UTF-8. raw: what shows the encoding that it is in."""
    return DataError(
        "{place}: byte 0x{byte:02X} is not UTF-8. {advice}",
        place=place,
        byte=byte,
        advice=advice(raw),
    )


def advice(raw: bytes) -> str:
    """Return a sentence on how to read a file that is not UTF-8."""
    guess = guessed(raw)
    if guess is None:
        return message(
            "Correct the line or convert the file, or name its encoding with "
            "--encoding. List all such lines with: triptych data check.",
        )
    return message("{guess}. List all such lines with: triptych data check.", guess=str(guess))


def conversion(raw: bytes) -> str:
    """Return the advice on a text for which no encoding can be named."""
    guess = guessed(raw)
    name = "cp1252" if guess is None else guess.name
    return f"Convert it, for example: iconv -f {name} -t utf-8."


def decode_text(
    raw: bytes, where: str, encoding: str | None = None, advise: Callable[[bytes], str] = advice
) -> str:
    """Decode a file, without its byte order mark.

    Args:
        raw: The bytes of the file.
        where: Its name in errors.
        encoding: That of the file; None: UTF-8, or UTF-16 or UTF-32 with a byte order mark.
        advise: Says from the bytes what to do about a file that is not UTF-8.

    Raises:
        DataError: Names the first line that is not in the encoding.
        UsageError: There is no such encoding.
    """
    refuse_binary(raw, where)
    if is_packed(raw):
        raise DataError(
            "{where} is a ZIP archive (as .xlsx and .docx are), not text. Save it as text or CSV.",
            where=where,
        )
    name = known(encoding) if encoding is not None else wide_mark(raw) or "utf-8-sig"
    try:
        text = raw.decode(name)
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].decode(name, "ignore").count("\n") + 1
        byte = raw[problem.start] if problem.start < len(raw) else 0
        if name == "utf-8-sig":
            raise DataError(
                "{where}:{line}: byte 0x{byte:02X} is not UTF-8. {advise}",
                where=where,
                line=line,
                byte=byte,
                advise=advise(raw),
            ) from None
        given = f"--encoding {encoding}" if encoding is not None else f"{name} by its first bytes"
        raise DataError(
            f"{where}:{line}: byte 0x{byte:02X} is not in the encoding ({given}). "
            + ("" if encoding is None else advice(raw))
        ) from None
    wide = without_mark(raw) if encoding is None and name == "utf-8-sig" else None
    if wide is not None:
        raise DataError("{where}:1: many bytes are zero. {advise}", where=where, advise=advise(raw))
    return with_newlines(text.removeprefix(MARK))


def with_newlines(text: str) -> str:
    """Return a text whose lines end in carriage returns alone (old Mac files) with newlines."""
    return text if "\n" in text else text.replace("\r", "\n")


def encoding_of(path: Path, encoding: str | None) -> str:
    """Return what a user calls the encoding in which a text file is read.

    encoding: that which the user named; None: the first bytes of the file say it.
    """
    if encoding is not None:
        return "UTF-8" if known(encoding) == "utf-8-sig" else encoding
    with readable(path), gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return (wide_mark(file.read(4)) or "utf-8").upper()


def is_packed(raw: bytes) -> bool:
    """Tell whether a file is a ZIP archive, as .xlsx is, and so not text."""
    return raw.startswith(b"PK\x03\x04")


def as_utf8(raw: bytes, where: str, encoding: str | None = None) -> bytes:
    """Return the content of a file in UTF-8, for readers of bytes. See `decode_text`."""
    refuse_binary(raw, where)
    if encoding is None and wide_mark(raw) is None:
        return raw if b"\n" in raw else raw.replace(b"\r", b"\n")
    return decode_text(raw, where, encoding).encode("utf-8", "replace")


def decode_lines(
    raw: bytes, where: str, report: Notify | None = None, encoding: str | None = None
) -> list[str]:
    """Decode and split a file; the arguments are those of `lines_of` and `decode_text`."""
    text = decode_text(raw, where, encoding)
    lines = text.split("\n")
    if MARK in text:
        marked = [number for number, line in enumerate(lines, 1) if line.startswith(MARK)]
        lines = [line.lstrip(MARK) for line in lines]
        report_marks(where, [number for number in marked if number > 1], report)
    if lines and lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def report_marks(where: str, marked: Sequence[int], report: Notify | None) -> None:
    """Report the lines that begin with a byte order mark."""
    if report is not None and marked:
        several = f"{len(marked):,} byte order marks" if len(marked) > 1 else "a byte order mark"
        first = f"the first in line {marked[0]:,}" if len(marked) > 1 else f"in line {marked[0]:,}"
        report(
            message(
                "{where}: {several} inside the file ({first}), where files were joined; left out.",
                where=where,
                several=several,
                first=first,
            )
        )


def stop(place: str, reason: str) -> None:
    """Raise DataError: the default of readers, which can also go on after an error."""
    raise DataError("{place}: {reason}", place=place, reason=reason)
