"""Read CoNLL-U files (universaldependencies.org/format.html) as Examples with words and trees.

Words are syntactic words with their place in the text. A word of a multiword token ("don't") has
its own characters if the words' forms make up the token, else those of the token. Empty nodes (8.1)
belong to enhanced graphs and are skipped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...errors import shell_command
from ...messages import message
from ..example import Example, Notify, OnProblem
from .lines import lines_of, stop

if TYPE_CHECKING:
    from ..table import DataTable

COLUMNS = 10
ID, FORM, _, UPOS, _, _, HEAD, RELATION, _, MISC = range(COLUMNS)
_WORD = re.compile(r"[1-9][0-9]{0,8}")
_RANGE = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})")
_EMPTY = re.compile(r"[0-9]+\.[1-9][0-9]*")


@dataclass(slots=True)
class ParsedSentence:
    """Hold one sentence of a file.

    words: rows of ten columns; lines: the line number of each word; ranges: (first word, last word,
    columns, line) of each multiword token.
    """

    line: int
    words: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    ranges: list[tuple[int, int, list[str], int]] = field(default_factory=list)
    text: str | None = None


def read(
    names: Sequence[str],
    data: DataTable,
    needs: Sequence[str],
    report: Notify | None = None,
) -> list[Example]:
    """Read the user's files, plain or gzipped, as Examples with text, words and upos.

    They have heads and relations too if `needs` has them. Raises DataError naming file and line of
    the first error in the format.
    """
    notify = report or (lambda message: None)
    examples = []
    for name in names:
        found = examples_of(
            lines_of(name, report, data.encoding),
            str(name),
            stop_with_advice,
            trees="heads" in needs or "relations" in needs,
        )
        notify(
            message(
                "{name}: CoNLL-U, {sentences:,} sentences, {words:,} words",
                name=name,
                sentences=len(found),
                words=sum(len(one.words or ()) for one in found),
            )
        )
        examples += found
    return examples


def stop_with_advice(place: str, reason: str) -> None:
    file = place.rsplit(":", 1)[0]
    stop(
        place,
        f"{reason.rstrip('.')}. Correct it, or list all such lines with: "
        f"{shell_command('triptych', 'data', 'check', file)}",
    )


def examples_of(
    lines: Sequence[str], where: str, wrong: OnProblem = stop_with_advice, trees: bool = True
) -> list[Example]:
    """Return the correct sentences of a file's lines; `wrong` gets every error, and may raise.

    trees: heads and relations are required and returned; without it their columns are not read.
    """
    found: list[tuple[ParsedSentence, list[int] | None]] = []
    for sentence in sentences(lines, where, wrong):
        heads = tree_of(sentence, where, wrong) if trees else None
        if heads is not None or not trees:
            found.append((sentence, heads))
    spaces = any(
        one.text is not None or _glued(row)
        for one, _ in found
        for row in [*one.words, *(four[2] for four in one.ranges)]
    )
    examples = []
    for sentence, heads in found:
        text, words = layout(sentence, spaces)
        examples.append(
            Example(
                text=text,
                words=words,
                upos=[row[UPOS] for row in sentence.words],
                heads=heads,
                place=f"{where}:{sentence.line}",
                relations=[row[RELATION] for row in sentence.words] if trees else None,
            )
        )
    return examples


# Lines to sentences -------------------------------------------------------------------------------


def sentences(lines: Sequence[str], where: str, wrong: OnProblem) -> Iterator[ParsedSentence]:
    """Yield the sentences whose rows and ids are correct; `wrong` gets the errors of the others."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            block.append((number, line))
        elif block:
            one = _sentence(block, where, wrong)
            if one is not None:
                yield one
            block = []


