"""Split running text into sentences and words by Unicode character classes, for the parser.

Words follow the English treebank: punctuation is separate, "n't" and "'s" are words. Every Chinese,
Japanese or Korean ideograph or kana is a word; give words (`--words`) if they are known.
"""

from __future__ import annotations

import re
import unicodedata

CharacterSpan = tuple[int, int]

_ENDS = re.compile(  # possessive, and starting only at the start of a run: linear in the text
    r"(?P<stop>(?<![.!?…])[.!?…]++[\"'”’)\]»]*+)(?=\s)"  # needs space after it
    r"|(?<![。！？｡؟।॥۔])[。！？｡؟।॥۔]++[”’」』）\"')\]]*+"
    r"|\n[ \t\r]*+\n\s*+"
)
_TITLES = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "sr",
        "jr",
        "gen",
        "sen",
        "rep",
        "gov",
        "vs",
        "inc",
        "ltd",
        "corp",
    ]
)
_ABBREVIATIONS = _TITLES | {"etc", "co", "no", "fig", "e.g", "i.e", "a.m", "p.m", "u.s", "u.k"}
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[^\s<>\"]{1,2000}|[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,5}"
)
_WORD = re.compile(
    r"(?:L\.){2,}"  # U.S.
    r"|d+(?:[.,]d+)+"  # 1,000.5
    r"|[Ld][Ldm]*"
    r"|[ex]m*(?:z[xe]m*)*z?"  # an ideograph; an emoji with its joined parts
    r"|[.,'m]|z"
)
_TAILS = frozenset(("s", "re", "ve", "ll", "d", "m"))  # of English, after an apostrophe
_REPEATED = frozenset(".!?-*=~_…—。！？")


def split_sentences(text: str) -> list[CharacterSpan]:
    """Return [start, end) of each sentence without the space around it; they cover all text."""
    spans, start = [], 0
    for found in _ENDS.finditer(text):
        if found["stop"] and not _ends_sentence(text, found.start(), found.end()):
            continue
        spans.append((start, found.end()))
        start = found.end()
    spans.append((start, len(text)))
    return [span for span in (_trimmed(text, *one) for one in spans) if span[0] < span[1]]


def _ends_sentence(text: str, stop: int, after: int) -> bool:
    """Tell whether the punctuation at `stop` ends a sentence.

    It does not after an initial or an abbreviation, or before a small letter.
    """
    rest = text[after : after + 20].lstrip()
    if rest[:1].islower():
        return False
    if text[stop] != "." or after - stop > 1:
        return True
    before = re.split(r"[\s(\[\"']", text[max(0, stop - 12) : stop])[-1]
    return not (before.lower() in _ABBREVIATIONS or (len(before) == 1 and before.isupper()))


def _trimmed(text: str, start: int, end: int) -> CharacterSpan:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def split_words(text: str) -> list[CharacterSpan]:
    """Return [start, end) of each word and sign, which cover everything but space."""
    spans: list[CharacterSpan] = []
    place = 0
    for found in _ADDRESS.finditer(text):
        spans += _words(text, place, found.start())
        spans.append(found.span())
        place = found.end()
    return spans + _words(text, place, len(text))


def _words(text: str, start: int, end: int) -> list[CharacterSpan]:
    classes = "".join(map(_class, text[start:end]))
    spans: list[CharacterSpan] = []
    for found in _WORD.finditer(classes):
        first, last = found.start() + start, found.end() + start
        previous = spans[-1] if spans and spans[-1][1] == first else None
        if previous and text[first] in _REPEATED and text[first] == text[previous[0]]:
            spans[-1] = (previous[0], last)  # "..." and "!!!" are one token
        elif (
            previous
            and text[previous[0] : previous[1]] in "'’"
            and len(spans) > 1
            and spans[-2][1] == previous[0]
        ):
            _clitic(text, spans, first, last)
        elif previous and text[first] == "." and text[previous[0] : previous[1]].lower() in _TITLES:
            spans[-1] = (previous[0], last)
        else:
            spans.append((first, last))
    return spans


def _clitic(text: str, spans: list[CharacterSpan], first: int, last: int) -> None:
    """Split at an apostrophe: "it's" -> it 's, "don't" -> do n't; others are kept separate."""
    tail, (before, apostrophe) = text[first:last].lower(), spans[-2]
    if tail == "t" and text[apostrophe - 1] in "nN" and apostrophe - before > 1:
        spans[-2:] = [(before, apostrophe - 1), (apostrophe - 1, last)]
    elif tail in _TAILS and text[before].isalnum():
        spans[-1] = (apostrophe, last)
    else:
        spans.append((first, last))


def _class(character: str) -> str:
    """Classify a character by one letter.

    L letter or number, d digit, e ideograph or kana, m mark, z joiner, space, and signs.
    """
    if character.isspace():
        return " "
    if character in ".,:'’":
        return {".": ".", ",": ",", ":": ","}.get(character, "'")
    if character.isdecimal():
        return "d"
    if character.isalnum():
        wide = (
            unicodedata.east_asian_width(character) in "WF"
            and not "\uac00" <= character <= "\ud7a3"
        )
        return "e" if wide and not unicodedata.name(character, "").startswith("FULLWIDTH") else "L"
    if character == "\u200d":
        return "z"
    return (
        "m"
        if unicodedata.category(character)[0] == "M" or "\U0001f3fb" <= character <= "\U0001f3ff"
        else "x"
    )
