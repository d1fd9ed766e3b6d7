"""The page of spans: escaped, self-contained, allowed by its own policy, in both languages."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from triptych.errors import RunError
from triptych.inspection.spans import page, write

TEXT = "Ann <script>alert(1)</script> Rome"
ENTITIES = {"entities": [
    {"start": 0, "end": 3, "label": "PER", "text": "Ann", "score": 0.9}, {"start": 30, "end": 34, "label": "<LOC>", "text": "Rome"},
]}  # fmt: skip


def test_entities_stand_in_place_and_nothing_is_taken_for_markup() -> None:
    html = page(TEXT, ENTITIES)
    body = html.split("<p>")[1].split("</p>")[0]
    assert '<mark class="k1" title="probability 0.90">Ann<b>PER</b></mark>' in body and "Rome<b>&lt;LOC&gt;</b>" in body
    assert "<script" not in html and "&lt;script&gt;alert(1)" in body
    assert re.sub(r"<b>.*?</b>|<[^>]+>", "", body).replace("&lt;", "<").replace("&gt;", ">") == TEXT


def test_the_policy_allows_the_style_and_nothing_else() -> None:
    html = page(TEXT, ENTITIES)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert style is not None and policy is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1] == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "http://" not in html and "https://" not in html and " style=" not in html


def test_tags_words_and_nothing() -> None:
    tags = page("a b", {"words": ["a", "b"], "offsets": [[0, 1], [2, 3]], "tags": ["DET", "X"]})
    assert "<ruby>a<rt>DET</rt></ruby> <ruby>b<rt>X</rt></ruby>" in tags
    words = page("我們去", {"words": ["我們", "去"], "offsets": [[0, 2], [2, 3]]}, language="zh-Hant")
    assert 'lang="zh-Hant"' in words and "斷詞" in words and '<span class="word">我們</span>' in words
    assert "No entity was found." in page("nothing", {"entities": []})


def test_writing_makes_the_folder_or_says_why_not(tmp_path: Path) -> None:
    assert write(tmp_path / "new" / "a.html", TEXT, ENTITIES).read_text("utf-8") == page(TEXT, ENTITIES)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Choose another place"):
        write(tmp_path / "file" / "a.html", TEXT, ENTITIES)
