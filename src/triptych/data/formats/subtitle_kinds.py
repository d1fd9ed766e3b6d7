"""Know the kinds of subtitles: SubRip (.srt), WebVTT (.vtt) and Advanced SubStation Alpha (.ass).

Texts and times of one kind are written as another needs them; pysubs2 reads .ass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ...errors import DataError, brief
from .foreign.foreign_file import extra_missing

SubtitleKind = Literal["srt", "vtt"]
ENDINGS = (".srt", ".vtt", ".ass", ".ssa")
STAMP = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})(?:[,.](\d{1,3}))?"
TIMES = re.compile(rf"[\s\ufeff]*{STAMP}\s*-->\s*{STAMP}((?:\s.*)?)")
_NOTE = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_ENTITIES = {"&nbsp;": "\u00a0", "&lrm;": "\u200e", "&rlm;": "\u200f", "&amp;": "&"}
_CLOCK = re.compile(r"<\d[\d:.]*>")  # when a word is sung
_VTT_TAG = re.compile(r"</?(?:v|c|lang|ruby|rt)\b[^<>]*>")
_CLASSES = re.compile(r"<([biu])\.[^<>]*>")
_SRT_TAG = re.compile(r"</?(?!/?[biu]>)[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_NO_TAG = re.compile(r"<(?!/?[biu]>)")
_BARE = re.compile(r"&(?![lg]t;)")


def is_subtitles(path: str | Path) -> bool:
    """Tell by its name whether a file holds subtitles."""
    return str(path).lower().removesuffix(".gz").endswith(ENDINGS)


def kind_of(path: str | Path) -> SubtitleKind:
    """Return the kind in which a file is written; .ass is read as .srt."""
    return "vtt" if str(path).lower().removesuffix(".gz").endswith(".vtt") else "srt"


def is_times(line: str) -> bool:
    """Tell whether a line gives the times of a cue."""
    found = TIMES.fullmatch(line)
    return found is not None and all(int(found[number]) <= 59 for number in (2, 3, 6, 7))


def span_of(times: str) -> tuple[int, int]:
    """Return the beginning and end of a cue in milliseconds."""
    found = TIMES.fullmatch(times)
    assert found is not None, "a cue's times are checked where they are read"
    parts = found.groups()
    begin, end = (
        ((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000
        + int((milliseconds or "0").ljust(3, "0"))
        for hours, minutes, seconds, milliseconds in (parts[:4], parts[4:8])
    )
    return begin, end


def written_times(times: str, kind: SubtitleKind) -> str:
    """Return a line of times as a kind of subtitles has it, without positions on the screen."""
    point = "," if kind == "srt" else "."
    return " --> ".join(
        f"{one // 3_600_000:02}:{one // 60_000 % 60:02}:{one // 1000 % 60:02}{point}{one % 1000:03}"
        for one in span_of(times)
    )


def written_text(line: str, kind: SubtitleKind) -> str:
    """Return a line of text of the other kind as this one has it: <b>, <i> and <u> stay."""
    if kind == "srt":
        plain = _CLASSES.sub(r"<\1>", _VTT_TAG.sub("", line))
        return plain.replace("&lt;", "<").replace("&gt;", ">")
    return _NO_TAG.sub("&lt;", _SRT_TAG.sub("", line))


def escaped(line: str) -> str:
    """Write signs that WebVTT reserves as it demands."""
    return _BARE.sub("&amp;", line).replace("-->", "--&gt;")


def unescaped(line: str) -> str:
    """Read the signs that WebVTT writes as entities, except < and >, which would look like tags."""
    line = _CLOCK.sub("", line)
    for entity, sign in _ENTITIES.items():
        line = line.replace(entity, sign)
    return line


def without_notes(
    lines: Sequence[str], where: str
) -> tuple[tuple[str, ...], dict[int, tuple[str, ...]], list[str]]:
    """Part the lines of a .vtt.

    Returns the header, the blocks of notes and styles by the place of their first line, and all
    lines, empty where those stand.

    Raises DataError if the file does not begin as WebVTT does.
    """
    if not lines or not re.match(r"\ufeff?WEBVTT(?:[ \t]|$)", lines[0]):
        raise DataError(f"{where}:1: a .vtt file begins with WEBVTT, this one does not.")
    found, notes, left = list(lines), dict[int, tuple[str, ...]](), list(lines)
    place = 0
    header: tuple[str, ...] = ()
    while place < len(found):
        begins = place == 0 or (
            not found[place - 1].strip() and _NOTE.match(found[place]) is not None
        )
        end = place + 1
        if begins:
            while end < len(found) and found[end].strip() and "-->" not in found[end]:
                end += 1
            block = tuple(found[place:end])
            header, notes = (block, notes) if place == 0 else (header, notes | {place: block})
            left[place:end] = [""] * (end - place)
        place = end
    return header, notes, left


def ass_as_srt(text: str, where: str) -> str:
    """Return the dialogues of an .ass or .ssa file as .srt, in the order of their times.

    Raises DataError if the file is damaged, UsageError if pysubs2 is not installed.
    """
    try:
        import pysubs2
    except ImportError:
        raise extra_missing(where, "pysubs2") from None
    try:
        found = pysubs2.SSAFile.from_string(text, format_="ass")
    except (pysubs2.Pysubs2Error, ValueError, KeyError, IndexError) as problem:
        raise DataError(
            f"{where} is not whole SubStation Alpha ({brief(problem)}). Copy it again."
        ) from None
    found.sort()
    return found.to_string("srt")
