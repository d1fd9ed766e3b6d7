"""SubRip subtitles (.srt): read, written back as they were, and their lines cut anew where they are
too long.

Numbers and times are kept as they stand in the file, whatever their order; nothing of a file is
left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ...errors import DataError

STAMP = r"(\d{1,3}):(\d{2}):(\d{2})[,.](\d{1,3})"
TIMES = re.compile(rf"[\s\ufeff]*{STAMP}\s*-->\s*{STAMP}(?:\s.*)?")
# meant as a line of times
NO_TIMES = re.compile(r"\s*\d+:\d+\S*\s*\S*-?>\s*\d+:\d+.*|\s*\d+:\d+:\d+\S*\s+\S+\s+\d+:\d+:\d+.*")
# an arrow without a time on either side is text
ARROW = re.compile(r"[\s\ufeff]*\d+:\d.*-->|.*?-->\s*\d+:\d")
# a byte order mark stands within files that were put together
NUMBER = re.compile(r"[\s\ufeff]*\d+\s*")
NUMBER_LIKE = re.compile(r"[\W_]{0,5}\d+[A-Za-z]?[\W_]{0,5}")  # #3, 3., 12a
LONGEST_TIMES, LONGEST_CUE = 300, 5_000  # characters
MARK = r"(?:</?[A-Za-z][^<>]*>|\{\\[^{}]*\}|[♪♫])"  # <i>, </font>, {\an8}, notes of music
EDGES = re.compile(rf"((?:{MARK}|\s)*+)(.*?)((?:{MARK}|\s)*+)", re.DOTALL)
WIDE_SPACE = re.compile(r"\s{20,}")  # EDGES would take a time that grows with its square
SPEAKER = re.compile(rf"((?:{MARK}|\s)*)([-‐–—]+\s*)(?=\S)")  # "- ", with what stands before it
TAG = re.compile(r"<(/?)([A-Za-z]\w*)[^<>]*>")
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)  # the end of a line, as a tag
CLOSED_AND_OPENED = re.compile(r"</(\w+)>(\s*)<\1>", re.IGNORECASE)  # <i>one</i> <i>two</i>

MOST_ATOMS = 400  # words of a cue; lines of more are filled one after the other
# characters; the second where most are Chinese, Japanese or Korean
LINE_WIDTH, EAST_LINE_WIDTH = 42, 18
NOT_FIRST = "，。、；：？！）」』】》〉…～·”’％,.;:?!)]}%"  # a line may not begin with these
NOT_LAST = "（「『【《〈“‘([{"  # nor end with these


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: its number and times as they stand in the file (no number: None), its lines,
    and where it begins.
    """

    number: str | None
    times: str
    lines: tuple[str, ...]
    place: str = ""  # file:line


@dataclass(frozen=True, slots=True)
class Subtitles:
    """A file. newline: how its lines end; mark: it begins with a byte order mark."""

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
    """Raises DataError with file and line: bytes that are not UTF-8, a time that is none, text that
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
            said = lines[place].strip()[:60]
            raise DataError(
                f"{path}:{place + 1}: '{said}' belongs to no cue. A cue begins with a number and "
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
                f"{path}:{start + 1}: a cue of {sum(map(len, text)):,} characters, and "
                f"{LONGEST_CUE:,} are the most."
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
    """Of every cue the line it begins at and the line of its times. A cue may begin without an
    empty line before it, and empty lines may stand between its number and its times.
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
                    f"{path}:{following + 1}: '{after.strip()[:60]}' is no time, which must "
                    f"follow number {line.strip()[:40]} of line {place + 1}; it is written "
                    "00:00:01,000 --> 00:00:03,500."
                )
    return heads


def _start(lines: list[str], times: int, taken: int, shapes: set[str]) -> int:
    """Find the line of a cue's number, or of a name in its place; that of its times where it has
    none.

    Args:
        lines: All lines of the file.
        times: Where the cue's times stand.
        taken: Where those of the cue before it stand; -1 for the first cue.
        shapes: How the numbers of the cues before it are written.
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
    """How a cue's number is written, whatever the number: "Cue 0"."""
    return re.sub(r"\d+", "0", line.strip("\ufeff \t"))


def _is_blank(line: str) -> bool:
    """Whether a line is empty; a byte order mark alone is what files that were put together leave
    behind.
    """
    return not line.replace("\ufeff", "").strip()


def _means_times(line: str) -> bool:
    """Whether a line is one of times, also where they are not written as they should be."""
    if len(line) > LONGEST_TIMES and "-->" not in line:
        return False
    return ARROW.match(line) is not None or (
        len(line) <= LONGEST_TIMES and NO_TIMES.fullmatch(line) is not None
    )


