"""Pair the cues of two files of subtitles of one film by their times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError
from ...messages import message
from ..example import Notify
from .rolling_captions import unrolled
from .subtitle_kinds import is_subtitles, span_of
from .subtitle_units import units
from .subtitles import Cue, read_subtitles

LEAST_SHARED = 0.5  # of the time that either of two cues is shown: a cue cut in two shares less


@dataclass(frozen=True, slots=True)
class TimedText:
    """Hold a cue's text without tags, with its times in milliseconds and its line."""

    begin: int
    end: int
    text: str
    line: int


def read_sides(
    source: Path, target: Path | None, notify: Notify, encoding: str | None = None
) -> Iterator[tuple[int, str, str]] | None:
    """Yield (line of the source, source, target) of cues that are shown together.

    None if neither file holds subtitles. Cues that have no partner are reported, and so are those
    without words.

    Raises DataError if only one file holds subtitles, or as `read_subtitles`.
    """
    if not (is_subtitles(source) or (target is not None and is_subtitles(target))):
        return None
    if target is None or not (is_subtitles(source) and is_subtitles(target)):
        raise DataError(
            f"{source if is_subtitles(source) else target} holds subtitles, in one language. Name "
            "the subtitles of the same film in the other language too."
        )
    sides = [timed_texts(path, notify, encoding) for path in (source, target)]
    pairs = matched(*sides)
    for path, cues in ((source, sides[0]), (target, sides[1])):
        if alone := len(cues) - len(pairs):
            notify(
                message(
                    "{name}: {alone:,} of {cues:,} cues are left out: no cue of the other file is "
                    "shown at the same time.",
                    name=path.name,
                    alone=alone,
                    cues=len(cues),
                )
            )
    if not pairs:
        raise DataError(
            f"No cue of {source} is shown at the time of one of {target}. Are they of the same "
            "film?"
        )
    return ((one.line, one.text, other.text) for one, other in pairs)


def timed_texts(path: Path, notify: Notify, encoding: str | None = None) -> list[TimedText]:
    """Return the cues of a file that have words, in the order of their times."""
    cues = read_subtitles(path, encoding).cues
    fresh = unrolled(cues)
    if fresh is not None:
        notify(
            message(
                "{name}: captions that roll: most cues repeat the line before, as automatic ones "
                "do. Repeated lines are left out, and with them {count:,} cues that have no other.",
                name=path.name,
                count=len(cues) - len(fresh),
            )
        )
        cues = fresh
    found = [_timed(cue, number) for number, cue in enumerate(cues)]
    kept = [one for one in found if any(map(str.isalpha, one.text))]
    wordless = len(cues) - len(kept)
    more = message(", {count:,} of them without words", count=wordless) if wordless else ""
    notify(
        message("{name}: subtitles, {cues:,} cues{more}", name=path.name, cues=len(cues), more=more)
    )
    return sorted(kept, key=lambda one: (one.begin, one.end))


def _timed(cue: Cue, number: int) -> TimedText:
    begin, end = span_of(cue.times)
    found = units(cue, number)
    dash = len(found) > 1  # several speakers: each keeps the dash before its words
    text = " ".join(
        f"{'- ' if dash and one.before.strip().endswith(tuple('-‐–—')) else ''}{one.text}"
        for one in found
        if one.text
    )
    place = cue.place.rsplit(":", 1)[-1]
    return TimedText(begin, end, text, int(place) if place.isdecimal() else number + 1)


def matched(
    source: Sequence[TimedText], target: Sequence[TimedText]
) -> list[tuple[TimedText, TimedText]]:
    """Pair cues each of which shares the most time with the other, and at least LEAST_SHARED."""
    shares: dict[tuple[int, int], float] = {}
    first = 0
    for place, one in enumerate(source):
        # What ends before this cue begins cannot meet a later one either.
        while first < len(target) and target[first].end <= one.begin:
            first += 1
        for other in range(first, len(target)):
            if target[other].begin >= one.end:
                break
            share = _shared(one, target[other])
            if share >= LEAST_SHARED:
                shares[place, other] = share
    best: tuple[dict[int, int], dict[int, int]] = {}, {}
    for pair, share in shares.items():
        for side in (0, 1):
            held = best[side].get(pair[side])
            known = None if held is None else (pair[0], held) if side == 0 else (held, pair[1])
            if known is None or share > shares[known]:
                best[side][pair[side]] = pair[1 - side]
    return [
        (source[one], target[other])
        for one, other in sorted(best[0].items())
        if best[1].get(other) == one
    ]


def _shared(one: TimedText, other: TimedText) -> float:
    """Return the time that both are shown, relative to the time that either is."""
    both = min(one.end, other.end) - max(one.begin, other.begin)
    either = max(one.end, other.end) - min(one.begin, other.begin)
    return both / either if either > 0 else 0.0
