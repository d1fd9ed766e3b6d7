"""Hold the sentences of a file as words and tags, and find the words of one in its text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...messages import message

# What is left out or changed while a file is read -> how a notice counts it. Keys are the kinds of
# problems that `triptych data check` lists.
KINDS = {
    "no tag": message("sentences left out, because a word has no tag"),
    "empty text": message("records left out, because their text is empty"),
    "empty span": message("spans left out, because they hold no word of their text"),
    "overlapping span": message("spans left out, because they overlap a longer one"),
    "span inside a word": message("spans moved to the nearest borders of words"),
}
OnRemark = Callable[[str, int, str], None]  # called with a kind, the line, and what is there


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
    places: list[tuple[int, int]] | None = None  # of the words in `text`, where they are known


@dataclass(frozen=True, slots=True)
class Remark:
    """Name what is left out of a file or changed in it. kind: a key of KINDS."""

    kind: str
    line: int
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


@dataclass(slots=True)
class TaggedFile:
    """Hold all sentences of a file.

    described: how the file is read, for a notice. renamed: tags as they are written -> as they are
    read, where the two differ.
    """

    described: str
    sentences: list[TaggedSentence]
    remarks: list[Remark] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)


def text_of(one: TaggedSentence, spaceless: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """Return the text and each word's [start, end) in it.

    It is the file's text if that holds the words in order, else the words put together.
    """
    if one.text is not None and one.places is not None:
        return one.text, one.places
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
