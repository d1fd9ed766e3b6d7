"""The picture of an answer: the span marked, bars for its tokens, nothing that could run or be fetched."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tasks"))
from toy_reading import predictor

from triptych.data.example import Example
from triptych.errors import RunError, UsageError
from triptych.inspection.answer import AnswerView, page, view, write


def shown(passage: str, asked: str = "Who met Ada?", **options: object) -> AnswerView:
    run = predictor(options)
    return view(run.model, run.head, run.task, run.tokenizers, run.labels, Example(question=asked, passage=passage), run.decoding)


@pytest.mark.parametrize("language", ["en", "zh-Hant"])
def test_the_answer_is_marked_and_every_near_token_has_two_bars(language: str) -> None:
    found = shown("Ada met Babbage in London, 日本の首都で.", characters=True)
    text = page(found, language=language)  # type: ignore[arg-type]
    assert f"<mark>{found.prediction.text}</mark>" in text and f'lang="{language}"' in text
    assert text.count("<rect") == 2 * len(found.bars) > 10
    assert all("".join(found.passage[bar.start : bar.end]) == bar.text for bar in found.bars)
    assert 0 < sum(bar.begins for bar in found.bars) <= 1 + 1e-5
    assert text.count("<tr>") == 1 + len(found.prediction.details["candidates"])


def test_bars_are_the_model_s_probabilities() -> None:
    found = shown("Ada met.")
    best = found.prediction.details["candidates"][0]
    first = next(bar for bar in found.bars if bar.end > best["start"])
    assert first.begins == max(bar.begins for bar in found.bars if bar.start <= best["start"]) or first.begins > 0


def test_the_style_is_allowed_by_its_digest_and_nothing_else_is() -> None:
    text = page(shown("Ada met Babbage."))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()}'" in text
    assert "default-src 'none'" in text and "<script" not in text and " style=" not in text and "http:" not in text


def test_text_that_looks_like_html_stays_text() -> None:
    text = page(shown('<script>alert(1)</script> & "Ada" </title>', asked="<img src=x onerror=y>?"))
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            tags.append(tag)

    Tags().feed(text)
    assert "img" not in tags and "script" not in tags


def test_a_long_passage_is_shown_near_its_answer() -> None:
    text = page(shown("Ada met Babbage. " * 3000, window=64, stride=8, longest_question=16))
    assert len(text) < 30_000 and "<mark>" in text


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    for passage, asked in (("", "Who?"), ("Ada", "  ")):
        with pytest.raises(UsageError, match="empty"):
            shown(passage, asked)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Cannot write"):
        write(tmp_path / "file" / "a.html", shown("Ada met."))
    assert write(tmp_path / "new" / "a.html", shown("Ada met.")).is_file()
