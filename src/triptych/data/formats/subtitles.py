"""Read subtitles (.srt, .vtt, .ass), and write them as .srt or .vtt.

Numbers and times stay as they are in the file, in any order; nothing of a file is left out that its
kind has. Files that people have are read although they break rules: numbers with signs before them,
texts of digits alone, empty lines anywhere, times without milliseconds or hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import DataError
from .lines import decode_text, read_bytes
from .subtitle_kinds import (
    SubtitleKind,
    ass_as_srt,
    escaped,
    is_times,
    kind_of,
    unescaped,
    without_notes,
    written_text,
    written_times,
)

# A line that was meant to give times.
NO_TIMES = re.compile(r"\s*\d+:\d+\S*\s*\S*-?>\s*\d+:\d+.*|\s*\d+:\d+:\d+\S*\s+\S+\s+\d+:\d+:\d+.*")
# An arrow without a time on either side is text.
ARROW = re.compile(r"[\s\ufeff]*\d+:\d.*-->|.*?-->\s*\d+:\d")
# Joined files have byte order marks inside; texts from right to left have marks of direction.
INVISIBLE = "\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069"
NUMBER = re.compile(rf"[\s{INVISIBLE}]*-?\d+[\s{INVISIBLE}]*")
NUMBER_LIKE = re.compile(r"[\W_]{0,5}\d+[A-Za-z]?[\W_]{0,5}")  # #3, 3., 12a
LONGEST_TIMES, LONGEST_CUE = 300, 5_000  # characters


@dataclass(frozen=True, slots=True)
class _Places:
    """Name the lines of a file, of which the first to be read has the number `first`."""

    name: str | Path
    first: int = 1

    def __call__(self, place: int) -> str:
        return f"{self.name}:{self.first + place}"


@dataclass(frozen=True, slots=True)
class Cue:
    """Hold one subtitle: its number (None if missing) and times as written, lines and place.

    before: notes of a .vtt that stand before it, with the empty lines after them.
    """

    number: str | None
    times: str
    lines: tuple[str, ...]
    place: str = ""  # file:line
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subtitles:
    """Hold a file. newline: the end of its lines; mark: it begins with a byte order mark.

    kind: of the file; header: the first lines of a .vtt.
    """

    cues: list[Cue]
    newline: str = "\n"
    mark: bool = False
    kind: SubtitleKind = "srt"
    header: tuple[str, ...] = ()

    def to_bytes(self, kind: SubtitleKind | None = None) -> bytes:
        """Write the file, of its own kind or of another."""
        found = self if kind in (None, self.kind) else self._of(kind or self.kind)
        blocks = [[*found.header, ""]] if found.header else []
        for cue in found.cues:
            lines = [escaped(one) for one in cue.lines] if found.kind == "vtt" else [*cue.lines]
            number = [] if cue.number is None else [cue.number]
            blocks.append([*cue.before, *number, cue.times, *lines, ""])
        text = "".join(f"{line}{found.newline}" for block in blocks for line in block)
        return text.encode("utf-8-sig" if found.mark else "utf-8")

    def _of(self, kind: SubtitleKind) -> Subtitles:
        """Return the subtitles as another kind has them; numbers count where .vtt has none."""
        cues = [
            replace(
                cue,
                number=cue.number
                if cue.number is not None and (kind == "vtt" or NUMBER.fullmatch(cue.number))
                else None
                if kind == "vtt"
                else str(place),
                times=written_times(cue.times, kind),
                lines=tuple(written_text(line, kind) for line in cue.lines),
                before=(),
            )
            for place, cue in enumerate(self.cues, 1)
        ]
        header = ("WEBVTT",) if kind == "vtt" else ()
        return Subtitles(cues, self.newline, self.mark and kind == "srt", kind, header)


def read_subtitles(path: str | Path, encoding: str | None = None) -> Subtitles:
    """Read a file of subtitles, of the kind that its name says.

    encoding: that of the file, if it is not one that `decode_text` reads by itself.

    Raises DataError with file and line for bytes that are not in the encoding, an invalid time, and
    text that belongs to no cue.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path} cannot be read: there is no such file. Name a file of subtitles (.srt, .vtt, "
            ".ass)."
        )
    raw = read_bytes(path)
    text = decode_text(raw, str(path), encoding)
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
    mark, kind = raw.startswith(b"\xef\xbb\xbf"), kind_of(path)
    if kind == "vtt":
        return _vtt(text.split("\n"), path, newline, mark)
    if path.name.lower().removesuffix(".gz").endswith((".ass", ".ssa")):
        cues = _cues(ass_as_srt(text, str(path)).split("\n"), _Places(path))
        cues = [
            replace(cue, place=f"{path}: dialogue {place}") for place, cue in enumerate(cues, 1)
        ]
        return Subtitles(cues, newline, mark)
    return Subtitles(_cues(text.split("\n"), _Places(path)), newline, mark)


