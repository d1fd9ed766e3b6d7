"""Read words with their tags in running text: word|TAG, word_TAG, word/TAG, and OpenNLP's spans.

A line is a sentence. Where no line has two words, a line is a word and an empty line ends a
sentence. OpenNLP writes <START:person> Ann Lee <END> sings .
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from ..example import OnProblem
from . import bio
from .conll_layout import DOCUMENT
from .tagged_sentence import TaggedSentence

SIGNS = "|/_"  # between word and tag, in the order in which they are tried
SEEN = 100  # lines from which the form is found
SPANS = "<START>"  # the form of OpenNLP
_START, _END = re.compile(r"<START(?::([^<>\s]+))?>"), "<END>"
UNNAMED = "default"  # the type of OpenNLP's <START>


def form_of(lines: Sequence[str]) -> str | None:
    """Return the sign between word and tag, or SPANS; None if the first lines do not all fit."""
    first = list(islice((line for line in lines if not _is_empty(line)), SEEN))
    if any("<START" in line for line in lines) and all(_fits_spans(line) for line in first):
        return SPANS
    if not first or any("\t" in line for line in first):
        return None
    tokens = [token for line in first for token in line.split()]
    return next((sign for sign in SIGNS if all(_cut(token, sign) for token in tokens)), None)


def described(form: str) -> str:
    if form == SPANS:
        return "text with <START:type> ... <END> around spans, a sentence a line"
    return f"text of word{form}TAG"


def sentences(
    lines: Sequence[str], where: str, form: str, wrong: OnProblem
) -> Iterator[TaggedSentence]:
    """Yield the sentences; `wrong` gets the place and reason of every line that does not fit."""
    if form == SPANS:
        yield from _with_spans(lines, where, wrong)
        return
    single = all(len(line.split()) < 2 for line in lines)
    one, fine = TaggedSentence(), True
    for number, line in enumerate([*lines, ""], 1):
        for token in () if _is_empty(line) else line.split():
            cut = _cut(token, form)
            if cut is None:
                wrong(
                    f"{where}:{number}",
                    f"no tag: '{token[:40]}' is not a word, {form} and a tag, as all words of "
                    "the first lines are.",
                )
                fine = False
                continue
            one.words.append(cut[0])
            one.tags.append(cut[1])
            one.lines.append(number)
        if not single or _is_empty(line):
            if one.words and fine:
                yield one
            one, fine = TaggedSentence(), True


def _is_empty(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith(DOCUMENT)


def _cut(token: str, sign: str) -> tuple[str, str] | None:
    """Cut a token at its last sign into word and tag, both with at least a character."""
    word, found, tag = token.rpartition(sign)
    return (word, tag) if found and word and tag else None


def _fits_spans(line: str) -> bool:
    """Tell whether <START> and <END> take turns in a line."""
    marks = [token == _END for token in line.split() if token == _END or _START.fullmatch(token)]
    return marks == [False, True] * (len(marks) // 2)


def _with_spans(lines: Sequence[str], where: str, wrong: OnProblem) -> Iterator[TaggedSentence]:
    for number, line in enumerate(lines, 1):
        if _is_empty(line):
            continue
        if not _fits_spans(line):
            wrong(
                f"{where}:{number}",
                "wrong span: each <START:type> needs its <END> in the same line, before the next "
                "one.",
            )
            continue
        words: list[str] = []
        found: list[tuple[str, int, int]] = []
        kind, first = "", 0
        for token in line.split():
            if begin := _START.fullmatch(token):
                kind, first = begin[1] or UNNAMED, len(words)
            elif token != _END:
                words.append(token)
            elif first < len(words):
                found.append((kind, first, len(words)))
        if words:
            tags = bio.written(found, len(words), "bio")
            yield TaggedSentence(words, tags, [number] * len(words))
