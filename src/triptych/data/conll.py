"""Files of one word a line with its tag in a column (CoNLL 2003, CoNLL-U and their kin) to Examples with words and tags.

An empty line, or one of white space alone, ends a sentence. Columns stand between tabs where the first line has one, else between
spaces. Where the first column counts the words (CoNLL-U, .iob2), lines with "#" are comments, "# text = " gives the text as it was
written, and so does SpaceAfter=No; elsewhere the words are joined by spaces. `-DOCSTART-` lines are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, UsageError, unknown
from . import bio
from .example import Example
from .sources import lines_of, stop

if TYPE_CHECKING:
    from .parts import DataTable

Wrong = Callable[[str, str], None]  # ("file:line", reason); `stop` raises DataError
NAMES = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")  # of the columns of CoNLL-U
MISC = 9
NAMED = 3  # places that a notice names
DOCUMENT = "-DOCSTART-"
_NUMBER, _RANGE = re.compile(r"\d+"), re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file keeps what, columns from 0. columns: how many every line has, None where they may differ."""

    word: int
    tag: int
    tabs: bool
    counted: bool  # the first column numbers the words
    columns: int | None = None

    def cells(self, line: str) -> list[str]:
        return [cell.strip() for cell in line.split("\t")] if self.tabs else re.split("[ \t]+", line.strip(" \t"))  # not at other spaces

    def __str__(self) -> str:
        return f"CoNLL with {'tabs' if self.tabs else 'spaces'}, word in column {self.word + 1}, tag in column {self.tag + 1}"


@dataclass(slots=True)
class Sentence:
    """One block of a file. lines: the line number of each word; joined: (first word, word after the last, form) of tokens that
    hold several words; glued: numbers of words with no space behind them, None where nothing says so."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    joined: list[tuple[int, int, str]] = field(default_factory=list)
    glued: set[int] | None = None
    text: str | None = None


def read(names: Sequence[str], data: DataTable, needs: Sequence[str], report: Callable[[str], None] | None = None) -> list[Example]:
    """Examples with text, words and tags of own files. data.fields: word and tag, ["1", "4"] or, of CoNLL-U, ["form", "upos"].

    Raises DataError with file and line for a line that lacks a column and a tag that cannot be; a tag that continues no span is
    read as conlleval reads it, and told.
    """
    found = []
    for name in names:
        found += examples_of(lines_of(name), str(name), data.fields, report=report)
    return found


def examples_of(lines: Sequence[str], where: str, fields: Sequence[str] | None = None, *, changed: Mapping[str, str] | None = None,
                spaceless: bool = False, report: Callable[[str], None] | None = None) -> list[Example]:  # fmt: skip
    """The Examples of a file's lines. changed: tags to be read as others; spaceless: no spaces between words of Chinese."""
    layout = sniff(lines, where, fields)
    found = list(sentences(lines, where, layout, stop))
    for one in found:
        one.tags = [(changed or {}).get(tag, tag) for tag in one.tags]
    scheme = bio.scheme_of(tag for one in found for tag in one.tags)
    repaired: list[int] = []  # line numbers
    examples = []
    for one in found:
        if scheme != "plain":
            check_tags(one, where, scheme, stop)
            wrong = bio.broken(one.tags, scheme)
            repaired += [one.lines[min(place, len(one.lines) - 1)] for place in wrong]
            one.tags = bio.converted(one.tags, scheme) if wrong else one.tags
        text, words = text_of(one, spaceless)
        examples.append(Example(text=text, words=words, tags=one.tags, place=f"{where}:{one.lines[0]}"))
    if report is not None:
        kind = "plain tags" if scheme == "plain" else scheme.upper()
        report(f"{where}: {layout}, {kind}, {len(examples):,} sentences, {sum(len(one.tags or ()) for one in examples):,} words.")
        if repaired:
            first = ", ".join(f"{Path(where).name}:{line}" for line in repaired[:NAMED])
            more = ", ..." if len(repaired) > NAMED else ""
            report(f"{where}: {len(repaired):,} tags continue no span ({first}{more}); they are read as conlleval reads them (I- begins "
                   f"one). List them with: triptych data check {where}")  # fmt: skip
    return examples


def sniff(lines: Sequence[str], where: str, fields: Sequence[str] | None = None) -> Layout:
    """Columns by `fields`, else by the first sentence. Raises UsageError for columns that cannot be, DataError for no line of words."""
    rows = [line for line in lines if line.strip() and not line.startswith(("# ", DOCUMENT))]
    if not rows:
        raise DataError(f"{where} holds no sentence: one word a line with its tag in a column, an empty line between sentences.")
    tabs = "\t" in rows[0]
    layout = Layout(0, -1, tabs, False)
    first = layout.cells(rows[0])
    counted = len(first) > 2 and first[0] in ("1", "1-2") and all(_counts(layout.cells(row)[0]) for row in rows[:100])
    layout = Layout(1, NAMES.index("upos") if len(first) == len(NAMES) else 2, tabs, True) if counted else Layout(
        0, len(first) - 1, tabs, False, len(first))  # fmt: skip
    if fields is not None:
        if len(fields) != 2:
            raise UsageError(f"data.fields names {len(fields)} columns; it must name two, those of word and tag, like ['1', '4'].")
        known = {str(number + 1): number for number in range(len(first))} | (
            {name: number for number, name in enumerate(NAMES)} if counted and len(first) == len(NAMES) else {})  # fmt: skip
        for name in fields:
            if name not in known:
                raise unknown("column", name, known, f"of {where} in data.fields")
        layout = replace(layout, word=known[fields[0]], tag=known[fields[1]])
    if layout.columns is not None and layout.columns < 2:
        raise DataError(f"{where}: '{rows[0][:60]}' has one column; a word and its tag are needed, with a space or a tab between them.")
    return layout


