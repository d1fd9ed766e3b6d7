"""Read SubRip subtitles (.srt), and write them back unchanged.

Numbers and times stay as they are in the file, in any order; nothing of a file is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError

STAMP = r"(\d{1,3}):(\d{2}):(\d{2})[,.](\d{1,3})"
TIMES = re.compile(rf"[\s\ufeff]*{STAMP}\s*-->\s*{STAMP}(?:\s.*)?")
# A line that was meant to give times.
NO_TIMES = re.compile(r"\s*\d+:\d+\S*\s*\S*-?>\s*\d+:\d+.*|\s*\d+:\d+:\d+\S*\s+\S+\s+\d+:\d+:\d+.*")
# An arrow without a time on either side is text.
ARROW = re.compile(r"[\s\ufeff]*\d+:\d.*-->|.*?-->\s*\d+:\d")
# Joined files have byte order marks inside.
NUMBER = re.compile(r"[\s\ufeff]*\d+\s*")
NUMBER_LIKE = re.compile(r"[\W_]{0,5}\d+[A-Za-z]?[\W_]{0,5}")  # #3, 3., 12a
LONGEST_TIMES, LONGEST_CUE = 300, 5_000  # characters


@dataclass(frozen=True, slots=True)
class Cue:
    """Hold one subtitle: its number (None if missing) and times as written, lines and place."""

    number: str | None
    times: str
    lines: tuple[str, ...]
    place: str = ""  # file:line


@dataclass(frozen=True, slots=True)
class Subtitles:
    """Hold a file. newline: the end of its lines; mark: it begins with a byte order mark."""

    cues: list[Cue]
    newline: str = "\n"
    mark: bool = False

    def to_bytes(self) -> bytes:
        blocks = [
            [*([] if cue.number is None else [cue.number]), cue.times, *cue.lines, ""]
            for cue in self.cues
        ]
        text = "".join(f"{line}{self.newline}" for block in blocks for line in block)
        return text.encode("utf-8-sig" if self.mark else "utf-8")


def read_subtitles(path: str | Path) -> Subtitles:
    """Read a file of subtitles.

    Raises DataError with file and line for bytes that are not UTF-8, an invalid time, and text that
    belongs to no cue.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}. Name a file of subtitles (.srt)."
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, kind = (
            raw.count(b"\n", 0, error.start) + 1,
            "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin1",
        )
        raise DataError(
            f"{path}:{line}: byte 0x{raw[error.start]:02X} is not UTF-8. Convert the file, for "
            f"example: iconv -f {kind} -t utf-8"
        ) from None
    cues = _cues(
        text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n").split("\n"), path
    )
    return Subtitles(cues, "\r\n" if "\r\n" in text else "\n", raw.startswith(b"\xef\xbb\xbf"))


def _cues(lines: list[str], path: Path) -> list[Cue]:
    heads = _heads(lines, path)
    first = heads[0][0] if heads else len(lines)
    for place in range(first):
        if not _is_blank(lines[place]):
            line = lines[place].strip()[:60]
            raise DataError(
                f"{path}:{place + 1}: '{line}' belongs to no cue. A cue begins with a number and "
                "a line of times."
            )
    if not heads:
        raise DataError(
            f"{path} holds no subtitle. A cue is a number, a line like 00:00:01,000 --> "
            "00:00:03,500, and its text."
        )
    cues = []
    for (start, times), following in zip(
        heads, [*[head[0] for head in heads[1:]], len(lines)], strict=True
    ):
        text = lines[times + 1 : following]
        while text and _is_blank(text[-1]):
            text.pop()
        while text and _is_blank(text[0]):
            text.pop(0)
        if sum(map(len, text)) > LONGEST_CUE:
            raise DataError(
                f"{path}:{start + 1}: the cue has {sum(map(len, text)):,} characters; at most "
                f"{LONGEST_CUE:,} are allowed."
            )
        cues.append(
            Cue(
                lines[start] if start < times else None,
                lines[times],
                tuple(text),
                f"{path}:{start + 1}",
            )
        )
    return cues


def _heads(lines: list[str], path: Path) -> list[tuple[int, int]]:
    """Return the line each cue begins at and the line of its times.

    A cue may begin without an empty line before it, and empty lines may separate its number and
    times.
    """
    heads: list[tuple[int, int]] = []
    shapes: set[str] = set()
    for place, line in enumerate(lines):
        if _means_times(line):
            _check_times(line, f"{path}:{place + 1}")
            start = _start(lines, place, heads[-1][1] if heads else -1, shapes)
            shapes |= {_shape(lines[start])} if start < place else set()
            heads.append((start, place))
        elif NUMBER.fullmatch(line) and (place == 0 or _is_blank(lines[place - 1])):
            following = next(
                (one for one in range(place + 1, len(lines)) if not _is_blank(lines[one])),
                place + 1,
            )
            after = lines[following] if following < len(lines) else ""
            if not _means_times(after):
                raise DataError(
                    f"{path}:{following + 1}: '{after.strip()[:60]}' is not a time, which must "
                    f"follow number {line.strip()[:40]} of line {place + 1}; times are written "
                    "00:00:01,000 --> 00:00:03,500."
                )
    return heads


def _start(lines: list[str], times: int, taken: int, shapes: set[str]) -> int:
    """Find the line of a cue's number, or of a name in its place, else that of its times.

    Args:
        lines: All lines of the file.
        times: The line of the cue's times.
        taken: The line of the previous cue's times; -1 for the first cue.
        shapes: The forms of the numbers of earlier cues.
    """
    place = times - 1
    while place > taken and _is_blank(lines[place]):
        place -= 1
    if place <= taken:
        return times
    is_number = NUMBER.fullmatch(lines[place]) is not None
    known = is_number or _shape(lines[place]) in shapes
    alone = place == 0 or _is_blank(lines[place - 1])
    if place == times - 1:
        return place if known or alone or NUMBER_LIKE.fullmatch(lines[place]) else times
    return place if known and alone else times


def _shape(line: str) -> str:
    """Return the form of a cue's number, the same for every number: "Cue 0"."""
    return re.sub(r"\d+", "0", line.strip("\ufeff \t"))


def _is_blank(line: str) -> bool:
    """Tell whether a line is empty, or a byte order mark alone, as joined files leave behind."""
    return not line.replace("\ufeff", "").strip()


def _means_times(line: str) -> bool:
    """Tell whether a line is meant to give times, correctly written or not."""
    if len(line) > LONGEST_TIMES and "-->" not in line:
        return False
    return ARROW.match(line) is not None or (
        len(line) <= LONGEST_TIMES and NO_TIMES.fullmatch(line) is not None
    )


def names(subtitles: Subtitles) -> list[Cue]:
    """Return the cues that begin with words instead of a number, if most of the file's do not."""
    found = [
        cue
        for cue in subtitles.cues
        if cue.number is not None and not NUMBER_LIKE.fullmatch(cue.number)
    ]
    return found if 2 * len(found) < len(subtitles.cues) else []


def _check_times(line: str, place: str) -> None:
    found = TIMES.fullmatch(line)
    if found is None or any(int(found[number]) > 59 for number in (2, 3, 6, 7)):
        raise DataError(
            f"{place}: '{line.strip()[:60]}' is not a time; times are written 00:00:01,000 --> "
            "00:00:03,500."
        )