def stream_cues(lines: Iterable[str], name: str) -> Iterator[Cue]:
    """Yield the cues of a .srt that is still being written, each at the empty line after its text.

    Args:
        lines: Lines with or without their ends.
        name: What errors and places call the stream.

    Raises:
        DataError: A line belongs to no cue, or a time is invalid. Cues before it were yielded.
    """
    held, first = list[str](), 1
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if held or not _is_blank(text):
            first = first if held else number
            held.append(text)
        is_long = sum(map(len, held)) > LONGEST_CUE
        if is_long or (_is_blank(text) and _has_text(held)):
            yield from _cues(held, _Places(name, first))
            held = []
    if any(not _is_blank(line) for line in held):
        yield from _cues(held, _Places(name, first))


def _has_text(lines: list[str]) -> bool:
    """Tell whether lines hold the times of a cue and something after them."""
    times = next((place for place, line in enumerate(lines) if _means_times(line)), len(lines))
    return any(not _is_blank(line) for line in lines[times + 1 :])


def _vtt(lines: list[str], path: Path, newline: str, mark: bool) -> Subtitles:
    header, notes, left = without_notes(lines, str(path))
    cues, found, rest = _cues(left, _Places(path)), list[Cue](), sorted(notes)
    for cue in cues:
        place = int(cue.place.rsplit(":", 1)[1]) - 1
        before = [one for one in rest if one < place]
        rest = rest[len(before) :]
        found.append(
            replace(
                cue,
                lines=tuple(map(unescaped, cue.lines)),
                before=tuple(line for one in before for line in (*notes[one], "")),
            )
        )
    return Subtitles(found, newline, mark, "vtt", header)


def _cues(lines: list[str], places: _Places) -> list[Cue]:
    heads = _heads(lines, places)
    first = heads[0][0] if heads else len(lines)
    for place in range(first):
        if not _is_blank(lines[place]):
            line = lines[place].strip()[:60]
            raise DataError(
                f"{places(place)}: '{line}' belongs to no cue. A cue begins with a number and "
                "a line of times."
            )
    if not heads:
        raise DataError(
            f"{places.name} holds no subtitle. A cue is a number, a line like 00:00:01,000 --> "
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
                f"{places(start)}: the cue has {sum(map(len, text)):,} characters; at most "
                f"{LONGEST_CUE:,} are allowed."
            )
        cues.append(
            Cue(
                lines[start] if start < times else None,
                lines[times],
                tuple(text),
                places(start),
            )
        )
    return cues


def _heads(lines: list[str], places: _Places) -> list[tuple[int, int]]:
    """Return the line each cue begins at and the line of its times.

    A cue may begin without an empty line before it, and empty lines may separate its number and
    times.
    """
    heads: list[tuple[int, int]] = []
    shapes: set[str] = set()
    for place, line in enumerate(lines):
        if _means_times(line):
            _check_times(line, places(place))
            start = _start(lines, place, heads[-1][1] if heads else -1, shapes)
            shapes |= {_shape(lines[start])} if start < place else set()
            heads.append((start, place))
    for place, line in enumerate(lines):
        if NUMBER.fullmatch(line) and (place == 0 or _is_blank(lines[place - 1])):
            _refuse_lost_times(lines, place, heads, places)
    return heads


def _refuse_lost_times(
    lines: list[str], place: int, heads: list[tuple[int, int]], places: _Places
) -> None:
    """Raise DataError for a number whose times are missing.

    Digits alone may be a text too: they are the number of a cue only if it is the next one and no
    cue has it later.
    """
    if any(start <= place <= times for start, times in heads):
        return
    following = place + 1
    while following < len(lines) and _is_blank(lines[following]):
        following += 1
    before = [start for start, times in heads if times < place]
    after = next((start for start, _ in heads if start > place), None)
    if following == after or (following == len(lines) and before):
        return  # the last line of a cue
    last = _number(lines[before[-1]]) if before else None
    if before and (last is None or _number(lines[place]) != last + 1):
        return
    if after is not None and before and _number(lines[after]) == _number(lines[place]):
        return
    text = lines[following].strip()[:60] if following < len(lines) else ""
    raise DataError(
        f"{places(following)}: '{text}' is not a time, which must follow number "
        f"{lines[place].strip()[:40]} of line {places.first + place}; times are written "
        "00:00:01,000 --> 00:00:03,500."
    )


def _number(line: str) -> int | None:
    found = re.search(r"-?\d+", line) if NUMBER.fullmatch(line) else None
    return int(found[0]) if found is not None and len(found[0]) < 10 else None


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
    if not is_times(line):
        raise DataError(
            f"{place}: '{line.strip()[:60]}' is not a time; times are written 00:00:01,000 --> "
            "00:00:03,500."
        )