def _counts(cell: str) -> bool:
    return re.fullmatch(r"\d+([-.]\d+)?", cell) is not None


def sentences(lines: Sequence[str], where: str, layout: Layout, wrong: Wrong) -> Iterator[Sentence]:
    """The blocks that hold a word. What cannot be read is told to `wrong` and left out."""
    one, begun = Sentence(), False
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if one.words:
                yield one
            elif begun:
                wrong(f"{where}:{number}", "empty sentence: comments, but no word.")
            one, begun = Sentence(), False
        elif line.startswith("#") and (layout.counted or (not one.words and len(layout.cells(line)) != layout.columns)):
            begun = begun or layout.counted
            if line.startswith("# text = "):
                one.text = line.removeprefix("# text = ").strip()
        else:
            reason = _add(one, number, layout.cells(line), layout)
            if reason:
                wrong(f"{where}:{number}", reason)


def _add(one: Sentence, number: int, cells: list[str], layout: Layout) -> str | None:
    """A line into its sentence; what is wrong with it, if anything is."""
    if cells[0].startswith(DOCUMENT):
        return None
    needed = max(layout.word, layout.tag) + 1
    if len(cells) < needed or (layout.columns is not None and len(cells) != layout.columns):
        most = f"at least {needed}" if layout.columns is None else str(layout.columns)
        return f"wrong columns: {len(cells)}, and {most} are needed ({layout})."
    if not cells[layout.word]:
        return "no word: its column is empty."
    if layout.counted and not _NUMBER.fullmatch(cells[0]):
        parts = _RANGE.fullmatch(cells[0])
        if parts:  # a token of several words: they follow
            many = int(parts[2]) - int(parts[1]) + 1
            one.joined.append((len(one.words), len(one.words) + many, cells[layout.word]))
            _glue(one, cells, len(one.words) + many - 1)
        elif "." not in cells[0]:  # an empty node, "8.1", stands for no word of the text
            return f"wrong number: '{cells[0]}' in the first column, which counts the words."
        return None
    if not cells[layout.tag]:
        return "no tag: its column is empty."
    if not (one.joined and len(one.words) < one.joined[-1][1]):
        _glue(one, cells, len(one.words))
    one.words.append(cells[layout.word])
    one.tags.append(cells[layout.tag])
    one.lines.append(number)
    return None


def _glue(one: Sentence, cells: list[str], word: int) -> None:
    if any("SpaceAfter=No" in cell.split("|") for cell in cells[MISC:]):
        one.glued = {*(one.glued or ()), word}


def check_tags(one: Sentence, where: str, scheme: bio.Scheme, wrong: Wrong) -> None:
    for line, tag in zip(one.lines, one.tags, strict=True):
        if not bio.is_tag(tag):
            wrong(
                f"{where}:{line}", f"impossible tag: '{tag}' beside {scheme.upper()} tags, which are O or a letter and a type, like B-PER."
            )


def text_of(one: Sentence, spaceless: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """The text, and [start, end) of each word in it: as the file gives it where the words are found in it, else put together."""
    tokens = _tokens(one)
    if one.text is not None:
        places, at = [], 0
        for form, _, _ in tokens:
            at += len(one.text[at:]) - len(one.text[at:].lstrip())
            if not one.text.startswith(form, at):
                break
            places.append((at, at + len(form)))
            at += len(form)
        if len(places) == len(tokens):
            return one.text, _of_words(one, tokens, places)
    text, places = "", []
    for form, _, last in tokens:
        places.append((len(text), len(text) + len(form)))
        text += form
        if last < len(one.words) and not _close(one, last, spaceless):
            text += " "
    return text, _of_words(one, tokens, places)


def _tokens(one: Sentence) -> list[tuple[str, int, int]]:
    """(form, first word, word after the last) of everything that stands in the text."""
    tokens, at, ranges = [], 0, {first: (last, form) for first, last, form in one.joined}
    while at < len(one.words):
        last, form = ranges.get(at, (at + 1, one.words[at]))
        last = min(last, len(one.words))
        tokens.append((form, at, last))
        at = last
    return tokens


def _close(one: Sentence, word: int, spaceless: bool) -> bool:
    """Whether no space stands before a word."""
    if spaceless:
        return not (_latin(one.words[word - 1][-1]) and _latin(one.words[word][0]))
    return one.glued is not None and word - 1 in one.glued


def _latin(character: str) -> bool:
    return character.isalnum() and ord(character) < 0x2E80


def _of_words(one: Sentence, tokens: list[tuple[str, int, int]], places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Words of one token stand one after the other where their forms make it up; else each has all its characters."""
    found = []
    for (form, first, last), (start, end) in zip(tokens, places, strict=True):
        words = one.words[first:last]
        if last - first == 1 or "".join(words) != form:
            found += [(start, end)] * (last - first)
            continue
        for word in words:
            found.append((start, start + len(word)))
            start += len(word)
    return found
