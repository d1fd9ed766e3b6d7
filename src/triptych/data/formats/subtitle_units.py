"""Cut subtitles into units of translation, and put the translated lines back in their place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .line_breaking import balanced, is_east, is_spaceless
from .subtitles import Cue, Subtitles

MARK = r"(?:</?[A-Za-z][^<>]*>|\{\\[^{}]*\}|[♪♫])"  # <i>, </font>, {\an8}, notes of music
EDGES = re.compile(rf"((?:{MARK}|\s)*+)(.*?)((?:{MARK}|\s)*+)", re.DOTALL)
WIDE_SPACE = re.compile(r"\s{20,}")  # EDGES takes time quadratic in its length
SPEAKER = re.compile(rf"((?:{MARK}|\s)*)([-‐–—]+\s*)(?=\S)")  # "- ", with the marks before it
TAG = re.compile(r"<(/?)([A-Za-z]\w*)[^<>]*>")
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)  # the end of a line, as a tag
CLOSED_AND_OPENED = re.compile(r"</(\w+)>(\s*)<\1>", re.IGNORECASE)  # <i>one</i> <i>two</i>
# Characters; the second if most are Chinese, Japanese or Korean.
LINE_WIDTH, EAST_LINE_WIDTH = 42, 18


@dataclass(frozen=True, slots=True)
class Unit:
    """Hold one text to translate: a cue, or one speaker's part of it.

    cue: its place in the file, from 0; lines: the original lines.
    before, after: dashes, tags and notes around the text; lost: the number of tags inside it that
        cannot be placed in the translation.
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
    """Return a cue's texts: all its lines joined, or one text for each speaker's dash."""
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
    """Drop the tags around a text whose other half is inside it and so lost; count the lost tags.

    A tag that opens before the text and one of its name that closes after it are a pair, whatever
    is between them.
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
    """Return the lines as a player shows them, without empty ones."""
    return [part.strip() for line in lines for part in BREAK.split(line) if part.strip()]


def _joined(lines: list[str]) -> str:
    """Join lines with spaces, except between two characters of scripts without spaces."""
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
    """Break a translated unit into as many lines as it had, or more to keep within `width`."""
    limit = width or (EAST_LINE_WIDTH if is_east(text) else LINE_WIDTH)
    before, after = (len(re.sub(MARK, "", part)) for part in (unit.before, unit.after))
    lines = balanced(text, limit, len(_shown(unit.lines)), before, after)
    lines[0] = unit.before + lines[0]
    lines[-1] += unit.after
    return lines


def translated(
    subtitles: Subtitles, parts: list[Unit], texts: list[str | None], width: int | None = None
) -> Subtitles:
    """Replace the texts of units by `texts`. A unit with None and an empty cue stay as they are."""
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
