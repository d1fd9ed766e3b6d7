"""What is wrong with parallel data, line by line, before a training is spent on it; and what it looks like in numbers."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from .example import Example
from .sources import LONGEST_LINE, Files, read, read_bytes
from .split import sentence_key

RATIO = 3.0  # characters of one side to the other, after the set's own mean ratio is taken out
SHORT = 20  # characters; below this a ratio says nothing


@dataclass(frozen=True, slots=True)
class Problem:
    """severity "error": training would fail or leak; "warning": worth a look."""

    place: str
    reason: str
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(slots=True)
class Report:
    problems: list[Problem] = field(default_factory=list)
    pairs: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Kind of problem (its reason up to the colon) -> how often."""
        return dict(Counter(problem.reason.split(":")[0] for problem in self.problems))


def check(parts: dict[str, Files]) -> Report:
    """parts: "train", "validation", "test" -> files. Reads everything and stops at nothing."""
    report, examples = Report(), {}
    for name, files in parts.items():
        broken = [problem for path in (files.source, files.target) if path is not None for problem in bad_bytes(path)]
        report.problems += broken
        if broken:
            continue
        try:
            if files.target is not None:
                report.problems += empty_sides(files)
            examples[name] = read(files)
        except DataError as problem:
            report.problems.append(Problem(str(files.source), str(problem)))
    report.problems += check_examples(examples)
    report.pairs = {name: len(part) for name, part in examples.items()}
    return report


def bad_bytes(path: str | Path) -> list[Problem]:
    """Every line that is not UTF-8."""
    found = []
    for number, line in enumerate(read_bytes(path).split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as problem:
            found.append(Problem(f"{path}:{number}", f"bad UTF-8: byte 0x{line[problem.start]:02X} at column {problem.start + 1}"))
    return found


def empty_sides(files: Files) -> list[Problem]:
    """Lines of two aligned files of which one side says nothing."""
    assert files.target is not None, "aligned files have two sides"
    sides = [read_bytes(path).decode("utf-8-sig").split("\n") for path in (files.source, files.target)]
    found = []
    for number, (source, target) in enumerate(zip(*sides, strict=False), 1):
        if bool(source.strip()) != bool(target.strip()):
            found.append(Problem(f"{files.target if source.strip() else files.source}:{number}", "empty side: the other side has text"))
    return found


def check_examples(parts: dict[str, Sequence[Example]]) -> list[Problem]:
    """Length, ratio, sides that are the same, duplicates within a part and across parts."""
    found: list[Problem] = []
    for examples in parts.values():
        found += _lengths(examples)
        seen: dict[tuple[str, str], str] = {}
        for example in examples:
            key = (example.source or "", example.target or "")
            if key in seen:
                found.append(Problem(example.place, f"duplicate: the same pair stands at {seen[key]}", "warning"))
            seen.setdefault(key, example.place)
    held: dict[str, tuple[str, str]] = {}
    for name in ("train", "validation", "test"):
        for example in parts.get(name, ()):
            key = sentence_key(example.source or "")
            if name != "train" and key in held and held[key][0] != name:
                found.append(Problem(example.place, f"leak: this source also stands in {held[key][0]} ({held[key][1]})"))
            held.setdefault(key, (name, example.place))
    return found


def _lengths(examples: Sequence[Example]) -> list[Problem]:
    found = []
    total = [sum(len(getattr(example, side) or "") for example in examples) or 1 for side in ("source", "target")]
    usual = total[1] / total[0]
    for example in examples:
        source, target = example.source or "", example.target or ""
        if max(len(source), len(target)) > LONGEST_LINE // 10:
            found.append(Problem(example.place, f"long line: {max(len(source), len(target)):,} characters", "warning"))
        ratio = (len(target) + 1) / (len(source) * usual + 1)
        if max(len(source), len(target)) >= SHORT and not 1 / RATIO <= ratio <= RATIO:
            found.append(Problem(example.place, f"length ratio: {len(source)} against {len(target)} characters", "warning"))
        if source == target and len(source) >= SHORT:
            found.append(Problem(example.place, "same text: source and target are equal", "warning"))
    return found


def stats(examples: Sequence[Example]) -> dict[str, dict[str, float | int | str]]:
    """Side -> lines, characters, words, quantiles of length in characters, distinct characters, the scripts seen most."""
    table: dict[str, dict[str, float | int | str]] = {}
    for side in ("source", "target"):
        texts = [getattr(example, side) or "" for example in examples]
        lengths = sorted(map(len, texts)) or [0]
        characters = Counter(character for text in texts for character in text)
        table[side] = {
            "lines": len(texts),
            "distinct lines": len(set(texts)),
            "characters": sum(lengths),
            "words": sum(len(text.split()) for text in texts),
            "median length": lengths[len(lengths) // 2],
            "95 % length": lengths[int(0.95 * (len(lengths) - 1))],
            "longest": lengths[-1],
            "distinct characters": len(characters),
            "scripts": ", ".join(_scripts(characters)),
        }
    return table


def _scripts(characters: Counter[str]) -> list[str]:
    """The first word of the letters' Unicode names ("LATIN", "CJK"), most frequent first, up to three."""
    counts: Counter[str] = Counter()
    for character, count in characters.items():
        if character.isalpha():
            counts[unicodedata.name(character, "UNNAMED").split()[0]] += count
    return [name for name, _ in counts.most_common(3)]