def names(subtitles: Subtitles) -> list[Cue]:
    """The cues that begin with words in place of a number, where most of the file's do not."""
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
            f"{place}: '{line.strip()[:60]}' is no time; it is written 00:00:01,000 --> "
            "00:00:03,500."
        )


@dataclass(frozen=True, slots=True)
class Unit:
    """What is translated as one text: a cue, or what one speaker says in it. cue: its place in the
    file, from 0; lines: as they were;
    before and after: dashes, tags and notes that stand around the text; lost: tags inside it that
        have no place.
    """

    cue: int
    text: str
    lines: tuple[str, ...]
    before: str = ""
    after: str = ""
    lost: int = 0

    @property
    def has_words(self) -> bool:
        return any(character.isalpha() for character in self.text)


def units(cue: Cue, number: int) -> list[Unit]:
    """A cue's texts: all its lines joined, or one for each line that begins with a speaker's
    dash.
    """
    turns: list[list[str]] = []
    for line in cue.lines:
        if not turns or SPEAKER.match(line):
            turns.append([])
        turns[-1].append(line)
    return [_unit(turn, number) for turn in turns]


def _unit(lines: list[str], cue: int) -> Unit:
    whole = WIDE_SPACE.sub(" ", _joined(_shown(lines)))
    speaker = SPEAKER.match(whole)
    dash = speaker[0] if speaker else ""
    found = EDGES.fullmatch(whole[len(dash) :])
    assert found is not None, "everything matches"
    before, inside, after = dash + found[1], found[2], found[3]
    text = " ".join(re.sub(MARK, "", inside).split())
    before, after, halves = _without_halves(before, inside, after)
    return Unit(cue, text, tuple(lines), before, after, len(re.findall(MARK, inside)) + halves)


def _without_halves(before: str, inside: str, after: str) -> tuple[str, str, int]:
    """What stands around a text without the tags whose other half stands in it, where it is lost;
    and how many these are. One that opens before and one of its name that closes after are a pair,
    whatever stood between.
    """
    opened: list[tuple[int, re.Match[str]]] = []
    halves: tuple[list[re.Match[str]], list[re.Match[str]]] = ([], [])  # of `before`, of `after`
    for part, text in enumerate((before, inside, after)):
        for tag in TAG.finditer(text):
            other = next((one for one in reversed(opened) if _name(one[1]) == _name(tag)), None)
            if not tag[1]:
                opened.append((part, tag))
            elif other is not None:
                opened.remove(other)
                halves[0].extend([other[1]] * (other[0] == 0 and part == 1))
                halves[1].extend([tag] * (other[0] == 1 and part == 2))
    for tag in list(halves[0]):
        partner = next((one for one in halves[1] if _name(one) == _name(tag)), None)
        if partner is not None:
            halves[0].remove(tag)
            halves[1].remove(partner)
    return _cut_out(before, halves[0]), _cut_out(after, halves[1]), len(halves[0]) + len(halves[1])


def _name(tag: re.Match[str]) -> str:
    return tag[2].lower()


def _cut_out(text: str, tags: list[re.Match[str]]) -> str:
    for tag in sorted(tags, key=lambda one: -one.start()):
        text = text[: tag.start()] + text[tag.end() :]
    return text


def _shown(lines: Sequence[str]) -> list[str]:
    """The lines as a player shows them, without empty ones."""
    return [part.strip() for line in lines for part in BREAK.split(line) if part.strip()]


def _joined(lines: list[str]) -> str:
    """Lines as one text, with a space between them but where both sides are written without
    spaces.
    """
    whole, last = "", ""
    for line in lines:
        shown = re.sub(MARK, "", line).strip()
        whole += (
            "" if not whole or (last and shown and _is_east(last) and _is_east(shown[0])) else " "
        ) + line
        last = shown[-1:] or last
    return CLOSED_AND_OPENED.sub(r"\2", whole)


def set_lines(unit: Unit, text: str, width: int | None = None) -> list[str]:
    """The lines of a translated unit: as many as it had, more where one would be longer than
    `width` characters.
    """
    limit = width or (EAST_LINE_WIDTH if is_east(text) else LINE_WIDTH)
    before, after = (len(re.sub(MARK, "", part)) for part in (unit.before, unit.after))
    lines = balanced(text, limit, len(_shown(unit.lines)), before, after)
    lines[0] = unit.before + lines[0]
    lines[-1] += unit.after
    return lines


