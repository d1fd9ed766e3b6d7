"""One self-contained page from one or several Traces: opens from disk, asks the network for nothing.

Style and script are inlined and named by their SHA-256 in the page's Content-Security-Policy, which allows nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

from ..errors import RunError
from .trace import Trace

Language = Literal["en", "zh-Hant"]
TITLES = {"en": "Attention", "zh-Hant": "注意力"}


def page(traces: Sequence[Trace], *, title: str | None = None, language: Language = "en") -> str:
    """The HTML text; several traces of one sentence stand side by side. `language` is the first one, a button switches."""
    parts = {name: (resources.files("triptych.inspection") / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    # "<" cannot stand in a script element's data: a sentence could close the element
    data = "[" + ",".join(trace.to_json() for trace in traces) + "]"
    fields = {
        "title": html.escape(title or _title(traces, language)),
        "style": parts["css"],
        "style_hash": _digest(parts["css"]),
        "script": parts["js"],
        "script_hash": _digest(parts["js"]),
        "traces": data.replace("<", "\\u003c"),
    }
    text = parts["html"].replace('lang="en"', f'lang="{language}"')
    pieces = text.split("{")  # one pass, so that nothing in the data is taken for a place to fill
    return pieces[0] + "".join(fields[name] + rest for name, rest in (piece.split("}", 1) for piece in pieces[1:]))


def write(path: str | Path, traces: Sequence[Trace], *, title: str | None = None, language: Language = "en") -> Path:
    """Write the page to `path`, creating its folder. Raises RunError when that cannot be done."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(traces, title=title, language=language), encoding="utf-8")
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}. Choose another place for the page.") from error
    return path


def _title(traces: Sequence[Trace], language: Language) -> str:
    sentence = traces[0].source_text if traces else ""
    return f"{TITLES[language]} · {sentence[:60]}{'…' if len(sentence) > 60 else ''}"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
