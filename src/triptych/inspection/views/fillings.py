"""Draw what could fill each masked place of a text, likeliest first."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from ..html import Language, Picture, in_words
from .bars import Line, chart, number

TITLE: dict[Language, str] = {
    "en": "What could fill each masked place",
    "zh-Hant": "各遮罩處可填入的詞",
}
NONE: dict[Language, str] = {
    "en": "None of the likeliest tokens is a word that fits here.",
    "zh-Hant": "最可能的詞元中，沒有適合此處的詞。",
}
SHARE: dict[Language, str] = {
    "en": "The number is the probability of the word among all tokens of the vocabulary.",
    "zh-Hant": "數字為該詞在整個詞彙表中的機率。",
}
AROUND = 40  # characters of the text on either side of a masked place above its bars
COLOURS = 8  # the classes kind-0, kind-1, ... of page.css


def picture(text: str, masks: Sequence[Mapping[str, Any]]) -> Picture:
    """Draw the `masks` of a Prediction's details: the text with its places, and bars for each."""
    shown, at = [], 0
    for place, mask in enumerate(masks):
        name = html.escape(text[mask["start"] : mask["end"]])
        shown += [
            html.escape(text[at : mask["start"]]),
            f'<mark class="kind-{place % COLOURS}">{name}<b>{place + 1}</b></mark>',
        ]
        at = mask["end"]
    body = "".join([*shown, html.escape(text[at:])])
    places = "".join(_place(text, place, mask) for place, mask in enumerate(masks))
    legend = f'<p class="legend">{in_words(SHARE)}</p>'
    return Picture(TITLE, f'<p class="text">{body}</p>{places}{legend}')


def _place(text: str, place: int, mask: Mapping[str, Any]) -> str:
    """Return one masked place with the text around it, and its candidates as bars."""
    start, end = mask["start"], mask["end"]
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    dots = ("…" if start > AROUND else "", "…" if end + AROUND < len(text) else "")
    kind = f"kind-{place % COLOURS}"
    around = (
        f"{html.escape(dots[0] + before)}"
        f'<mark class="{kind}">{html.escape(text[start:end])}</mark>'
        f"{html.escape(after + dots[1])}"
    )
    lines = [
        Line(one["text"], one["probability"], number(one["probability"]), rank == 0)
        for rank, one in enumerate(mask["fillings"])
    ]
    drawn = chart(lines) if lines else f'<p class="legend">{in_words(NONE)}</p>'
    return f'<h3>{place + 1} · <span class="around">{around}</span></h3>{drawn}'
