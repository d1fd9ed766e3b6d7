"""Test entities, tags and words in the text: escaped, bilingual, allowed by the page's policy."""

from __future__ import annotations

import re
from pathlib import Path

from triptych.inspection import html
from triptych.inspection.views.tagging import COLOURS, picture

TEXT = "Ann <script>alert(1)</script> Rome"
ENTITIES = {
    "entities": [
        {"start": 0, "end": 3, "label": "PER", "text": "Ann", "score": 0.9},
        {"start": 30, "end": 34, "label": "<LOC>", "text": "Rome"},
    ]
}


def test_entities_stand_in_place_and_nothing_is_taken_for_markup() -> None:
    body = picture(TEXT, ENTITIES).markup.split('<p class="text">')[1].split("</p>")[0]
    assert (
        '<mark class="kind-1">Ann<b>PER 0.90</b></mark>' in body
        and "Rome<b>&lt;LOC&gt;</b>" in body
    )
    assert "<script" not in body and "&lt;script&gt;alert(1)" in body
    assert re.sub(r"<b>.*?</b>|<[^>]+>", "", body).replace("&lt;", "<").replace("&gt;", ">") == TEXT


def test_the_page_allows_the_picture_and_has_its_colours() -> None:
    text = html.page([], [picture(TEXT, ENTITIES)])
    assert (
        "http://" not in text.replace("http://www.w3.org", "")
        and " style=" not in text
        and text.count("<script") == 2
    )
    style = (Path(html.__file__).parent / "page.css").read_text("utf-8")
    assert all(f".kind-{number} " in style for number in range(COLOURS))
    for language, other in (("en", "zh-Hant"), ("zh-Hant", "en")):  # what the language button hides
        assert f'html[lang="{language}"] :is(h1, .picture) [lang="{other}"]' in style


def test_tags_words_and_nothing() -> None:
    tags = picture("a b", {"words": ["a", "b"], "offsets": [[0, 1], [2, 3]], "tags": ["DET", "X"]})
    assert (
        "<ruby>a<rt>DET</rt></ruby> <ruby>b<rt>X</rt></ruby>" in tags.markup
        and tags.title["zh-Hant"] == "標籤"
    )
    words = picture("我們去", {"words": ["我們", "去"], "offsets": [[0, 2], [2, 3]]})
    assert words.title["zh-Hant"] == "斷詞" and '<span class="word">我們</span>' in words.markup
    none = picture("nothing", {"entities": []}).markup
    assert (
        '<span lang="en">No entity was found.</span><span lang="zh-Hant">沒有找到實體。</span>'
        in none
    )
