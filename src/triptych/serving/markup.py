"""Translate the text of HTML and leave its markup as it is.

The text is scanned once: no character is looked at more often than a fixed number of times, however
broken the markup is. What is not closed up to the end is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape

from .problems import ApiError

# Elements whose text stays; the text of the first two has no tags and is not escaped.
RAW = ("script", "style")
UNTRANSLATED = (*RAW, "code", "pre", "textarea")
# A quotation mark counts after "=" alone. Nothing is given back (++, *+), so a match is linear.
TAG = re.compile(r"""</?[A-Za-z](?:[^>=]++|=\s*+"[^"]*+"|=\s*+'[^']*+'|=)*+>""")
BEGIN = re.compile(r"<(?:/?[A-Za-z]|[!?])")
NAME = re.compile(r"</?([A-Za-z][^\s/>]*)")
# What begins with "<" beside a tag, and what ends it.
OTHERS = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<!", ">"), ("<?", ">"))


class _Scanner:
    """Find the markup of a text, from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._missing: dict[str, int] = {}  # an end -> a place after which there is none
        self._is_strict = True  # quoted attributes may hold ">"

    def markup(self, place: int) -> int:
        """Return the end of the markup that begins at a "<", or `place` where it is text."""
        text = self.text
        if text.startswith(("<!", "<?"), place):
            begin, end = next(one for one in OTHERS if text.startswith(one[0], place))
            found = self._find(end, place + len(begin))
            return place if found < 0 else found
        if self._is_strict:
            if (tag := TAG.match(text, place)) is not None:
                return tag.end()
            # A quoted attribute never ends, or the tag: the search is not begun again at each "<".
            self._is_strict = False
        found = self._find(">", place)
        return place if found < 0 else found

    def raw_end(self, name: str, place: int) -> int:
        """Return where the text of a script or a style ends."""
        found = re.compile(rf"</{name}[\s/>]", re.IGNORECASE).search(self.text, place)
        return len(self.text) if found is None else found.start()

    def _find(self, end: str, place: int) -> int:
        """Return the place behind the next `end`, or -1; a search in vain is not repeated."""
        if place >= self._missing.get(end, len(self.text) + 1):
            return -1
        found = self.text.find(end, place)
        if found < 0:
            self._missing[end] = place
            return -1
        return found + len(end)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of HTML, as `cut` returns them."""
    scanner, done, place, kept = _Scanner(text), 0, 0, 0  # kept: open elements whose text stays
    last = text.rfind(">")  # all markup ends with it
    while (begin := BEGIN.search(text, place, last)) is not None:
        place = begin.start()
        end = scanner.markup(place)
        if end == place:
            place += 1
            continue
        yield from _text(text[done:place], kept)
        found = NAME.match(text, place, end)
        name = "" if found is None else found[1].lower()
        is_open = text[place + 1] != "/" and text[end - 2] != "/"
        if name in RAW and is_open:
            end = scanner.raw_end(name, end)
        elif name in UNTRANSLATED and is_open:
            kept += 1
        elif name in UNTRANSLATED and text[place + 1] == "/":
            kept = max(0, kept - 1)
        yield text[place:end], False
        done = place = end
    yield from _text(text[done:], kept)


def _text(text: str, kept: int) -> Iterator[tuple[str, bool]]:
    """Yield a text between two tags, which stays within some elements."""
    if kept:
        yield text, False
    elif text:
        try:
            yield unescape(text), True
        except ValueError:  # a character's number of thousands of digits
            raise ApiError("The text is not HTML that can be read. Send it as format text.").at(
                400, "q"
            ) from None


def cut(text: str) -> list[tuple[str, bool]]:
    """Return the parts of HTML, each with whether it is text to translate."""
    return list(_parts(text))


def escaped(text: str) -> str:
    """Return a text as HTML spells it."""
    return escape(text, quote=False)