def _sentence(block: list[tuple[int, str]], where: str, wrong: OnProblem) -> ParsedSentence | None:
    """Read one sentence; None if it has an error, or holds comments alone."""
    one, fine = ParsedSentence(0), True
    for number, line in block:
        if line.startswith("#"):
            name, sign, value = line[1:].partition("=")
            if sign and name.strip() == "text" and one.text is None:
                one.text = value.strip()
            continue
        one.line = one.line or number
        reason = _take(one, line, number)
        if reason is not None:
            wrong(f"{where}:{number}", reason)
            fine = False
            if reason.startswith("bad id"):
                return None  # all ids after a wrong one would be reported as well
    for first, last, _, number in one.ranges:
        if last > len(one.words) and fine:
            wrong(
                f"{where}:{number}",
                f"bad id: the range {first}-{last} ends after the last word, {len(one.words)}",
            )
            fine = False
    if not one.words and one.line and fine:
        wrong(
            f"{where}:{one.line}",
            "no words: the sentence has no line with a whole number as its id",
        )
    return one if fine and one.words else None


def _take(one: ParsedSentence, line: str, number: int) -> str | None:
    """Add one row to the sentence; return the reason if it cannot be added."""
    columns = line.split("\t")
    if len(columns) != COLUMNS:
        hint = (
            "; columns are separated by tabs, and this line has spaces"
            if len(columns) == 1 and len(line.split()) >= COLUMNS
            else ""
        )
        return f"wrong column count: {len(columns)} instead of {COLUMNS}{hint}"
    given, expected = columns[ID], len(one.words) + 1
    if _EMPTY.fullmatch(given):
        return None
    if found := _RANGE.fullmatch(given):
        first, last = int(found[1]), int(found[2])
        if first != expected or last <= first or (one.ranges and first <= one.ranges[-1][1]):
            return (
                f"bad id: the range {given} must begin at the next word, {expected}, after "
                "earlier ranges, and hold two words or more"
            )
        one.ranges.append((first, last, columns, number))
    elif not _WORD.fullmatch(given) or int(given) != expected:
        return f"bad id: '{given[:40]}' where word {expected} is next"
    else:
        one.words.append(columns)
        one.lines.append(number)
    return None if columns[FORM].strip() else f"empty form: word {given} has no characters"


# Trees --------------------------------------------------------------------------------------------


def tree_of(sentence: ParsedSentence, where: str, wrong: OnProblem) -> list[int] | None:
    """Return the heads if they form a tree with one root; else report to `wrong`, return None."""
    heads, fine, count = [], True, len(sentence.words)
    for row, number in zip(sentence.words, sentence.lines, strict=True):
        head = int(row[HEAD]) if re.fullmatch(r"[0-9]{1,9}", row[HEAD]) else -1
        if not 0 <= head <= count:
            wrong(
                f"{where}:{number}",
                f"head out of range: '{row[HEAD][:40]}' of word {row[ID]}; it must be a number "
                f"from 0 to {count}",
            )
            fine = False
        if row[RELATION] in ("", "_"):
            wrong(
                f"{where}:{number}",
                f"no relation: word {row[ID]} has '{row[RELATION]}' in column 8",
            )
            fine = False
        heads.append(head)
    problem = what_is_wrong(heads) if fine else None
    if problem is not None:
        word, reason = problem
        wrong(f"{where}:{sentence.lines[word - 1]}", reason)
        fine = False
    return heads if fine else None


def what_is_wrong(heads: Sequence[int]) -> tuple[int, str] | None:
    """Return (word, reason) if heads from 0 to n are not a tree with a single root, else None.

    heads[0] is the head of word 1.
    """
    roots = [word for word, head in enumerate(heads, 1) if head == 0]
    if len(roots) > 1:
        return roots[
            1
        ], f"several roots: words {', '.join(map(str, roots))} have head 0; a tree has one root"
    safe = {0}
    for start in range(1, len(heads) + 1):
        path, word = [], start
        while word not in safe and word not in path[-1:]:
            if len(path) > len(heads):
                break
            path.append(word)
            word = heads[word - 1]
        if word in safe:
            safe.update(path)
            continue
        cycle = [word]
        while heads[cycle[-1] - 1] != word:
            cycle.append(heads[cycle[-1] - 1])
        first = cycle.index(min(cycle))
        cycle = cycle[first:] + cycle[:first]
        shown = " -> ".join(map(str, [*cycle, cycle[0]][:12]))
        return (
            cycle[0],
            f"{'cyclic tree' if roots else 'rootless and cyclic tree'}: {shown} never reaches the "
            "root",
        )
    return None if roots else (1, "rootless tree: no word has head 0")


