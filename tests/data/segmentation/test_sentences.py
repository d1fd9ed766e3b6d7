"""Test rule-based sentences and words of raw text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.segmentation.sentences import split_sentences, split_words


def cut(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He came. She left!", ["He came.", "She left!"]),
        (
            "Dr. Smith lives in the U.S. now. J. Doe, e.g. him",
            ["Dr. Smith lives in the U.S. now.", "J. Doe, e.g. him"],
        ),
        ('"Really?" she said. (Yes.) Good', ['"Really?" she said.', "(Yes.)", "Good"]),
        ("今天很好。我們去「公園！」吧", ["今天很好。", "我們去「公園！」", "吧"]),
        ("A title\n\nA line\nthat goes on", ["A title", "A line\nthat goes on"]),
        ("3.14 and 1,000.5", ["3.14 and 1,000.5"]),
        ("नमस्ते दुनिया। ठीक", ["नमस्ते दुनिया।", "ठीक"]),
        (" \n ", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert cut(text, split_sentences(text)) == sentences


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's Dr. Smith's, don't!", "It 's Dr. Smith 's , do n't !"),
        ("rock'n'roll 'quoted'", "rock ' n ' roll ' quoted '"),
        ("$1,000.50 (U.S.)...", "$ 1,000.50 ( U.S. ) ..."),
        ("see http://a.b/c?d=1 or x@y.org", "see http://a.b/c?d=1 or x@y.org"),
        ("我愛PyTorch的2個", "我 愛 PyTorch 的 2 個"),
        ("한국어 문장", "한국어 문장"),
        ("café नमस्ते", "café नमस्ते"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd!!",
         "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd !!"),
    ],
)  # fmt: skip
def test_words(text: str, words: str) -> None:
    assert cut(text, split_words(text)) == words.split(" ")


@given(st.text(max_size=60))
def test_nothing_but_space_is_left_out(text: str) -> None:
    for split in (split_sentences, split_words):
        spans = split(text)
        assert all(start < end for start, end in spans)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
        covered = {place for start, end in spans for place in range(start, end)}
        assert all(character.isspace() or place in covered for place, character in enumerate(text))


def test_long_texts_take_no_long_time() -> None:
    for text in (
        "a" * 60_000,
        "a." * 30_000,
        "." * 60_000,
        "字" * 60_000,
        "a@" * 30_000,
        "'" * 30_000,
    ):
        assert split_sentences(text) and split_words(text)
