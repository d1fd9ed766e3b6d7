"""Test ROUGE against rouge-score on English, and by hand in other scripts."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.errors import DataError
from triptych.metrics.rouge import NAMES, longest_common, rouge, rouge_of, tokens


def test_by_hand() -> None:
    # Shared words are the, cat, the; shared pairs "the cat"; the longest common subsequence is
    # "the cat the" (or "the cat mat").
    found = rouge_of("the cat saw the mat", ["The cat, under the hat!"])
    assert found == pytest.approx((2 * 3 / 10, 2 * 1 / 8, 2 * 3 / 10))
    scores = rouge(["the cat saw the mat"], [["The cat, under the hat!"]])
    assert scores["rouge1"].value == pytest.approx(60) and scores["rouge2"].value == pytest.approx(
        25
    )
    assert (
        scores["rougeL"].signature
        == "ROUGE-L-F1|nrefs:1|case:lc|stem:no|tok:words-and-unspaced-characters"
    )


def test_drawn_texts_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, references = ["one red dog", "two cats"], [["a red dog", "red dogs"], ["two cats sat"]]
    found = rouge(texts, references)
    monkeypatch.setattr(
        "triptych.metrics.rouge.tokens",
        lambda text: pytest.fail("an interval of 1000 draws would take an hour"),
    )
    again = rouge(texts + texts, references + references)
    assert [one.value for one in again.values()] == [one.value for one in found.values()]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "今天天氣很好，我們去 Tokyo Tower。",
            ["今", "天", "天", "氣", "很", "好", "我", "們", "去", "tokyo", "tower"],
        ),
        ("東京タワーへ行く", ["東", "京", "タ", "ワ", "ー", "へ", "行", "く"]),
        ("Ein schöner Tag: 3,5 °C", ["ein", "schöner", "tag", "3", "5", "c"]),
        ("ＡＢＣ１２ snake_case", ["abc12", "snake", "case"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("scho\u0308n", ["schön"]),
        ("🙂 !?", []),
    ],
)
def test_tokens_of_any_script(text: str, wanted: list[str]) -> None:
    assert tokens(text) == wanted


def test_chinese_is_not_zero() -> None:
    assert [one.value for one in rouge(["今天天氣很好"], [["今天天氣很好"]]).values()] == [
        100,
        100,
        100,
    ]
    assert rouge_of("今天天氣好", ["今天很好"]) == pytest.approx((2 * 3 / 9, 2 * 1 / 7, 2 * 3 / 9))
    assert rouge_of("今天", ["明日"]) == (0, 0, 0)


def test_the_best_reference_counts_for_each_metric() -> None:
    several = ["b a x y", "a b"]
    assert rouge_of("a b x y", several) == (1.0, max(a for _, a in ((0, 1 / 3), (0, 2 / 4))), 0.75)
    scores = rouge(["a b x y", "a"], [several, ["a"]])
    assert scores["rouge1"].value == 100 and "nrefs:var|best:each" in scores["rouge1"].signature
    assert "nrefs:2|best:each" in rouge(["a"], [["a", "b"]])["rouge1"].signature


def test_nothing_written_scores_nothing() -> None:
    assert (
        rouge_of("", ["a"])
        == rouge_of("a", [""])
        == rouge_of("", [""])
        == rouge_of("...", ["!"])
        == (0, 0, 0)
    )
    with pytest.raises(DataError, match="2 answers but references for 1"):
        rouge(["a", "b"], [["a"]])
    with pytest.raises(DataError, match="no reference"):
        rouge(["a"], [[]])
    with pytest.raises(DataError, match="nothing to score"):
        rouge([], [])


def by_table(one: str, other: str) -> int:
    row = [0] * (len(other) + 1)
    for a in one:
        new = [0]
        for place, b in enumerate(other):
            new.append(row[place] + 1 if a == b else max(new[-1], row[place + 1]))
        row = new
    return row[-1]


@given(st.text("abc", max_size=70), st.text("abc", max_size=70))
@settings(max_examples=80, deadline=None)
def test_the_longest_common_subsequence_is_that_of_the_table(one: str, other: str) -> None:
    assert longest_common(list(one), list(other)) == by_table(one, other)


def theirs(pairs: list[tuple[str, list[str]]]) -> list[tuple[float, ...]]:
    scorer = pytest.importorskip(
        "rouge_score.rouge_scorer",
        reason="rouge-score is not installed: pip install 'triptych[dev]'",
    )
    engine = scorer.RougeScorer(list(NAMES), use_stemmer=False)
    found = [engine.score_multi(references, text) for text, references in pairs]
    return [tuple(one[name].fmeasure for name in NAMES) for one in found]


def test_equal_to_rouge_score_on_ascii() -> None:
    pytest.importorskip(
        "rouge_score.rouge_scorer",
        reason="rouge-score is not installed: pip install 'triptych[dev]'",
    )
    words = st.lists(
        st.sampled_from(["a", "B", "the", "cat's", "3.5", "x_y", "--", "\n", "e-mail"]), max_size=25
    ).map(" ".join)
    text = st.one_of(words, st.text(st.characters(codec="ascii"), max_size=60))

    @given(text, st.lists(text, min_size=1, max_size=3))
    @settings(max_examples=80, deadline=None)
    def equal(hypothesis: str, references: list[str]) -> None:
        assert rouge_of(hypothesis, references) == pytest.approx(
            theirs([(hypothesis, references)])[0], abs=1e-12
        )

    equal()


def test_equal_to_rouge_score_on_real_summaries() -> None:
    folder = Path(os.environ.get("TRIPTYCH_DATA", "")) / "samsum"
    if not os.environ.get("TRIPTYCH_DATA") or not folder.is_dir():
        pytest.skip("the public sets are not at hand: set TRIPTYCH_DATA to their folder")
    values = json.loads((folder / "test.json").read_text(encoding="utf-8"))[:200]
    pairs = [(" ".join(one["dialogue"].split("\n")[:3]), [one["summary"]]) for one in values]
    pairs = [(text, references) for text, references in pairs if (text + references[0]).isascii()]
    assert len(pairs) > 100
    for (text, references), wanted in zip(pairs, theirs(pairs), strict=True):
        assert rouge_of(text, references) == pytest.approx(wanted, abs=1e-12)


def test_ten_thousand_pairs_take_seconds() -> None:
    text = " ".join(f"word{place % 17}" for place in range(40))
    began = time.process_time()
    rouge([text] * 1000, [[text[::-1].replace("drow", "word")]] * 1000)
    assert time.process_time() - began < 6.0  # a tenth of them; a slow machine is no error
