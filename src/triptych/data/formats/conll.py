"""Read words with their tags as Examples: CoNLL and similar columns, running text, and JSONL.

In columns (CoNLL 2003, CoNLL-U and similar) a line is a word and its tag, and an empty line, or one
of white space alone, ends a sentence. Columns are separated by tabs if the first line has one, else
by spaces. Columns before the word may number the sentences and words (1 or 0, w1, 1.1, s1 1). In
such files lines with "#" are comments, and "# text = " or CoNLL-U's SpaceAfter=No gives the
original text; in other files the words are joined by spaces. `-DOCSTART-` lines end a sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError, shell_command
from ...messages import message
from ..example import Example, Notify, OnProblem
from . import bio, span_spelling, tagged_json, tagged_text
from .conll_layout import DOCUMENT, NUMBER, NUMBERED, ColumnLayout, sniff
from .foreign.own_lines import own_lines
from .lines import stop
from .table_format import WORKBOOKS, csv_rows, separator
from .tagged_sentence import (
    KINDS,
    OnRemark,
    Remark,
    TaggedFile,
    TaggedSentence,
    text_of,
)

if TYPE_CHECKING:
    from ..table import DataTable

MISC = 9
NAMED = 3  # places that a notice names
_RANGE, _EMPTY = re.compile(r"(\d{1,9})-(\d{1,9})"), re.compile(r"\d+\.\d+")
# A comment before a sentence, even if it has as many columns as a word's line.
_COMMENT = re.compile(r"# (?:id|sent_id|newdoc|newpar|text)\b")
_NO_TAG = "no tag"
CSV = (".csv", *WORKBOOKS)
TEXT_SHOWN = 40  # characters of a text that an error shows


def read(
    names: Sequence[str],
    data: DataTable,
    needs: Sequence[str],
    report: Notify | None = None,
) -> list[Example]:
    """Read the user's files as Examples with text, words and tags.

    data.columns or data.fields name the columns of words and tags, "1" and "4" or, in CoNLL-U,
    "form" and "upos"; in JSONL they name keys. Raises DataError with file and line for a line that
    lacks a column and for an impossible tag. A tag that continues no span is read as conlleval
    reads it, and reported.
    """
    found = []
    for name in names:
        found += examples_of(
            own_lines(name, report, data.encoding),
            str(name),
            data.listed(("words", "tags")),
            report=report,
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
    file = tagged_file(lines, where, fields, stop, changed)
    scheme = bio.scheme_of(tag for one in file.sentences for tag in one.tags)
    counts = Counter(tag for one in file.sentences for tag in one.tags)
    repaired: list[int] = []  # line numbers
    examples = []
    for one in file.sentences:
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
        report(
            message(
                "{where}: {form}, {kind}, {sentences:,} sentences, {words:,} words.",
                where=where,
                form=file.described,
                kind=message("plain tags") if scheme == "plain" else scheme.upper(),
                sentences=len(examples),
                words=sum(len(one.tags or ()) for one in examples),
            )
        )
        _report_remarks(file, counts, where, report)
        if repaired:
            report(
                message(
                    "{where}: {count:,} tags continue no span ({places}); they are read as "
                    "conlleval reads them (I- begins one). List them with: "
                    "{command}",
                    where=where,
                    count=len(repaired),
                    places=_places(where, repaired),
                    command=shell_command("triptych", "data", "check", where),
                )
            )
    return examples


def tagged_file(
    lines: Sequence[str],
    where: str,
    fields: Sequence[str] | None,
    wrong: OnProblem,
    changed: Mapping[str, str] | None = None,
) -> TaggedFile:
    """Read the sentences of a file in any of the forms, with spans written as BIO or BIOES.

    wrong: gets the place and reason of every error. changed: tags to be read as others.

    Raises UsageError or DataError if no form fits.
    """
    remarks: list[Remark] = []

    def remark(kind: str, line: int, detail: str) -> None:
        remarks.append(Remark(kind, line, detail))

    form = None if fields is not None else tagged_text.form_of(lines)
    if tagged_json.is_json(lines):
        keys = tagged_json.sniff(lines, where, fields)
        found, described = tagged_json.sentences(lines, where, keys, wrong, remark), str(keys)
    elif form is not None:
        found = tagged_text.sentences(lines, where, form, wrong)
        described = tagged_text.described(form)
    else:
        _refuse_csv(lines, where)
        layout = sniff(lines, where, fields)
        found, described = sentences(lines, where, layout, wrong, remark), layout.described
    file = TaggedFile(described, list(found), remarks)
    if not tagged_json.is_json(lines):
        _refuse_texts(file, where)
    for one in file.sentences if changed else ():
        one.tags = [(changed or {}).get(tag, tag) for tag in one.tags]
    file.renamed = span_spelling.renamed(tag for one in file.sentences for tag in one.tags)
    for one in file.sentences if file.renamed else ():
        one.tags = [file.renamed.get(tag, tag) for tag in one.tags]
    return file


def _refuse_csv(lines: Sequence[str], where: str) -> None:
    """Raise DataError for a table in CSV, whose rows would be cut at their spaces."""
    if Path(where.removesuffix(".gz")).suffix.lower() not in CSV:
        return
    first = next((line for line in lines if line.strip()), "")
    columns = next((row for _, row in csv_rows([first], separator(lines)[0], False)), [])
    if len(columns) > 1:
        raise _no_tags(where, message("a table with the columns {names}", names=", ".join(columns)))


def _refuse_texts(file: TaggedFile, where: str) -> None:
    """Raise DataError if most words are texts of several words, as in a table of texts."""
    words = [word for one in file.sentences for word in one.words]
    texts = [word for word in words if " " in word]
    if 2 * len(texts) > len(words):
        shown = texts[0] if len(texts[0]) <= TEXT_SHOWN else f"{texts[0][:TEXT_SHOWN]}..."
        raise _no_tags(where, message("a table with whole texts, like {shown!r}", shown=shown))


def _no_tags(where: str, what: str) -> DataError:
    return DataError(
        "{where} is {what}, not words with tags: one word and its tag a line, an empty line after "
        "each sentence. Texts with a label are for the task classification, pairs of sentences for "
        "translation.",
        where=where,
        what=what,
    )


def _report_remarks(file: TaggedFile, counts: Counter[str], where: str, report: Notify) -> None:
    """Report other spellings of spans, doubtful tags, and what is left out or changed."""
    if file.renamed:
        report(
            message(
                "{where}: tags are read as spans, {renamed}.",
                where=where,
                renamed=span_spelling.described(file.renamed),
            )
        )
    doubt = span_spelling.doubt(counts) or span_spelling.io_notice(counts)
    if doubt is not None:
        report(f"{where}: {doubt}")
    for kind, counted in KINDS.items():
        places = [one.line for one in file.remarks if one.kind == kind]
        if places:
            report(
                message(
                    "{where}: {count:,} {what} ({places}).",
                    where=where,
                    count=len(places),
                    what=counted,
                    places=_places(where, places),
                )
            )


def _places(where: str, lines: Sequence[int]) -> str:
    """Name the first lines for a notice."""
    first = ", ".join(f"{Path(where).name}:{line}" for line in lines[:NAMED])
    return f"{first}, ..." if len(lines) > NAMED else first


def sentences(
    lines: Sequence[str], where: str, layout: ColumnLayout, wrong: OnProblem, remark: OnRemark
) -> Iterator[TaggedSentence]:
    """Yield the sentences that hold a word and a tag for each.

    wrong: gets the place and reason of every error. remark: gets each sentence that is left out.
    """
    one, begun, fine, tagged, joined = TaggedSentence(), False, True, True, 0
    for number, line in enumerate([*lines, ""], 1):
        document = line.lstrip().startswith(DOCUMENT)
        if document or not line.strip():
            if fine and one.joined and one.joined[-1][1] > len(one.words):
                wrong(
                    f"{where}:{joined}",
                    f"wrong range: the token '{one.joined.pop()[2]}' reaches beyond the "
                    "sentence's last word.",
                )
            if one.words and tagged:
                yield one
            elif begun and not document and not one.words:
                wrong(f"{where}:{number}", "empty sentence: comments, but no word.")
            one, begun, fine, tagged = TaggedSentence(), False, True, True
        elif _is_comment(line, one, layout):
            begun = begun or layout.ids > 0
            if line.startswith("# text = "):
                one.text = line.removeprefix("# text = ").strip()
        else:
            before = len(one.joined)
            reason = _add(one, number, layout.cells(line), layout)
            joined = number if len(one.joined) > before else joined
            if reason == _NO_TAG:
                if tagged:
                    remark(_NO_TAG, number, "its column is empty; the sentence is left out")
                tagged = False
            elif reason:
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
    needed = max(layout.word, layout.tag, layout.ids - 1) + 1
    if len(cells) < needed or (layout.columns is not None and len(cells) != layout.columns):
        most = f"at least {needed}" if layout.columns is None else str(layout.columns)
        return f"wrong columns: {len(cells)}, but {most} are needed ({layout.described})."
    if not cells[layout.word]:
        return "no word: its column is empty or white space alone."
    given = cells[layout.ids - 1] if layout.ids else ""
    if layout.bare and not NUMBER.fullmatch(given):
        return _add_token(one, given, cells, layout)
    if layout.ids and not NUMBERED.fullmatch(given):
        return f"wrong number: '{given[:40]}' in column {layout.ids}, which counts the words."
    if not (one.joined and len(one.words) < one.joined[-1][1]):
        _glue(one, cells, len(one.words))
    one.words.append(cells[layout.word])
    one.tags.append(cells[layout.tag])
    one.lines.append(number)
    one.number = int(given) if layout.bare else None
    return None if cells[layout.tag] else _NO_TAG


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
