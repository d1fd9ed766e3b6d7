"""Check clips of sound and their texts before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...messages import message
from ..example import Example
from ..features.audio import RATE, SILENT_PEAK, ShortSound
from ..features.clips import clip_samples
from ..formats.clips import Columns, clips
from .pairs import Problem, Report, as_problem

LONG_SECONDS = 30.0
SHORTEST_SECONDS = 0.04  # a frame of an encoder
# no language is spoken faster: characters a second, of alphabets and of Chinese
FASTEST = 35.0
CLIPPED, CLIPPED_SHARE = 0.999, 0.005  # of full scale, and of the samples
KINDS = (  # of problems, as a user is told of them in another language
    *(message("unreadable sound"), message("silent"), message("clipped"), message("long sound")),
    *(message("short sound"), message("too much text"), message("same sound")),
    *(message("unseen character"), message("unreadable"), message("no record")),
)


def check(
    parts: Mapping[str, Sequence[str]],
    columns: Columns | None = None,
    pattern: str | None = None,
    encoding: str | None = None,
) -> Report:
    """Check the clips of all files and folders and collect every problem.

    Found are sounds that are missing, unreadable, silent, clipped, very long or too short for their
    text, texts that are empty, clips in two parts, and characters that no training text has.
    """
    report = Report()
    found: dict[str, list[Example]] = {}
    for part, names in parts.items():
        found[part] = []
        for name in names:
            found[part] += _of_file(name, columns, pattern, encoding, report.problems)
        report.pairs[part] = len(found[part])
    report.problems += check_examples(found)
    return report


def check_examples(parts: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """Check clips that were read already."""
    problems: list[Problem] = []
    held: dict[tuple[object, ...], tuple[str, str]] = {}
    for part, examples in parts.items():
        for one in examples:
            problems += _of_clip(one)
            key = (one.audio, one.start, one.end)
            if isinstance(one.audio, str) and key in held:
                where, place = held[key]
                kind = "same sound" if where == part else "leak"
                severity = "warning" if where == part else "error"
                reason = f"{kind}: this clip is also at {place} ({where})"
                problems.append(Problem(one.place, reason, severity))
            held.setdefault(key, (part, one.place))
    return problems + _unseen(parts)


def _of_file(
    name: str,
    columns: Columns | None,
    pattern: str | None,
    encoding: str | None,
    problems: list[Problem],
) -> list[Example]:
    def wrong(place: str, reason: str) -> None:
        problems.append(Problem(place, f"no record: {reason}"))

    try:
        return list(clips(name, columns, pattern, encoding, wrong))
    except DataError as problem:
        problems.append(as_problem(problem, Path(name)))
        return []


def _of_clip(example: Example) -> list[Problem]:
    """Return the problems of one clip."""
    text, place = (example.target or "").strip(), example.place
    found: list[Problem] = []
    if not text:
        found.append(Problem(place, "empty text: nothing can be learnt from this clip"))
    try:
        samples = clip_samples(example)
    except DataError as problem:
        reason = str(problem).removeprefix(f"{place}: ")
        if isinstance(problem, ShortSound):
            return [*found, Problem(place, f"short sound: {reason}")]
        return [*found, Problem(place, f"unreadable sound: {reason}")]
    seconds, peak = len(samples) / RATE, float(np.abs(samples).max(initial=0))
    if seconds < SHORTEST_SECONDS:
        return [*found, Problem(place, f"short sound: {seconds:.3f} s")]
    if peak < SILENT_PEAK:
        more = ", but it has a text" if text else ""
        return [*found, Problem(place, f"silent: no sample is louder than {SILENT_PEAK:.6f}{more}")]
    share = float((np.abs(samples) >= CLIPPED).mean())
    if share > CLIPPED_SHARE:
        reason = f"clipped: {share:.1%} of the samples are at full scale"
        found.append(Problem(place, reason, "warning"))
    if seconds > LONG_SECONDS:
        reason = f"long sound: {seconds:.1f} s; task.window must be as long, or it is not learnt"
        found.append(Problem(place, reason, "warning"))
    if len(text) > FASTEST * seconds:
        reason = f"too much text: {len(text)} characters in {seconds:.2f} s"
        found.append(Problem(place, reason))
    return found


def _unseen(parts: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """Return the texts with a character that stands in no training text."""
    if not parts.get("train"):
        return []
    known = {sign for one in parts["train"] for sign in one.target or ""}
    found: list[Problem] = []
    for part, examples in parts.items():
        for one in examples if part != "train" else ():
            new = sorted(set(one.target or "") - known)
            if new:
                listed = " ".join(new[:10])
                reason = f"unseen character: {listed} stands in no training text"
                found.append(Problem(one.place, reason, "warning"))
    return found
