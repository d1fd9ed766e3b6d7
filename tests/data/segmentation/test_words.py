"""Test words of raw text: English as in treebanks, every script, nothing lost, linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.segmentation import words
from triptych.errors import DataError, UsageError


def cut(text: str, rules: str = "unicode") -> str:
    return " ".join(text[start:end] for start, end in words.split(text, rules))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Angela Merkel didn't visit Paris.", "Angela Merkel did n't visit Paris ."),
        ("I'm sure it’s can't, cannot", "I 'm sure it ’s ca n't , can not"),
        ("Mr. Smith's U.S. house", "Mr. Smith 's U.S. house"),
        ("3.5% of 1,000.50 at 10:30.", "3.5 % of 1,000.50 at 10:30 ."),
        ("state-of-the-art O'Neil 20kg 5th", "state-of-the-art O'Neil 20kg 5th"),
        (
            "see https://a.b/c?d=e, foo@bar.com #tag @me!!!",
            "see https://a.b/c?d=e , foo@bar.com #tag @me !!!",
        ),
        ("我愛台灣，Hello世界123。", "我 愛 台 灣 ， Hello 世 界 123 。"),
        ("नमस्ते दुनिया שלום", "नमस्ते दुनिया שלום"),
        ("👨‍👩‍👧🇹🇼👍🏽", "👨‍👩‍👧 🇹🇼 👍🏽"),
        ("", ""),
        (" \t\n", ""),
    ],
)
def test_words_of_many_kinds(text: str, expected: str) -> None:
    assert cut(text) == expected


@given(st.text(max_size=60))
def test_every_character_that_is_not_white_stands_in_a_word(text: str) -> None:
    for rules in words.RULES:
        found = words.split(text, rules)
        words.check(found, text)
        assert "".join(text[start:end] for start, end in found) == "".join(text.split())


def test_other_rules() -> None:
    assert (
        cut("don't 我們", "spaces") == "don't 我們" and cut("我們 a1", "characters") == "我 們 a 1"
    )
    with pytest.raises(UsageError, match="Unknown rule for words 'unicod'"):
        words.split("a", "unicod")
    with pytest.raises(DataError, match="half a character"):
        words.split("\ud800 a")


@pytest.mark.parametrize(
    "text",
    ["我" * 200_000, "a" * 10_000, "a.b@" * 20_000, "n't" * 20_000, "www." * 20_000, "1," * 50_000],
)
def test_long_text_takes_no_long_time(text: str) -> None:
    began = time.monotonic()
    assert words.split(text)
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    "given_words", [[(0, 0)], [(2, 4), (1, 2)], [(0, 9)], [(-1, 2)], [(0, 3), (2, 4)]]
)
def test_words_that_cannot_be_are_named(given_words: words.Words) -> None:
    with pytest.raises(DataError, match=r"line 3: the word \["):
        words.check(given_words, "abcd", "line 3")
    words.check([(0, 2), (0, 2), (2, 4)], "abcd")  # two words of one token
