"""Check parallel data line by line before training, and compute its statistics."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...messages import message
from ..example import FIELDS, Example, Notify, texts_of
from ..formats.encodings import guessed, known, not_utf8_bytes, without_mark
from ..formats.foreign.own_lines import foreign, is_foreign, utf8_content
from ..formats.lazy_lines import is_utf8
from ..formats.lines import marked_lines
from ..formats.pairs import LONGEST_LINE, TOGETHER, Files, add_usable, records, say_left_out
from ..formats.remarks import Remark
from ..pair_table import PairTable, lengths_of, place_of
from ..split import first_of, key_digests, pair_digests

RATIO = 3.0  # characters of one side to the other, relative to the set's own mean ratio
C1 = re.compile("[\x80-\x9f]")  # control characters that no text is written with
C1_BYTES = re.compile(b"\xc2[\x80-\x9f]")  # the same in UTF-8
LATIN1 = "iso8859-1"  # as Python names it
SHORT = 20  # characters; for shorter texts the ratio means nothing


KINDS = (  # of problems, as a user is told of them in another language
    *(message("empty side"), message("empty line"), message("empty text"), message("same text")),
    *(message("no label"), message("two labels"), message("rare label"), message("unseen label")),
    *(message("duplicate"), message("leak"), message("length ratio"), message("long line")),
    *(message("wrong offset"), message("empty question"), message("empty passage")),
    *(message("unusable question"), message("left out"), message("control character")),
    *(message("missing label"),),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Describe a problem. "error": training would fail or leak; "warning": worth a second look."""

    place: str
    reason: str
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(slots=True)
class Report:
    """Collect the problems of a check.

    pairs: the number of records of each part. inputs: the key of a record's input -> its first
    place, to find leaks.
    """

    problems: list[Problem] = field(default_factory=list)
    pairs: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Count the problems of each kind (the reason up to the colon)."""
        return dict(Counter(problem.reason.split(":")[0] for problem in self.problems))


def check(parts: dict[str, Files]) -> Report:
    """Check all files and collect every problem. parts: "train", "validation", "test" -> files."""
    return check_and_read(parts)[0]


def check_and_read(
    parts: dict[str, Files], notify: Notify | None = None
) -> tuple[Report, dict[str, PairTable]]:
    """Check all files as `check` does, and return also the pairs that training would read.

    notify: receives what `formats.pairs.read` says of the training files.
    """
    report, examples = Report(), {}
    for name, files in parts.items():
        found: list[Problem] = []
        try:
            if all(
                [
                    readable(path, found, files.encoding)
                    for path in (files.source, files.target)
                    if path is not None
                ]
            ):
                tell = notify if name == "train" else None
                examples[name] = _examples(files, found, tell or (lambda message: None))
        except DataError as problem:
            is_target = files.target is not None and str(problem).startswith(f"{files.target} ")
            file = files.target if is_target and files.target is not None else files.source
            found.append(as_problem(problem, file))
        report.problems += found
    report.problems += check_examples(examples)
    report.pairs = {name: len(part) for name, part in examples.items()}
    return report, examples


def of_remarks(*remarks: Remark) -> list[Problem]:
    """Turn guesses about a file into problems; notes are left out."""
    return [
        Problem(one.place, str(one).removeprefix(f"{one.place}: "), one.severity)
        for one in remarks
        if one.severity != "note"
    ]


def together(parts: Mapping[str, Sequence[Report]]) -> Report:
    """Join the reports on all files of each part, and add records whose input is in two parts."""
    report, held = Report(), dict[str, tuple[str, str]]()
    for part, found in parts.items():
        report.pairs[part] = sum(count for one in found for count in one.pairs.values())
        for one in found:
            report.problems += one.problems
            for key, place in one.inputs.items():
                if key in held and held[key][0] != part:
                    report.problems.append(
                        Problem(
                            place, f"leak: this text is also in {held[key][0]} ({held[key][1]})"
                        )
                    )
                held.setdefault(key, (part, place))
    return report


def as_problem(error: DataError, path: str | Path) -> Problem:
    """Turn an error that stopped the reading of a file into a problem with its file and line."""
    where = re.match(r"(.+?:\d+): ", str(error))
    reason = str(error)[where.end() if where else 0 :]
    reason = reason.removeprefix(f"{path}: ")
    if reason.startswith(f"{path} "):  # "a.csv is empty." after the place
        reason = f"it{reason.removeprefix(str(path))}"
    return Problem(where[1] if where else str(path), reason)


def readable(path: str | Path, found: list[Problem], encoding: str | None = None) -> bool:
    """Tell whether all lines can be read.

    Lines that are not UTF-8 are added to `found`, each with the encoding that the file seems to be
    in; so are byte order marks inside, and signs of text that was decoded in a wrong encoding. A
    file of another tool decides itself what its bytes mean.

    Raises DataError for bytes that are not in `encoding`, if it is given.
    """
    if Path(path).is_dir():
        return True
    raw = utf8_content(path, encoding)
    if is_foreign(path, raw):
        return True
    bad = [] if is_utf8(raw) else list(not_utf8_bytes(raw))
    guess = guessed(raw) if bad or without_mark(raw) else None
    if guess is not None and not bad:
        found.append(Problem(f"{path}:1", f"encoding: many bytes are zero. {guess}"))
        return False
    way = "" if guess is None else f". {guess}"
    for number, byte, column in bad:
        reason = f"bad UTF-8: byte 0x{byte:02X} at column {column}{way}"
        found.append(Problem(f"{path}:{number}", reason))
        way = ""  # once is enough
    for number in marked_lines(raw):
        reason = (
            "byte order mark: this line begins with one, where files were joined; it is left out"
        )
        found.append(Problem(f"{path}:{number}", reason, "warning"))
    if not bad and C1_BYTES.search(raw) is not None:
        found += _controls(raw.decode("utf-8"), str(path), encoding)
    return not bad


def _controls(text: str, where: str, encoding: str | None) -> list[Problem]:
    """Report C1 control characters, which cp1252 read as latin1 leaves in the place of quotes.

    Only where latin1 is the encoding that the user named does another --encoding mend them; a UTF-8
    file holds them itself, and read as cp1252 it would lose every letter with an accent.
    """
    found: list[Problem] = []
    way = message(
        "The file itself is UTF-8, so no --encoding mends it: replace these characters in it, or "
        "save the text anew from its source",
    )
    if encoding is not None and known(encoding) == LATIN1:
        way = message("Read it with --encoding cp1252")
    for number, line in enumerate(text.split("\n"), 1):
        if (sign := C1.search(line)) is not None:
            place = f"{where}:{number}"
            found.append(Problem(place, _control(sign[0], sign.start() + 1, way), "warning"))
            way = ""  # once is enough
    return found


def _control(sign: str, column: int, way: str) -> str:
    meant = sign.encode("latin1").decode("cp1252", "ignore")
    stands = message(", as in Windows-1252 text that was decoded as latin1") if meant else ""
    if meant:
        stands = message("{stands}, where it is {meant!r}", stands=stands, meant=meant)
    return message(
        "control character: U+{code} at column {column:,}{stands}{way}",
        code=f"{ord(sign):04X}",
        column=column,
        stands=stands,
        way=message(". {way}", way=way) if way else "",
    )


def left_out(path: str | Path, notify: Notify, encoding: str | None = None) -> list[Problem]:
    """Return the records of a file of another tool that cannot be used, as warnings.

    notify: receives what the file is read as.
    """
    try:
        found = foreign(path, encoding=encoding)
    except DataError:  # The check itself reports it.
        return []
    if found is None:
        return []
    notify(message("{name}: read as {kind}.", name=Path(path).name, kind=found.kind))
    for note in found.notes:
        notify(f"{Path(path).name}: {note}")
    return [
        Problem(f"{path}: {place}", f"left out: {reason}", "warning")
        for reason, places in found.left_out.items()
        for place in places
    ]


def _examples(files: Files, found: list[Problem], notify: Notify) -> PairTable:
    """Return the Examples that training would read; add what it would skip or refuse to `found`."""
    examples, empty, long = PairTable(str(files.source), files.languages), 0, 0

    def wrong(place: str, reason: str) -> None:
        found.append(Problem(place, reason))

    def remark(one: Remark) -> None:
        found.extend(of_remarks(one))
        notify(str(one))

    every = records(files, notify=notify, wrong=wrong, remark=remark)
    # The lines of a table are read one by one, so that its problems stay in their order.
    for line, source, target in add_usable(
        examples, every, 1 if files.target is None else TOGETHER
    ):
        place = f"{files.source}:{line}"
        if source and target:
            reason = (
                f"too long: {max(len(source), len(target)):,} characters; lines over "
                f"{LONGEST_LINE:,} are left out"
            )
            found.append(Problem(place, reason, "warning"))
            long += 1
        elif source or target:
            place = f"{files.target}:{line}" if source and files.target is not None else place
            found.append(
                Problem(place, f"empty side: the {'target' if source else 'source'} has no text")
            )
            empty += 1
        else:
            found.append(Problem(place, "empty line: neither side has text", "warning"))
            empty += 1
    say_left_out(files, empty, long, notify)
    return examples


def check_examples(parts: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """Check lengths, ratios, equal sides, and duplicates within a part and across parts."""
    found: list[Problem] = []
    for examples in parts.values():
        found += [*_lengths(examples), *_duplicates(examples)]
    return found + (_leaks(parts) if len(parts) > 1 else [])


def _duplicates(examples: Sequence[Example]) -> list[Problem]:
    """Report the pairs that repeat an earlier one."""
    first = first_of(pair_digests(examples))
    return [
        Problem(
            place_of(examples, row),
            f"duplicate: the same pair is at {place_of(examples, int(first[row]))}",
            "warning",
        )
        for row in np.flatnonzero(first != np.arange(len(first))).tolist()
    ]


def _leaks(parts: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """Report sources of validation or test that are also in a part before it."""
    names = [name for name in ("train", "validation", "test") if name in parts]
    if not names:
        return []
    begins = np.cumsum([0, *(len(parts[name]) for name in names)])
    first = first_of(np.concatenate([key_digests(parts[name], ("source",))[0] for name in names]))
    owners = np.searchsorted(begins, first, "right") - 1
    found: list[Problem] = []
    for number, name in enumerate(names):
        own = slice(int(begins[number]), int(begins[number + 1]))
        for row in np.flatnonzero(owners[own] != number).tolist():
            other = int(owners[own][row])
            its = int(first[own][row] - begins[other])
            where = f"{names[other]} ({place_of(parts[names[other]], its)})"
            place = place_of(parts[name], row)
            found.append(Problem(place, f"leak: this source is also in {where}"))
    return found


def _lengths(examples: Sequence[Example]) -> list[Problem]:
    """Report long lines, and pairs whose sides differ too much in length or not at all."""
    own, other = (lengths_of(examples, side) for side in ("source", "target"))
    usual = int(other.sum() or 1) / int(own.sum() or 1)
    longest, ratio = np.maximum(own, other), (other + 1) / (own * usual + 1)
    is_long = longest > LONGEST_LINE // 10
    is_odd = (longest >= SHORT) & ~((ratio >= 1 / RATIO) & (ratio <= RATIO))
    may_be_same = (own == other) & (own >= SHORT)
    found: list[Problem] = []
    for row in np.flatnonzero(is_long | is_odd | may_be_same).tolist():
        reasons: list[str] = []
        if is_long[row]:
            reasons.append(f"long line: {longest[row]:,} characters")
        if is_odd[row]:
            reasons.append(f"length ratio: {own[row]} against {other[row]} characters")
        if may_be_same[row] and (one := examples[row]).source == one.target:
            reasons.append("same text: source and target are equal")
        found += [Problem(place_of(examples, row), reason, "warning") for reason in reasons]
    return found


def stats(examples: Sequence[Example]) -> dict[str, dict[str, float | int | str]]:
    """Compute statistics of each text field.

    Lines, characters, words, quantiles of length in characters, distinct characters and the most
    frequent scripts.
    """
    table: dict[str, dict[str, float | int | str]] = {}
    sides = [
        name
        for name, one in FIELDS.items()
        if one.text and any(getattr(example, name) is not None for example in examples)
    ]
    for side in sides or ("source", "target"):
        texts = ["\n".join(texts_of(getattr(example, side))) for example in examples]
        lengths = sorted(map(len, texts)) or [0]
        characters = Counter(character for text in texts for character in text)
        table[side] = {
            "lines": len(texts),
            "distinct lines": len(set(texts)),
            "characters": sum(lengths),
            "words": sum(len(text.split()) for text in texts),
            "median length": lengths[len(lengths) // 2],
            "95 % length": lengths[math.ceil(0.95 * len(lengths)) - 1],
            "longest": lengths[-1],
            "distinct characters": len(characters),
            "scripts": ", ".join(_scripts(characters)),
        }
    return table


def _scripts(characters: Counter[str]) -> list[str]:
    """Return up to three scripts by frequency: first words of letters' Unicode names ("CJK")."""
    counts: Counter[str] = Counter()
    for character, count in characters.items():
        if character.isalpha():
            counts[unicodedata.name(character, "UNNAMED").split()[0]] += count
    return [name for name, _ in counts.most_common(3)]