def translated(
    subtitles: Subtitles, parts: list[Unit], texts: list[str | None], width: int | None = None
) -> Subtitles:
    """The same cues with `texts` in place of their units' texts. None: the unit stays as it is, and
    so does an empty cue.
    """
    lines: dict[int, list[str]] = {}
    for unit, text in zip(parts, texts, strict=True):
        lines.setdefault(unit.cue, []).extend(
            unit.lines if text is None else set_lines(unit, text, width)
        )
    cues = [
        replace(cue, lines=tuple(lines.get(number, [])))
        for number, cue in enumerate(subtitles.cues)
    ]
    return replace(subtitles, cues=cues)


def balanced(text: str, width: int, least: int = 1, before: int = 0, after: int = 0) -> list[str]:
    """`text` (not empty) in the fewest lines of at most `width` characters, at least `least` where
    it has the words, as even as they can be. A word longer than a line stands alone. before, after:
    room that is taken in the first line and in the last.
    """
    atoms = _atoms(text)
    sizes = tuple((len(atom), gap) for atom, gap in atoms)
    # one that fits nowhere would break all others
    if max(size for size, _ in sizes) > width or len(atoms) > MOST_ATOMS:
        return _filled(atoms, width, before)
    # a space is not shown at a line's end
    fewest = -(-(sum(map(sum, sizes)) + before + after) // (width + 1))
    for count in range(min(max(least, fewest, 1), len(atoms)), len(atoms) + 1):
        ends, longest = _even(sizes, count, before, after)
        if longest <= width or count == len(atoms):
            return [
                _text(atoms[start:end]) for start, end in zip((0, *ends[:-1]), ends, strict=True)
            ]
    raise AssertionError("a line for each word is the most")


def _even(
    atoms: tuple[tuple[int, int], ...], count: int, before: int, after: int
) -> tuple[tuple[int, ...], int]:
    """Where each of `count` lines ends, so that the longest is shortest, then the squares of
    lengths least; and the longest.
    """

    @cache
    def best(start: int, left: int) -> tuple[int, int, tuple[int, ...]]:
        if left == 1:
            size = length(start, len(atoms)) + after
            return size, size * size, (len(atoms),)
        found = None
        for end in range(start + 1, len(atoms) - left + 2):
            size = length(start, end)
            longest, squares, ends = best(end, left - 1)
            one = (max(size, longest), size * size + squares, (end, *ends))
            if found is None or one < found:
                found = one
            if size > found[0]:
                break
        assert found is not None, "there are at least as many words as lines"
        return found

    totals = [0]
    for size, gap in atoms:
        totals.append(totals[-1] + size + gap)

    def length(start: int, end: int) -> int:
        return totals[end] - totals[start] - atoms[start][1] + (before if start == 0 else 0)

    longest, _, ends = best(0, count)
    return ends, longest


def _filled(atoms: list[tuple[str, int]], width: int, before: int) -> list[str]:
    """Line after line as full as it gets."""
    lines: list[list[tuple[str, int]]] = []
    room = width - before
    for atom, gap in atoms:
        if lines and room - gap - len(atom) >= 0:
            lines[-1].append((atom, gap))
            room -= gap + len(atom)
        else:
            lines.append([(atom, gap)])
            room = width - len(atom) - (before if len(lines) == 1 else 0)
    return [_text(line) for line in lines]


def _text(atoms: list[tuple[str, int]]) -> str:
    return "".join((" " if gap and place else "") + atom for place, (atom, gap) in enumerate(atoms))


def _atoms(text: str) -> list[tuple[str, int]]:
    """What a line may end after, and whether a space stands before it: words, and single characters
    of writing without spaces, each with the signs that must not be parted from it.
    """
    found: list[tuple[str, int]] = []
    for word in text.split():
        gap = 1
        for piece in _pieces(word):
            found.append((piece, gap if found else 0))
            gap = 0
    return found


def _pieces(word: str) -> list[str]:
    pieces: list[str] = []
    for character in word:
        if pieces and (
            character in NOT_FIRST
            or pieces[-1][-1] in NOT_LAST
            or not (_is_east(character) or _is_east(pieces[-1][-1]))
        ):
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def is_east(text: str) -> bool:
    """Whether most letters are of a writing without spaces."""
    letters = [character for character in text if character.isalpha()]
    return 2 * sum(map(_is_east, letters)) > len(letters)


def _is_east(character: str) -> bool:
    """A full-width character that is not Korean, which has spaces."""
    return (
        unicodedata.east_asian_width(character) in "WF" and not 0xAC00 <= ord(character) <= 0xD7A3
    )
