"""Translate the text of HTML and leave its markup as it is."""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser

from .problems import ApiError

UNTRANSLATED = ("script", "style", "code", "pre", "textarea")  # elements whose text stays


class _Parts(HTMLParser):
    """Cut HTML into markup and text, one after the other."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[tuple[str, bool]] = []  # and whether it is to be translated
        self._closed = 0  # how many untranslated elements are open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._closed += tag in UNTRANSLATED
        self._markup(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._markup(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        self._closed = max(0, self._closed - (tag in UNTRANSLATED))
        self._markup(f"</{tag}>")

    def handle_comment(self, data: str) -> None:
        self._markup(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self._markup(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self._markup(f"<?{data}>")

    def unknown_decl(self, data: str) -> None:
        self._markup(f"<![{data}]>")

    def handle_data(self, data: str) -> None:
        if self._closed:
            # Only script and style hold text that is not escaped.
            self._markup(data if self.cdata_elem else escape(data, quote=False))
        else:
            self.parts.append((data, True))

    def _markup(self, text: str) -> None:
        self.parts.append((text, False))


def cut(text: str) -> list[tuple[str, bool]]:
    """Return the parts of HTML, each with whether it is text to translate."""
    parser = _Parts()
    try:
        parser.feed(text)
        parser.close()
    except AssertionError:  # the library's word for a declaration that it cannot read
        raise ApiError("The text is not HTML that can be read. Send it as format text.").at(
            400, "q"
        ) from None
    return parser.parts


def escaped(text: str) -> str:
    """Return a text as HTML spells it."""
    return escape(text, quote=False)
