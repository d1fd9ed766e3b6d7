"""What of a subtitle is translated as one text; and its lines set again, cut anew where they are
too long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .line_breaking import balanced, is_east, is_spaceless
from .subtitles import Cue, Subtitles

MARK = r"(?:</?[A-Za-z][^<>]*>|\{\\[^{}]*\}|[♪♫])"  # <i>, </font>, {\an8}, notes of music
EDGES = re.compile(rf"((?:{MARK}|\s)*+)(.*?)((?:{MARK}|\s)*+)", re.DOTALL)
WIDE_SPACE = re.compile(r"\s{20,}")  # EDGES would take a time that grows with its square
SPEAKER = re.compile(rf"((?:{MARK}|\s)*)([-‐–—]+\s*)(?=\S)")  # "- ", with what stands before it
TAG = re.compile(r"<(/?)([A-Za-z]\w*)[^<>]*>")
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)  # the end of a line, as a tag
CLOSED_AND_OPENED = re.compile(r"</(\w+)>(\s*)<\1>", re.IGNORECASE)  # <i>one</i> <i>two</i>
# characters; the second where most are Chinese, Japanese or Korean
LINE_WIDTH, EAST_LINE_WIDTH = 42, 18


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
            ""
            if not whole or (last and shown and is_spaceless(last) and is_spaceless(shown[0]))
            else " "
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