# Text and places ----------------------------------------------------------------------------------


def layout(sentence: ParsedSentence, spaces: bool = True) -> tuple[str, list[tuple[int, int]]]:
    """Return the sentence's text and each word's [start, end) in it.

    It is `# text` if that holds the words in order, else the words put together with spaces except
    after SpaceAfter=No.

    spaces: the file marks where no space follows; if False, no spaces are put beside a wide
        (Chinese, Japanese) character.
    """
    tokens = surface_tokens(sentence)
    places = (
        None if sentence.text is None else aligned(sentence.text, [form for form, *_ in tokens])
    )
    text = sentence.text or ""
    if places is None:
        text, places = _joined(
            [(row[FORM], _glued(row)) for row in (token[1] for token in tokens)], spaces
        )
    words: list[tuple[int, int]] = []
    for (form, _, first, last), (start, end) in zip(tokens, places, strict=True):
        forms = [row[FORM] for row in sentence.words[first:last]]
        if last - first > 1 and "".join(forms) == form == text[start:end]:
            for one in forms:
                words.append((start, start + len(one)))
                start += len(one)
        else:
            words += [(start, end)] * (last - first)
    return text, words


def surface_tokens(sentence: ParsedSentence) -> list[tuple[str, list[str], int, int]]:
    """Return each surface token: form, row, and the words [first, last) that it holds."""
    tokens, place = [], 0
    ranges = {first - 1: (last, row) for first, last, row, _ in sentence.ranges}
    while place < len(sentence.words):
        last, row = ranges.get(place, (place + 1, sentence.words[place]))
        tokens.append((row[FORM], row, place, last))
        place = last
    return tokens


def aligned(text: str, forms: Sequence[str]) -> list[tuple[int, int]] | None:
    """Find the forms in the text, one after the other with only spaces between them, else None."""
    places, place = [], 0
    for form in forms:
        while not text.startswith(form, place):
            if place >= len(text) or not text[place].isspace():
                return None
            place += 1
        places.append((place, place + len(form)))
        place += len(form)
    return None if text[place:].strip() else places


def _joined(tokens: Sequence[tuple[str, bool]], spaces: bool) -> tuple[str, list[tuple[int, int]]]:
    text, places, glued = "", [], True
    for form, no_space_after in tokens:
        if not glued and (spaces or not (_wide(text[-1]) or _wide(form[0]))):
            text += " "
        places.append((len(text), len(text) + len(form)))
        text += form
        glued = no_space_after
    return text, places


def _glued(row: Sequence[str]) -> bool:
    return "SpaceAfter=No" in row[MISC].split("|")


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def as_text(rows: Sequence[dict[str, Any]], text: str) -> str:
    """Write one sentence as CoNLL-U, without the blank line after it.

    rows: {"id", "text", "start", "end", "upos", "head", "relation", "glued"}. Words that share
    their characters are one multiword token, with a line of its own before them (10-11) that has
    the SpaceAfter of all.
    """
    lines = [f"# text = {' '.join(text.split())}"]
    for _, words in groupby(rows, key=lambda row: (row["start"], row["end"])):
        words = list(words)
        form, misc = (
            " ".join(words[0]["text"].split()) or "_",
            "SpaceAfter=No" if words[-1]["glued"] else "_",
        )
        if len(words) > 1:
            lines.append("\t".join([f"{words[0]['id']}-{words[-1]['id']}", form, *"_" * 7, misc]))
            misc = "_"
        for row in words:
            lines.append(
                "\t".join(
                    [
                        str(row["id"]),
                        form,
                        "_",
                        row["upos"],
                        "_",
                        "_",
                        str(row["head"]),
                        row["relation"],
                        "_",
                        misc,
                    ]
                )
            )
    return "\n".join(lines)
