"""A text with its entities in colour, or its tags under its words, as one page that opens from disk and asks the network for nothing.

No script: colour and label stand in the page itself, and a Content-Security-Policy allows its one style, by SHA-256, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ..errors import RunError

Language = Literal["en", "zh-Hant"]
WORDS = {
    "en": {"entities": "Entities", "tags": "Tags", "words": "Words", "none": "No entity was found.", "sure": "probability"},
    "zh-Hant": {"entities": "命名實體", "tags": "詞性", "words": "斷詞", "none": "沒有找到實體。", "sure": "機率"},
}
COLOURS = ("#1f77b4", "#c2410c", "#15803d", "#7e22ce", "#be123c", "#0f766e", "#854d0e", "#4b5563")  # of types, in order of name
STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1.1rem/2.2 system-ui,'Noto Sans TC',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.2rem}p{white-space:pre-wrap;overflow-wrap:anywhere}"
    "mark{color:inherit;background:none;border-radius:.3rem;padding:.15rem .35rem;border:.12rem solid}"
    "mark b{font-size:.7rem;margin-left:.35rem;letter-spacing:.03em}"
    "ruby{margin:0 .12rem}rt{font-size:.6rem;opacity:.75}.word:nth-of-type(odd){background:#8883}"
    + "".join(f".k{place}{{border-color:{colour};background:{colour}33}}" for place, colour in enumerate(COLOURS))
)


def page(text: str, details: Mapping[str, Any], *, language: Language = "en") -> str:
    """The HTML of a Prediction's `details` of `text`: entities in colour, else tags under words, else the words alone."""
    said = WORDS[language]
    kind = "entities" if "entities" in details else "tags" if "tags" in details else "words"
    body = {"entities": _entities, "tags": _tags, "words": _words}[kind](text, details, said)
    title = html.escape(f"{said[kind]} · {text[:60]}{'…' if len(text) > 60 else ''}")
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n<style>{STYLE}</style>\n'
        f"</head>\n<body>\n<h1>{title}</h1>\n<p>{body}</p>\n</body>\n</html>\n"
    )


def write(path: str | Path, text: str, details: Mapping[str, Any], *, language: Language = "en") -> Path:
    """Write the page to `path`, creating its folder. Raises RunError when that cannot be done."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(text, details, language=language), encoding="utf-8")
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}. Choose another place for the page.") from error
    return path


def _entities(text: str, details: Mapping[str, Any], said: Mapping[str, str]) -> str:
    found: Sequence[Mapping[str, Any]] = details["entities"]
    kinds = {kind: place % len(COLOURS) for place, kind in enumerate(sorted({one["label"] for one in found}))}
    shown, at = [], 0
    for one in found:
        label, start = html.escape(one["label"]), max(at, one["start"])
        sure = f' title="{said["sure"]} {one["score"]:.2f}"' if one.get("score") is not None else ""
        inside = html.escape(text[start : one["end"]])
        shown += [html.escape(text[at:start]), f'<mark class="k{kinds[one["label"]]}"{sure}>{inside}<b>{label}</b></mark>']
        at = max(at, one["end"])
    return "".join([*shown, html.escape(text[at:])]) if found else f"{html.escape(text)}\n\n{said['none']}"


def _tags(text: str, details: Mapping[str, Any], said: Mapping[str, str]) -> str:
    shown, at = [], 0
    for (start, end), word, tag in zip(details["offsets"], details["words"], details["tags"], strict=True):
        shown += [html.escape(text[at:start]), f"<ruby>{html.escape(word)}<rt>{html.escape(tag)}</rt></ruby>"]
        at = max(at, end)
    return "".join([*shown, html.escape(text[at:])])


def _words(text: str, details: Mapping[str, Any], said: Mapping[str, str]) -> str:
    shown, at = [], 0
    for start, end in details["offsets"]:
        shown += [html.escape(text[at:start]), f'<span class="word">{html.escape(text[start:end])}</span>']
        at = end
    return "".join([*shown, html.escape(text[at:])])
