"""Test EM and F1 against a second implementation of the official scripts, and worked examples."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.metrics import answers
from triptych.metrics.answers import (
    counting,
    exact_match,
    f1,
    longest_run,
    normalized,
    units,
    word_f1,
    words,
)

# SQuAD --------------------------------------------------------------------------------------------


def squad_normal(text: str) -> list[str]:
    kept = "".join(
        character
        for character in text.lower()
        if character not in r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""
    )
    return [word for word in re.split(r"\s+", re.sub(r"\b(?:an|a|the)\b", " ", kept)) if word]


def squad_f1(prediction: str, reference: str) -> float:
    given_words, wanted = squad_normal(prediction), squad_normal(reference)
    if not given_words or not wanted:
        return float(given_words == wanted)
    rest, same = list(wanted), 0
    for word in given_words:
        if word in rest:
            rest.remove(word)
            same += 1
    if not same:
        return 0.0
    precision, recall = same / len(given_words), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


TEXT = st.text(alphabet="aAntheT Br.,-'\"\n\u00e9\u4e2d", max_size=30)


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_squad_equals_its_definition(prediction: str, reference: str) -> None:
    assert normalized(prediction).split() == squad_normal(prediction)
    assert word_f1(prediction, reference) == pytest.approx(squad_f1(prediction, reference))
    exact = exact_match([prediction], [[reference]], ["en"]).value
    assert exact == 100.0 * (squad_normal(prediction) == squad_normal(reference))


def test_squad_worked_examples() -> None:
    def both(prediction: str, *references: str) -> tuple[float, float]:
        return exact_match([prediction], [references], ["en"]).value, f1(
            [prediction], [references], ["en"]
        ).value

    assert both("The Denver Broncos!", "denver broncos") == (100.0, 100.0)
    assert both("Denver", "Denver Broncos") == (0.0, pytest.approx(200 / 3))
    # The best references share 2 of 3 and 2 of 2 words.
    assert both("in the year 1990", "1990", "the year 1990") == (0.0, pytest.approx(80.0))
    assert both("") == (100.0, 100.0)  # no answer, and none is given
    assert both("Denver") == (0.0, 0.0)
    assert both("", "Denver") == (0.0, 0.0)
    assert both("", "the") == (100.0, 100.0)  # SQuAD 2.0: a reference of an article alone is none


# CMRC 2018 ----------------------------------------------------------------------------------------

SIGNS = [
    "-",
    ":",
    "_",
    "*",
    "^",
    "/",
    "\\",
    "~",
    "`",
    "+",
    "=",
    "，",
    "。",
    "：",
    "？",
    "！",
    "“",
    "”",
    "；",
    "’",
    "《",
    "》",
    "·",
    "、",
    "「",
    "」",
    "（",
    "）",
    "－",
    "～",
    "『",
    "』",
]


def cmrc_units(text: str, cut) -> list[str]:
    found, run = [], ""
    for character in text.lower().strip():
        if character in SIGNS:
            continue
        if "\u4e00" <= character <= "\u9fa5":
            found += cut(run) if run else []
            found.append(character)
            run = ""
        else:
            run += character
    return found + (cut(run) if run else [])


def cmrc_f1(prediction: str, reference: str, cut) -> float:
    one, other = cmrc_units(prediction, cut), cmrc_units(reference, cut)
    runs = [
        {tuple(seq[a:b]) for a, b in itertools.combinations(range(len(seq) + 1), 2)}
        for seq in (one, other)
    ]
    shared = max(map(len, runs[0] & runs[1]), default=0)
    if not shared:
        return 0.0
    precision, recall = shared / len(one), shared / len(other)
    return 2 * precision * recall / (precision + recall)


CHINESE = st.text(alphabet="中文字的，。《》“”aB1 -（）", max_size=14)


@settings(max_examples=300, deadline=None)
@given(CHINESE, CHINESE)
def test_cmrc_equals_its_definition(prediction: str, reference: str) -> None:
    if not prediction.strip() or not reference.strip():
        return  # no answer, which CMRC does not know
    assert f1([prediction], [[reference]], ["zh"]).value == pytest.approx(
        100 * cmrc_f1(prediction, reference, words)
    )
    kept = [
        "".join(character for character in text.lower().strip() if character not in SIGNS)
        for text in (prediction, reference)
    ]
    assert exact_match([prediction], [[reference]], ["zh"]).value == 100.0 * (kept[0] == kept[1])


def test_cmrc_worked_examples() -> None:
    def both(prediction: str, *references: str, language: str = "zh") -> tuple[float, float]:
        return exact_match([prediction], [references], [language]).value, f1(
            [prediction], [references], [language]
        ).value

    assert both("《战国无双》", "战国无双") == (100.0, 100.0)
    # 光 荣 | 光 荣 和 ωforce: 2 shared of 2 and of 4
    assert both("光荣", "光荣和ω-force") == (0.0, pytest.approx(200 * 2 / 6))
    assert both("北京市", "中国北京", "北京") == (0.0, pytest.approx(80.0))
    # The longest run without a gap is one character.
    assert both("甲乙", "甲丙乙") == (0.0, pytest.approx(40.0))
    assert both("てづか", "てづかおさむ", language="ja") == (0.0, pytest.approx(200 / 3))
    assert both("トウキョウタワー", "トウキョウ", language="ja")[1] == pytest.approx(1000 / 13)
    assert both("", "北京") == (0.0, 0.0)
    assert both("") == (100.0, 100.0)


def test_units_are_characters_and_words() -> None:
    assert units("2008年在Beijing举办, 4.5亿") == [
        "2008",
        "年",
        "在",
        "beijing",
        "举",
        "办",
        ",",
        "4.5",
        "亿",
    ]
    assert units("ファミコン版", "ja") == list("ファミコン版")
    assert units("ファミコン版", "zh") == ["ファミコン", "版"]


@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_longest_run_is_the_longest(one: list[str], other: list[str]) -> None:
    runs = [
        {tuple(seq[a:b]) for a, b in itertools.combinations(range(len(seq) + 1), 2)}
        for seq in (one, other)
    ]
    assert longest_run(one, other) == max(map(len, runs[0] & runs[1]), default=0)


def test_words_between_chinese_are_cut_as_nltk_cuts_them() -> None:
    tokenizer = pytest.importorskip("nltk.tokenize").NLTKWordTokenizer()
    folder = Path(os.environ.get("TRIPTYCH_DATA", "."))
    texts = [
        "it's 3.5%, isn't it?",
        "U.S. (1,000 km)",
        "a--b; 'c' 10:30: d",
        "End.",
        'say "no."',
        "don't can't we'll",
    ]
    if (folder / "cmrc2018").is_dir():
        data = json.loads(gzip.decompress((folder / "cmrc2018" / "dev.json.gz").read_bytes()))[
            "data"
        ]
        texts += [
            answer["text"]
            for one in data
            for paragraph in one["paragraphs"]
            for asked in paragraph["qas"]
            for answer in asked["answers"]
        ]
    runs = {
        run
        for text in texts
        for run in re.split("[\u4e00-\u9fa5]", answers.without_signs(text))
        if run
    }
    different = {run for run in runs if words(run) != tokenizer.tokenize(run)}
    assert len(different) <= 0.001 * len(runs), different


# Languages ----------------------------------------------------------------------------------------


def test_the_language_chooses_and_the_script_where_there_is_none() -> None:
    assert [counting(code) for code in ("en", "de", "zh", "zh-Hant", "ja", "ZH")] == [
        "squad",
        "squad",
        "zh",
        "zh",
        "ja",
        "zh",
    ]
    assert counting(None, ["戰國時代的日本"]) == "zh"
    assert counting(None, ["東京はどこですか"]) == "ja"
    assert counting(None, ["Where is 東京 in the book?"]) == "squad"
    assert counting(None, [""]) == "squad"


def test_means_and_signatures_over_languages() -> None:
    found = f1(["Denver", "北京市"], [["Denver"], ["北京"]], ["en", "zh"])
    assert found.value == pytest.approx((100 + 80) / 2)
    assert "CMRC" in found.signature and "SQuAD" in found.signature
    assert exact_match([], [], []).value == 0.0
