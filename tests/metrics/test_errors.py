"""Error rates of speech equal jiwer's."""

from __future__ import annotations

import random

import jiwer
import pytest

from triptych.metrics.errors import are_syllables, cer, distance, of_speech, ser, wer

CASES = [
    (["the cat sat"], ["the cat sat"]),
    (["the cat"], ["the cat sat on it"]),
    (["a b c d", "", "x"], ["b c e", "one two", "x y"]),
    (["機器 學習"], ["機器 學會"]),
    (["one  two "], [" one two"]),
]


@pytest.mark.parametrize(("found", "wanted"), CASES)
def test_word_and_character_errors_are_those_of_jiwer(found: list[str], wanted: list[str]) -> None:
    assert wer(found, wanted).value == pytest.approx(100 * jiwer.wer(wanted, found))
    assert cer(found, wanted).value == pytest.approx(
        100 * jiwer.cer([one.strip() for one in wanted], [one.strip() for one in found])
    )


def test_drawn_texts_have_the_errors_that_jiwer_counts() -> None:
    drawn = random.Random(3)
    for _ in range(40):
        found, wanted = (
            [" ".join(drawn.choices("abcd", k=drawn.randint(1, 9))) for _ in range(3)]
            for _ in range(2)
        )
        assert wer(found, wanted).value == pytest.approx(100 * jiwer.wer(wanted, found))
        assert cer(found, wanted).value == pytest.approx(100 * jiwer.cer(wanted, found))


def test_syllables_are_scored_with_and_without_tones() -> None:
    wanted, found = ["xue2 xi2", "lv4 se4"], ["xue3 xi2", "lu4 se4"]
    scores = of_speech(found, wanted)
    assert list(scores) == ["wer", "cer", "ser", "ser_toneless"]
    assert scores["ser"].value == 50.0 and scores["ser_toneless"].value == 25.0
    assert ser(found, wanted, toneless=True).signature == "syllables, without tones"
    assert list(of_speech(["yes"], ["no 1"])) == ["wer", "cer"]
    assert are_syllables(["ni3 hao3"]) and not are_syllables(["ni hao"]) and not are_syllables([])


def test_nothing_to_score() -> None:
    assert of_speech([], []) == {}
    assert wer([""], [""]).value == 0.0
    assert wer(["a b"], [""]).value == 200.0  # each word that was heard is an error
    assert distance("", "abc") == 3 and distance("kitten", "sitting") == 3
