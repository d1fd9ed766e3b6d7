"""Build one self-contained page from Traces and pictures; it opens from disk without a network.

Style and script are inlined and named by their SHA-256 in the page's Content-Security-Policy, which
allows nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import RunError

if TYPE_CHECKING:
    from .trace import Trace

Language = Literal["en", "zh-Hant"]
TITLES: dict[Language, str] = {"en": "Attention", "zh-Hant": "注意力"}
# Concatenated in this order they are one script; the last begins to draw.
SCRIPTS = (
    "words.js",
    "map.js",
    "scale.js",
    "heads.js",
    "lines.js",
    "attribution.js",
    "expected.js",
    "page.js",
    "start.js",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold a part of a page that needs no script.

    The page's policy forbids `style` attributes and scripts in it. Classes of page.css (`ink bar
    track mark`) give it the colours of the page, in dark mode as well; in a picture used alone,
    presentation attributes like `fill` apply.

    Args:
        title: In each language.
        markup: SVG or HTML, everything in it escaped, its own words by `in_words`.
    """

    title: Mapping[Language, str]
    markup: str

    def section(self) -> str:
        return (
            f'<section class="picture"><h2>{in_words(self.title)}</h2><div class="scroll" '
            f'tabindex="0">{self.markup}</div></section>'
        )


def in_words(texts: Mapping[Language, str]) -> str:
    """Return a text in each language as markup; the page's button chooses the one shown."""
    return "".join(
        f'<span lang="{name}">{html.escape(text)}</span>' for name, text in texts.items()
    )


def page(
    traces: Sequence[Trace],
    pictures: Sequence[Picture] = (),
    *,
    title: str | None = None,
    language: Language = "en",
) -> str:
    """Return the HTML text; pictures come first, several traces of one sentence side by side.

    Args:
        traces: What the panels show.
        pictures: Parts that need no script.
        title: The heading; the sentence where None.
        language: The first language; a button switches it.
    """
    folder = resources.files("triptych.inspection")
    parts = {name: (folder / f"page.{name}").read_text("utf-8") for name in ("html", "css")}
    parts["js"] = viewer() + (folder / SCRIPTS[-1]).read_text("utf-8")
    # "<" must not be in a script element's data, because a sentence could close the element.
    data = "[" + ",".join(trace.to_json() for trace in traces) + "]"
    fields = {
        "title": html.escape(title or _titles(traces)[language]),
        "heading": html.escape(title) if title else in_words(_titles(traces)),
        "style": parts["css"],
        "style_hash": digest(parts["css"]),
        "script": parts["js"],
        "script_hash": digest(parts["js"]),
        "traces": data.replace("<", "\\u003c"),
        "pictures": "\n".join(picture.section() for picture in pictures),
    }
    text = parts["html"].replace('lang="en"', f'lang="{language}"')
    pieces = text.split("{")  # One pass, so that no data is mistaken for a placeholder.
    return pieces[0] + "".join(
        fields[name] + rest for name, rest in (piece.split("}", 1) for piece in pieces[1:])
    )


def viewer() -> str:
    """Return the script that draws traces, for a page that says itself when it begins."""
    folder = resources.files("triptych.inspection")
    return "".join((folder / name).read_text("utf-8") for name in SCRIPTS[:-1])


def write(
    path: str | Path,
    traces: Sequence[Trace],
    pictures: Sequence[Picture] = (),
    *,
    title: str | None = None,
    language: Language = "en",
) -> Path:
    """Write the page to `path`, creating its folder.

    Args:
        path: The file.
        traces: What the panels show.
        pictures: Parts that need no script.
        title: The heading; the sentence where None.
        language: The first language; a button switches it.

    Raises:
        RunError: The file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(traces, pictures, title=title, language=language), encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"Cannot write {path}: {error.strerror or error}. Choose another place for the page."
        ) from error
    return path


def frame(markup: str, height: int, title: str = "") -> str:
    """Return a page as one element that a notebook shows in a cell.

    The page is a document of its own inside it, so that its style, script and ids touch neither the
    notebook nor another page, and its script reaches nothing outside it.

    Args:
        markup: The whole page, as `page` returns it.
        height: Of the element, in pixels; its lower edge can be dragged.
        title: Read aloud by a screen reader.
    """
    return (
        f'<iframe srcdoc="{html.escape(markup)}" sandbox="allow-scripts allow-downloads" '
        f'title="{html.escape(title)}" style="width: 100%; height: {height}px; border: 0; '
        'resize: vertical; overflow: auto;"></iframe>'
    )


def _titles(traces: Sequence[Trace]) -> dict[Language, str]:
    sentence = traces[0].source_text if traces else ""
    return {
        language: f"{title} · {sentence[:60]}{'…' if len(sentence) > 60 else ''}"
        for language, title in TITLES.items()
    }


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
