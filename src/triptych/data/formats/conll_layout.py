"""Find the columns of a CoNLL file: the word, its tag, and numbers of sentences and words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...errors import DataError, UsageError, unknown
from ...messages import Message, message

# The columns of CoNLL-U.
NAMES = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
DOCUMENT = "-DOCSTART-"
SEEN = 100  # rows from which the columns are found
MOST_IDS = 4  # columns before the word: document, part, sentence and number
NUMBER = re.compile(r"\d{1,9}")
NUMBERED = re.compile(r"(.*?)(\d{1,9})([.:)\]]?)")  # w1, 1.1, 3)


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """Hold the place of each column, from 0.

    columns: how many every line has, None where they may differ.
    """

    word: int
    tag: int
    tabs: bool
    # Columns before the word that number sentences and words; the last of them counts the words.
    ids: int = 0
    # The words' numbers are bare as in CoNLL-U, so that 1-2 is a token of two words and 8.1 an
    # empty node.
    bare: bool = False
    columns: int | None = None

    def cells(self, line: str) -> list[str]:
        """Cut a line into columns; empty text after the last one is not a column."""
        if not self.tabs:
            return re.split("[ \t]+", line.strip(" \t"))  # other spaces belong to the words
        found = [cell.strip() for cell in line.split("\t")]
        while self.columns is not None and len(found) > self.columns and not found[-1]:
            found.pop()
        return found

    @property
    def described(self) -> Message:
        """Return what a user is told of the columns."""
        columns = message(
            "word in column {word}, tag in column {tag}", word=self.word + 1, tag=self.tag + 1
        )
        if self.ids:
            columns = message("numbers in column {ids}, {columns}", ids=self.ids, columns=columns)
        if self.tabs:
            return message("CoNLL with tabs, {columns}", columns=columns)
        return message("CoNLL with spaces, {columns}", columns=columns)


def sniff(lines: Sequence[str], where: str, fields: Sequence[str] | None = None) -> ColumnLayout:
    """Find the columns, by `fields` or by the first rows.

    The tag is in the last column; if the words are numbered from 1, it is in the column after the
    word, or in CoNLL-U's upos.

    Raises:
        UsageError: `fields` names impossible columns.
        DataError: there are no words, or the first column holds numbers that do not count.
    """
    blocks = _blocks(lines)
    if not blocks:
        raise DataError(
            f"{where} holds no sentence. Write one word a line with its tag in a column, and an "
            "empty line between sentences."
        )
    tabs = _has_tabs(blocks[0])
    bare_layout = ColumnLayout(0, 1, tabs)
    cut = [[_without_end(bare_layout.cells(line)) for line in block] for block in blocks]
    width = Counter(len(cells) for block in cut for cells in block).most_common(1)[0][0]
    ids, bare, from_one = _numbering(_whole(cut, width))
    treebank = bool(ids) and width == len(NAMES)
    layout = ColumnLayout(
        word=ids,
        tag=NAMES.index("upos") if treebank else ids + 1 if from_one else width - 1,
        tabs=tabs,
        ids=ids,
        bare=bare,
        columns=None if from_one else width,
    )
    if fields is not None:
        if len(fields) != 2:
            raise UsageError(
                f"data.fields names {len(fields)} columns; it must name two, those of word and "
                "tag, like ['1', '4']."
            )
        known = {str(number + 1): number for number in range(width)} | (
            {name: number for number, name in enumerate(NAMES)} if treebank else {})  # fmt: skip
        for name in fields:
            if name not in known:
                raise unknown("column", name, known, f"of {where} in data.columns or data.fields")
        layout = replace(layout, word=known[fields[0]], tag=known[fields[1]])
        if layout.word < ids:  # the column that looked like numbers is the text
            layout = replace(layout, ids=0, bare=False)
    elif not ids and width > 2 and _only_numbers(cut):
        first = ", ".join(cells[0] for cells in cut[0][:3])
        raise DataError(
            f"{where}: the first column holds numbers alone ({first}) that do not count the words "
            "of a sentence from 0 or 1. Name the columns of word and tag in data.columns "
            "(--columns words=2,tags=3) or data.fields, like ['2', '3']."
        )
    if layout.columns is not None and layout.columns < 2:
        line = blocks[0][0]
        raise DataError(
            f"{where}: '{line[:60]}' has one column; a word and its tag are needed, with a space "
            "or a tab between them."
        )
    return layout


def _blocks(lines: Sequence[str]) -> list[list[str]]:
    """Group the first SEEN rows by sentence, without comments.

    Comments are lines with "# ", and those with "#" that have other columns than the next rows.
    """
    found, block, count = list[list[str]](), list[str](), 0
    for line in [*lines, ""]:
        if line.strip() and not line.startswith(DOCUMENT):
            if not line.startswith("# "):
                block.append(line)
            continue
        word = next((one for one in block if not one.startswith("#")), None)
        if word is not None:
            layout = ColumnLayout(0, 1, "\t" in word)
            while block[0].startswith("#") and len(layout.cells(block[0])) != len(
                layout.cells(word)
            ):
                block.pop(0)
        if block:
            found.append(block[: SEEN - count])
            count += len(found[-1])
            if count >= SEEN:
                break
        block = []
    return found


def _has_tabs(block: Sequence[str]) -> bool:
    return "\t" in next((line for line in block if not line.startswith("#")), block[0])


def _without_end(cells: list[str]) -> list[str]:
    """Return a row without empty columns at its end, unless only a word would be left."""
    while len(cells) > 2 and not cells[-1]:
        cells.pop()
    return cells


def _whole(blocks: Sequence[list[list[str]]], width: int) -> Sequence[list[list[str]]]:
    """Return the sentences whose rows all have the usual columns; all of them if there are none."""
    kept = [[cells for cells in block if not cells[0].startswith("#")] for block in blocks]
    return [
        block for block in kept if block and all(len(cells) == width for cells in block)
    ] or blocks


def _numbering(blocks: Sequence[Sequence[list[str]]]) -> tuple[int, bool, bool]:
    """Return how many columns before the word number it, and how.

    The flags say whether the numbers are bare, and whether they begin with 1 in the first column
    as in CoNLL-U.
    """
    rows = [cells for block in blocks for cells in block]
    several, least = any(len(block) > 1 for block in blocks), min(map(len, rows))
    for column in range(1, MOST_IDS) if several else ():
        constant = all(len({tuple(cells[:column]) for cells in block}) == 1 for block in blocks)
        if (
            least >= column + 3
            and constant
            and _count([[cells[column] for cells in block] for block in blocks])
        ):
            return column + 1, all(NUMBER.fullmatch(cells[column]) for cells in rows), False
    numbers = [cells[0] for cells in rows]
    if len(rows[0]) > 2 and numbers[0] in ("1", "1-2") and all(map(_counts, numbers)):
        return 1, True, True
    if least < 3:
        return 0, False, False
    if all(map(_counts, numbers)) and _count(
        [[cells[0] for cells in block if NUMBER.fullmatch(cells[0])] for block in blocks]
    ):
        return 1, True, False  # counted from 0, or on over sentences
    words, tags = ({cells[column] for cells in rows} for column in (1, -1))
    # Words like w1, w2 are not numbers of words.
    lettered = len(words) >= len(tags) and _count(
        [[cells[0] for cells in block] for block in blocks]
    )
    return int(lettered), False, False


def _counts(cell: str) -> bool:
    return re.fullmatch(r"\d+([-.]\d+)?", cell) is not None


def _count(blocks: Sequence[Sequence[str]]) -> bool:
    """Tell whether the cells of most sentences count up by one after the same letters.

    They may begin at 0 or 1, or go on from the sentence before.
    """
    good, long, after = 0, 0, None
    for block in blocks:
        found = [one for cell in block if (one := NUMBERED.fullmatch(cell))]
        alike = len(found) == len(block) > 0 and len({(one[1], one[3]) for one in found}) == 1
        numbers = [int(one[2]) for one in found] if alike else []
        if len(block) > 1:
            long += 1
            good += (
                alike
                and numbers[0] in (0, 1, after)
                and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            )
        after = numbers[-1] + 1 if alike else None
    return long > 0 and 4 * good >= 3 * long


def _only_numbers(blocks: Sequence[Sequence[list[str]]]) -> bool:
    numbers = [cells[0] for block in blocks for cells in block]
    return len(numbers) > 2 and all(map(_counts, numbers))
