"""Tell by its first lines whether a file whose name says nothing holds words with tags."""

from __future__ import annotations

import gzip
import re
import unicodedata
import zlib
from collections.abc import Sequence
from pathlib import Path

from ...errors import DataError
from ..example import FIELDS
from . import span_spelling, tagged_json, tagged_text
from .conll import sentences
from .conll_layout import sniff
from .foreign.own_lines import own_lines
from .json_lines import first_object
from .lines import MARK, with_newlines
from .tagged_sentence import TaggedSentence

CONLL_SUFFIXES = (".conll", ".conll03", ".iob", ".iob2", ".bio", ".bioes", ".bilou")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
# Names that can be of anything; parts of a set, too, are named so: eng.train, esp.testa.
OPEN_SUFFIXES = ("", ".txt", ".tsv", ".data", ".ner", ".pos", ".tags")
OPEN_SUFFIXES += (".train", ".dev", ".valid", ".test", ".testa", ".testb")
HEAD_BYTES = 1 << 16
NEARLY = 0.9  # of the rows: the others are what a check is to find
MOST_TAGS = 100  # kinds of tags in the first lines
LONGEST_WORD = 40  # characters; a wide one (Chinese) counts as WIDE, as words of them are short
WIDE = 6
OTHER_KEYS = {*FIELDS} - {"text", "words", "tags"}  # of records that also have spans
# Plain tags are told from labels of texts by their capitals (NN, PRP$), or are a sign (``).
_CAPITALS = re.compile(r"[A-Z][A-Z0-9$|+:_-]*|[^\w\s]+")


def is_conll(path: str) -> bool:
    """Tell by its name, or where that leaves it open by its content, whether a file holds words
    and tags.
    """
    return Path(path.removesuffix(".gz")).suffix in CONLL_SUFFIXES or holds_tags(path)


def refuse_tags(path: str | Path) -> None:
    """Raise DataError if a file of texts with labels holds words with tags instead."""
    if is_conll(str(path)):
        raise DataError(
            "{path} holds words with tags, one word a line, not texts with a label. Take the task "
            "tagging.",
            path=path,
        )


def holds_tags(path: str) -> bool:
    """Tell whether a file holds words with tags, where its name leaves that open.

    Pairs and labelled texts have long texts, or no small set of tags, or no empty lines between
    blocks.
    """
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if suffix not in (*JSON_SUFFIXES, *OPEN_SUFFIXES) or not Path(path).is_file():
        return False
    try:
        if suffix in JSON_SUFFIXES:
            return _in_json(first_object(own_lines(path)))
        lines = _first_lines(path)
        return bool(lines) and (_in_text(lines) or _in_columns(lines))
    except DataError:  # The check of any file reports where it cannot be read.
        return False


def _first_lines(path: str) -> list[str]:
    """Read the whole lines among the first bytes; none of what is not text."""
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            raw = file.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return []
    whole = raw if len(raw) < HEAD_BYTES else raw[: raw.rfind(b"\n") + 1]
    if b"\0" in whole:
        return []
    text = with_newlines(whole.decode("utf-8", "replace").replace(MARK, ""))
    return [line.removesuffix("\r") for line in text.split("\n")]


def _in_json(values: dict[str, object]) -> bool:
    layout = tagged_json.layout_of(values)
    return layout is not None and (layout.kind == "words" or not OTHER_KEYS & set(values))


def _in_text(lines: Sequence[str]) -> bool:
    """Tell whether the lines hold running text of word|TAG, or OpenNLP's spans."""
    form = tagged_text.form_of(lines)
    if form is None or form == tagged_text.SPANS:
        return form is not None
    found = list(tagged_text.sentences(lines, "", form, lambda place, reason: None))
    tags = [tag for one in found for tag in one.tags]
    kinds = set(tags)
    return span_spelling.spelling_of(kinds) is not None or (
        any(len(one.words) > 1 for one in found) and len(kinds) <= min(MOST_TAGS, len(tags) / 2)
    )


def _in_columns(lines: Sequence[str]) -> bool:
    """Tell whether the lines hold blocks of rows with a word and, in the last column, its tag."""
    wrong: list[str] = []
    found = list(
        sentences(
            lines,
            "",
            sniff(lines, ""),
            lambda place, reason: wrong.append(reason),
            lambda kind, line, detail: None,
        )
    )
    rows = [pair for one in found for pair in zip(one.words, one.tags, strict=True)]
    if len(found) < 2 or NEARLY * len(wrong) > (1 - NEARLY) * len(rows) or _is_header(found[0]):
        return False
    short = sum(_length(word) <= LONGEST_WORD and not _has_space(word) for word, _ in rows)
    kinds = {tag for _, tag in rows}
    if short < NEARLY * len(rows) or any(map(_has_space, kinds)) or len(kinds) > MOST_TAGS:
        return False
    if span_spelling.spelling_of(kinds) is not None:
        return True
    return (
        2 * len(kinds) <= len(rows)
        and any(len(one.words) > 1 for one in found)
        and all(_CAPITALS.fullmatch(tag) for tag in kinds)
    )


def _is_header(first: TaggedSentence) -> bool:
    return {first.words[0].lower(), first.tags[0].lower()} <= {*FIELDS, "id"}


def _has_space(cell: str) -> bool:
    return any(map(str.isspace, cell))


def _length(word: str) -> int:
    return sum(WIDE if unicodedata.east_asian_width(one) in "WF" else 1 for one in word)
