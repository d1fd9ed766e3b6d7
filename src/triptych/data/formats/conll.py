"""Read files with one word and its tag a line (CoNLL 2003, CoNLL-U and similar) as Examples.

An empty line, or one of white space alone, ends a sentence. Columns are separated by tabs if the
first line has one, else by spaces. Columns before the word may number the sentences and words (1
or 0, w1, 1.1, s1 1). In such files lines with "#" are comments, and "# text = " or CoNLL-U's
SpaceAfter=No gives the original text; in other files the words are joined by spaces. `-DOCSTART-`
lines are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..example import Example, Notify, OnProblem
from . import bio
from .conll_layout import DOCUMENT, NUMBER, NUMBERED, ColumnLayout, sniff
from .foreign.own_lines import own_lines
from .lines import stop

if TYPE_CHECKING:
    from ..table import DataTable

MISC = 9
NAMED = 3  # places that a notice names
_RANGE, _EMPTY = re.compile(r"(\d{1,9})-(\d{1,9})"), re.compile(r"\d+\.\d+")
# A comment before a sentence, even if it has as many columns as a word's line.
_COMMENT = re.compile(r"# (?:id|sent_id|newdoc|newpar|text)\b")


@dataclass(slots=True)
class TaggedSentence:
    """Hold one sentence of a file.

    lines: the line number of each word. joined: (first word, word after the last, form) of tokens
    that hold several words. glued: numbers of words without a space after them, None if the file
    does not say.
    """

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    joined: list[tuple[int, int, str]] = field(default_factory=list)
    glued: set[int] | None = None
    text: str | None = None
    number: int | None = None  # of the last word, where words are numbered as in CoNLL-U


def read(
    names: Sequence[str],
    data: DataTable,
    needs: Sequence[str],
    report: Notify | None = None,
) -> list[Example]:
    """Read the user's files as Examples with text, words and tags.

    data.columns or data.fields name the columns of words and tags, "1" and "4" or, in CoNLL-U,
    "form" and "upos". Raises DataError with file and line for a line that lacks a column and for
    an impossible tag. A tag that continues no span is read as conlleval reads it, and reported.
    """
    found = []
    for name in names:
        found += examples_of(
            own_lines(name, report), str(name), data.listed(("words", "tags")), report=report
        )
    return found


def examples_of(
    lines: Sequence[str],
    where: str,
    fields: Sequence[str] | None = None,
    *,
    changed: Mapping[str, str] | None = None,
    spaceless: bool = False,
    report: Notify | None = None,
) -> list[Example]:
    """Read the Examples of a file's lines.

    changed: tags to be read as others; spaceless: no spaces between words of Chinese.
    """
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
        examples.append(
            Example(text=text, words=words, tags=one.tags, place=f"{where}:{one.lines[0]}")
        )
    if report is not None:
        kind = "plain tags" if scheme == "plain" else scheme.upper()
        report(
            f"{where}: {layout}, {kind}, {len(examples):,} sentences, "
            f"{sum(len(one.tags or ()) for one in examples):,} words."
        )
        if repaired:
            first = ", ".join(f"{Path(where).name}:{line}" for line in repaired[:NAMED])
            more = ", ..." if len(repaired) > NAMED else ""
            report(
                f"{where}: {len(repaired):,} tags continue no span ({first}{more}); they are read "
                "as conlleval reads them (I- begins one). List them with: triptych data check "
                f"{where}"
            )
    return examples


def sentences(
    lines: Sequence[str], where: str, layout: ColumnLayout, wrong: OnProblem
) -> Iterator[TaggedSentence]:
    """Yield the sentences that hold a word; `wrong` gets the place and reason of every error."""
    one, begun, fine, joined = TaggedSentence(), False, True, 0
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if fine and one.joined and one.joined[-1][1] > len(one.words):
                wrong(
                    f"{where}:{joined}",
                    f"wrong range: the token '{one.joined.pop()[2]}' reaches beyond the "
                    "sentence's last word.",
                )
            if one.words:
                yield one
            elif begun:
                wrong(f"{where}:{number}", "empty sentence: comments, but no word.")
            one, begun, fine = TaggedSentence(), False, True
        elif _is_comment(line, one, layout):
            begun = begun or layout.ids > 0
            if line.startswith("# text = "):
                one.text = line.removeprefix("# text = ").strip()
        else:
            before = len(one.joined)
            reason = _add(one, number, layout.cells(line), layout)
            joined = number if len(one.joined) > before else joined
            if reason:
                if not layout.tabs and line[0] in " \t":
                    reason += " The line begins with white space where its word should be."
                wrong(f"{where}:{number}", reason)
                fine = False


def _is_comment(line: str, one: TaggedSentence, layout: ColumnLayout) -> bool:
    """Tell whether a line is a comment.

    Where words are numbered, any line with "#" is one; else one before a sentence that cannot be a
    word.
    """
    if not line.startswith("#") or layout.ids:
        return line.startswith("#")
    return not one.words and (
        len(layout.cells(line)) != layout.columns or _COMMENT.match(line) is not None
    )


def _add(one: TaggedSentence, number: int, cells: list[str], layout: ColumnLayout) -> str | None:
    """Add a line to its sentence; return the reason if it cannot be added."""
    if cells[0].startswith(DOCUMENT):
        return None
    needed = max(layout.word, layout.tag, layout.ids - 1) + 1
    if len(cells) < needed or (layout.columns is not None and len(cells) != layout.columns):
        most = f"at least {needed}" if layout.columns is None else str(layout.columns)
        return f"wrong columns: {len(cells)}, but {most} are needed ({layout})."
    if not cells[layout.word]:
        return "no word: its column is empty."
    given = cells[layout.ids - 1] if layout.ids else ""
    if layout.bare and not NUMBER.fullmatch(given):
        return _add_token(one, given, cells, layout)
    if layout.ids and not NUMBERED.fullmatch(given):
        return f"wrong number: '{given[:40]}' in column {layout.ids}, which counts the words."
    if not cells[layout.tag]:
        return "no tag: its column is empty."
    if not (one.joined and len(one.words) < one.joined[-1][1]):
        _glue(one, cells, len(one.words))
    one.words.append(cells[layout.word])
    one.tags.append(cells[layout.tag])
    one.lines.append(number)
    one.number = int(given) if layout.bare else None
    return None


def _add_token(
    one: TaggedSentence, given: str, cells: list[str], layout: ColumnLayout
) -> str | None:
    """Add a token of several words, which follow, to its sentence; skip empty nodes like "8.1"."""
    parts = _RANGE.fullmatch(given)
    if parts is None:
        problem = f"wrong number: '{given[:40]}' in column {layout.ids}, which counts the words."
        return None if _EMPTY.fullmatch(given) else problem
    first, last, words = int(parts[1]), int(parts[2]), len(one.words)
    if (
        last <= first
        or (one.number is not None and first != one.number + 1)
        or (one.joined and words < one.joined[-1][1])
    ):
        after = "the first word" if one.number is None else f"word {one.number}"
        return (
            f"wrong range: '{given}' after {after}; it must begin at the next word, after "
            "earlier ranges, and hold two words or more."
        )
    one.joined.append((words, words + last - first + 1, cells[layout.word]))
    _glue(one, cells, words + last - first)
    return None


def _glue(one: TaggedSentence, cells: list[str], word: int) -> None:
    if any("SpaceAfter=No" in cell.split("|") for cell in cells[MISC:]):
        one.glued = {*(one.glued or ()), word}


def check_tags(one: TaggedSentence, where: str, scheme: bio.Scheme, wrong: OnProblem) -> None:
    for line, tag in zip(one.lines, one.tags, strict=True):
        if not bio.is_tag(tag):
            wrong(
                f"{where}:{line}",
                f"impossible tag: '{tag}' beside {scheme.upper()} tags, which are O or a letter "
                "and a type, like B-PER.",
            )


def text_of(one: TaggedSentence, spaceless: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """Return the text and each word's [start, end) in it.

    It is the file's text if that holds the words in order, else the words put together.
    """
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


def _tokens(one: TaggedSentence) -> list[tuple[str, int, int]]:
    """Return (form, first word, word after the last) of everything that the text shows."""
    tokens, at, ranges = [], 0, {first: (last, form) for first, last, form in one.joined}
    while at < len(one.words):
        last, form = ranges.get(at, (at + 1, one.words[at]))
        last = min(last, len(one.words))
        tokens.append((form, at, last))
        at = last
    return tokens


def _close(one: TaggedSentence, word: int, spaceless: bool) -> bool:
    """Tell whether a word follows the one before it without a space."""
    if spaceless:
        return not (_latin(one.words[word - 1][-1]) and _latin(one.words[word][0]))
    return one.glued is not None and word - 1 in one.glued


def _latin(character: str) -> bool:
    return character.isalnum() and ord(character) < 0x2E80


def _of_words(
    one: TaggedSentence, tokens: list[tuple[str, int, int]], places: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Place the words of each token one after the other if their forms make it up.

    Otherwise each of them has all characters of the token.
    """
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
