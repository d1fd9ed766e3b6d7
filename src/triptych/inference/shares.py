"""Divide the lines of a file into blocks, and the blocks among processes. Imports no torch."""

from __future__ import annotations

import hashlib
import os
from array import array
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..data.formats.encodings import wide_mark
from ..data.formats.lines import conversion, missing
from ..errors import DataError, UsageError, shell_command

BEGINNING = 4  # bytes that tell a compressed file or wide characters


def line_of(raw: bytes) -> str:
    """Return a line without its end, and without byte order marks from files that were joined."""
    return raw.removeprefix(BOM_UTF8).rstrip(b"\r\n").decode()


def refuse_not_lines(beginning: bytes, path: Path) -> None:
    """Raise DataError for a compressed file, another binary one, or one of wide characters."""
    if beginning.startswith(b"\x1f\x8b"):
        raise DataError(
            "{path} is compressed. Write its lines into a file first: {command}",
            path=path,
            command=f"{shell_command('gunzip', '-c', path)} > lines.txt",
        )
    if (wide := wide_mark(beginning)) is not None:
        raise DataError(
            "{path} is in {encoding}, not UTF-8. Convert it first: iconv -f {encoding} -t utf-8.",
            path=path,
            encoding=wide,
        )


@dataclass(frozen=True)
class LineFile:
    """Describe a file of UTF-8 lines, of which blocks are read one at a time.

    Args:
        path: The file.
        bytes: Its size.
        sha256: Of its content.
        lines: How many there are.
        block_lines: Lines of a block; the last may have fewer.
        places: Where each block begins, in bytes.
        changed: When the file was changed last, in nanoseconds.
    """

    path: Path
    bytes: int
    sha256: str
    lines: int
    block_lines: int
    places: array[int]
    changed: int

    @classmethod
    def scan(cls, path: Path, block_lines: int) -> LineFile:
        """Read a file once, keeping no line. Raise DataError for bytes that are not UTF-8."""
        if path.is_dir():
            raise DataError("{path} is a folder. Name one file of lines.", path=path)
        if not path.exists():
            raise missing(path)
        if not path.is_file():
            raise DataError(
                "{path} is a pipe or a device, and its lines are read more than once. Write them "
                "into a file first: {command}",
                path=path,
                command=f"{shell_command('cat', path)} > lines.txt",
            )
        digest, lines, size, places = hashlib.sha256(), 0, 0, array("q")
        with open(path, "rb") as file:
            changed = os.fstat(file.fileno()).st_mtime_ns
            refuse_not_lines(file.read(BEGINNING), path)
            file.seek(0)
            for raw in file:
                if lines % block_lines == 0:
                    places.append(size)
                digest.update(raw)
                lines, size = lines + 1, size + len(raw)
                try:
                    line_of(raw)
                except UnicodeDecodeError as error:
                    raise DataError(
                        "{path}:{line}: byte 0x{byte:02X} is not UTF-8; nothing was answered. "
                        "{conversion}",
                        path=path,
                        line=lines,
                        byte=error.object[error.start],
                        conversion=conversion(raw),
                    ) from None
        return cls(path, size, digest.hexdigest(), lines, block_lines, places, changed)

    @property
    def blocks(self) -> int:
        return len(self.places)

    def first(self, block: int) -> int:
        """Return the number of a block's first line, from 1."""
        return block * self.block_lines + 1

    def length(self, block: int) -> int:
        """Return how many lines a block has."""
        return min(self.block_lines, self.lines - block * self.block_lines)

    def read(self, block: int) -> list[str]:
        """Return the lines of a block. Raise DataError where the file was changed meanwhile."""
        with open(self.path, "rb") as file:
            about = os.fstat(file.fileno())
            if (about.st_size, about.st_mtime_ns) != (self.bytes, self.changed):
                raise DataError(
                    "{path} was changed while it was being answered. Answer it again from the "
                    "beginning, to another --out.",
                    path=self.path,
                )
            file.seek(self.places[block])
            return [line_of(file.readline()) for _ in range(self.length(block))]


@dataclass(frozen=True)
class Share:
    """Say which blocks a process answers: of every `count`, the one numbered `number`.

    Numbers from 0 and from 1 divide the blocks alike: 4/4 is 0/4.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def read(cls, text: str) -> Share:
        """Return the share that "2/4" names. Raises UsageError for anything else."""
        number, slash, count = text.partition("/")
        if slash and number.isdecimal() and count.isdecimal() and int(number) <= int(count) > 0:
            return cls(int(number), int(count))
        raise UsageError(
            "--shard {text} is not a share like 2/4: give k/n with k from 0 to n, auto, or join.",
            text=text,
        )

    def blocks(self, count: int) -> range:
        """Return the blocks of this share, among `count`."""
        return range(self.number % self.count, count, self.count)


# How launchers number their processes: name of the number, of the count, of the least number.
NUMBERED = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", None),
    ("RANK", "WORLD_SIZE", None),
    ("SLURM_PROCID", "SLURM_NTASKS", None),
)


def share_of(environment: Mapping[str, str]) -> tuple[Share, str]:
    """Return the share that a launcher gives this process, and the variable that says so.

    It is a task of a Slurm array, a pod of an indexed Job, a process of torchrun or of srun.

    Raises:
        UsageError: No launcher's variables are set, or they do not fit together.
    """
    for name, counted, least in NUMBERED:
        if name not in environment:
            continue
        given = [environment.get(one, "") for one in (name, counted)]
        given.append(environment.get(least, "0") if least is not None else "0")
        if not all(one.isdecimal() for one in given):
            raise UsageError(
                "--shard auto: {name} is set, but {counted} is not a number. Set it, or give "
                "--shard k/n.",
                name=name,
                counted=counted,
            )
        number, count, lowest = map(int, given)
        if not 0 <= number - lowest < count:
            raise UsageError(
                "--shard auto: {name} is {number}, but {counted} is {count}: the numbers have "
                "gaps. Give --shard k/n.",
                name=name,
                number=number,
                counted=counted,
                count=count,
            )
        return Share(number - lowest, count), name
    raise UsageError(
        "--shard auto: none of {names} is set. Start this under Slurm, an indexed Job or "
        "torchrun, or give --shard k/n.",
        names=", ".join(name for name, *_ in NUMBERED),
    )
