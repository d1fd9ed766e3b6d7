"""Draw a tagger's answer: entities in colour, tags under the words, or the words set apart."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from ..html import Language, Picture, in_words

TITLES: dict[str, dict[Language, str]] = {
    "entities": {"en": "Entities", "zh-Hant": "命名實體"},
    "tags": {"en": "Tags", "zh-Hant": "標籤"},
    "words": {"en": "Words", "zh-Hant": "斷詞"},
}
NONE: dict[Language, str] = {"en": "No entity was found.", "zh-Hant": "沒有找到實體。"}
SURE: dict[Language, str] = {
    "en": "The number is the probability of the entity.",
    "zh-Hant": "數字為該實體的機率。",
}
COLOURS = 8  # of entity types in order of name: the classes kind-0, kind-1, ... of page.css


def picture(text: str, details: Mapping[str, Any]) -> Picture:
    """Draw a Prediction's `details` of `text`: its entities, else its tags, else its words."""
    kind = next(name for name in TITLES if name in details)
    body, note = {"entities": _entities, "tags": _tags, "words": _words}[kind](text, details)
    return Picture(
        TITLES[kind],
        f'<p class="text">{body}</p>' + (f'<p class="legend">{in_words(note)}</p>' if note else ""),
    )


def _entities(text: str, details: Mapping[str, Any]) -> tuple[str, dict[Language, str] | None]:
    found: Sequence[Mapping[str, Any]] = details["entities"]
    kinds = {
        kind: place % COLOURS for place, kind in enumerate(sorted({one["label"] for one in found}))
    }
    shown, at = [], 0
    for one in found:
        label, start, sure = one["label"], max(at, one["start"]), one.get("score")
        named = f"<b>{html.escape(label)}{'' if sure is None else f' {sure:.2f}'}</b>"
        shown += [
            html.escape(text[at:start]),
            (
                "<mark "
                f'class="kind-{kinds[label]}">{html.escape(text[start : one["end"]])}{named}</mark>'
            ),
        ]
        at = max(at, one["end"])
    has_numbers = any(one.get("score") is not None for one in found)
    return "".join([*shown, html.escape(text[at:])]), (
        SURE if has_numbers else None
    ) if found else NONE


def _tags(text: str, details: Mapping[str, Any]) -> tuple[str, None]:
    shown, at = [], 0
    for (start, end), word, tag in zip(
        details["offsets"], details["words"], details["tags"], strict=True
    ):
        shown += [
            html.escape(text[at:start]),
            f"<ruby>{html.escape(word)}<rt>{html.escape(tag)}</rt></ruby>",
        ]
        at = max(at, end)
    return "".join([*shown, html.escape(text[at:])]), None


def _words(text: str, details: Mapping[str, Any]) -> tuple[str, None]:
    shown, at = [], 0
    for start, end in details["offsets"]:
        shown += [
            html.escape(text[at:start]),
            f'<span class="word">{html.escape(text[start:end])}</span>',
        ]
        at = end
    return "".join([*shown, html.escape(text[at:])]), None
