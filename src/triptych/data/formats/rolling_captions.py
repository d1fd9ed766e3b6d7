"""Find captions that roll, as YouTube's automatic ones do: each cue repeats the line before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .subtitles import Cue

TAG = re.compile(r"<[^<>]*>")  # of a word's time or colour
LEAST_ROLLING = 0.5  # of the cues repeat a line; a dialogue or a refrain repeats far fewer
FEWEST_CUES = 4


def unrolled(cues: Sequence[Cue]) -> list[Cue] | None:
    """Return the cues without the lines that they repeat; None if they do not roll.

    A cue that has only such lines is left out: the text was shown when it was new.
    """
    texts = [[_plain(line) for line in cue.lines if _plain(line)] for cue in cues]
    repeated = [0, *map(_overlap, texts, texts[1:])][: len(cues)]
    if len(cues) < FEWEST_CUES or sum(map(bool, repeated)) < LEAST_ROLLING * (len(cues) - 1):
        return None
    found: list[Cue] = []
    for cue, count in zip(cues, repeated, strict=True):
        lines = [line for line in cue.lines if _plain(line)]
        if lines[count:]:
            found.append(replace(cue, lines=tuple(lines[count:])))
    return found


def _overlap(before: Sequence[str], after: Sequence[str]) -> int:
    """Return how many first lines of a cue are the last lines of the cue before."""
    most = min(len(before), len(after))
    return next((count for count in range(most, 0, -1) if before[-count:] == after[:count]), 0)


def _plain(line: str) -> str:
    return " ".join(TAG.sub("", line).split())
