"""Test the pictures of an answer: marked span, bars, candidates, and the window's attention."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tasks"))
from toy_reading import predictor

from triptych.cli.inspect import question_answering
from triptych.cli.inspect_shown import MOST_WINDOWS, Options
from triptych.data.example import Example
from triptych.errors import UsageError
from triptych.inspection import html
from triptych.inspection.views.question_answering import AnswerView, pictures, view


def shown(passage: str, asked: str = "Who met Ada?", **options: object) -> AnswerView:
    run = predictor(options)
    return view(
        run.model,
        run.head,
        run.task,
        run.tokenizers,
        run.labels,
        Example(question=asked, passage=passage),
        run.decoding,
    )


def test_the_answer_is_marked_and_every_near_token_has_two_bars() -> None:
    found = shown("Ada met Babbage in London, 日本の首都で.", characters=True)
    place, bars, table = (one.markup for one in pictures(found))
    assert f'<mark class="answer">{found.prediction.text}</mark>' in place
    assert (
        bars.count('<rect class="start"') == bars.count('<rect class="end"') == len(found.bars) > 5
    )
    assert all("".join(found.passage[bar.start : bar.end]) == bar.text for bar in found.bars)
    assert 0 < sum(bar.begins for bar in found.bars) <= 1 + 1e-5
    assert table.count("<tr>") == 1 + len(found.prediction.details["candidates"])


def test_bars_are_the_model_s_probabilities() -> None:
    found = shown("Ada met.")
    best = found.prediction.details["candidates"][0]
    first = next(bar for bar in found.bars if bar.end > best["start"])
    assert (
        first.begins == max(bar.begins for bar in found.bars if bar.start <= best["start"])
        or first.begins > 0
    )


def test_pictures_are_allowed_by_the_policy_of_the_page_and_speak_both_languages() -> None:
    found = shown("Ada met Babbage.")
    text = html.page([], pictures(found))
    assert " style=" not in text and text.count("<script") == 2
    english, chinese = (
        re.findall(rf'<span lang="{language}">(.*?)</span>', text) for language in ("en", "zh-Hant")
    )
    assert len(english) == len(chinese) > 10 and "Candidates" in english and "候選答案" in chinese


def test_text_that_looks_like_html_stays_text() -> None:
    text = html.page(
        [],
        pictures(
            shown('<script>alert(1)</script> & "Ada" </title>', asked="<img src=x onerror=y>?")
        ),
    )
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            tags.append(tag)

    Tags().feed(text)
    assert "img" not in tags and tags.count("script") == 2


def test_a_long_passage_is_shown_near_its_answer_and_its_window_comes_first() -> None:
    passage = "Ada met Babbage. " * 800
    run = predictor({"window": 64, "stride": 8, "longest_question": 16})
    found = question_answering(run, "Who met Ada?", Options(passage=passage))
    assert (
        len("".join(one.markup for one in found.pictures)) < 30_000
        and "<mark" in found.pictures[0].markup
    )
    windows = [trace.window for trace in found.traces]
    assert (
        len(windows) == MOST_WINDOWS
        and len({whole for _, whole in windows}) == 1
        and windows[0][1] > 50
    )
    assert found.traces[0].notes == ["answer_here"] and all(
        not trace.notes for trace in found.traces[1:]
    )
    assert [number for number, _ in windows[1:]] == [
        number for number in range(1, 7) if number != windows[0][0]
    ][:5]


def test_the_window_of_the_answer_holds_it() -> None:
    passage = "Nobody slept. " * 40 + "Ada met Babbage in London in 1833. " + "Nobody slept. " * 40
    found = shown(passage, window=64, stride=8, longest_question=16)
    best = found.prediction.details["candidates"][0]
    run = predictor({"window": 64, "stride": 8, "longest_question": 16})
    windows = run.task.encode(
        Example(question="Who met Ada?", passage=passage), run.tokenizers, run.labels, "use", None
    )
    offsets = windows[found.window - 1].metadata.offsets
    assert offsets[0, 0] <= best["start"] and best["end"] <= offsets[-1, 1]


def test_what_cannot_be_shown_is_said() -> None:
    for passage, asked in (("", "Who?"), ("Ada", "  ")):
        with pytest.raises(UsageError, match="empty"):
            shown(passage, asked)
    with pytest.raises(UsageError, match="--to"):
        question_answering(predictor(), "Who?", Options(passage="Ada met.", to="de"))
