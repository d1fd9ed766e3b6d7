"""Test that tokenizers lose nothing, read no special token from text, and train reproducibly."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.tokenizers import loading
from triptych.data.tokenizers.byte_pieces import BYTES
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.data.tokenizers.unigram import Lattice
from triptych.errors import DataError, RunError, UsageError

CORPUS = [
    "A man rides a bicycle.",
    "Two dogs, one cat!",
    "我喜歡貓。",
    "你喜歡狗嗎？",
    "Ein Mann fährt 12 Räder.",
] * 20
KINDS = ["bpe", "code", "unigram"]


@cache
def trained(kind: str) -> Tokenizer:
    return Tokenizer.train(CORPUS, kind, 420, tags=["zh-Hans", "zh-Hant"])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back(kind: str, text: str) -> None:
    tokenizer = trained(kind)
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert tokenizer.decode(ids) == text
    assert "".join(tokenizer.pieces(ids)) == text
    # Offsets follow one another without a gap; equal ones are the bytes of one character.
    assert [
        text[start:end]
        for (start, end), shown in zip(offsets, tokenizer.pieces(ids), strict=True)
        if shown
    ] == [shown for shown in tokenizer.pieces(ids) if shown]
    assert offsets == sorted(offsets) and {
        place for start, end in offsets for place in range(start, end)
    } == set(range(len(text)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text",
    [
        *(
            "<end>",
            "<0x41>",
            "<to:zh-Hans> x",
            "<begin><begin>",
            "<unk>",
            "a\u2581b",
            "\u0301",
            "e\u0301 \u0301",
            "\ufffd",
        ),
        *("\0\t\r\n \u2028", "👨\u200d👩\u200d👧 翻譯", "  two  spaces ", "翻" * 3000, "😀" * 3000),
    ],
)
def test_text_that_looks_like_a_special_stays_text(kind: str, text: str) -> None:
    for tokenizer in (trained(kind), Tokenizer.from_json(trained(kind).to_json())):
        ids = tokenizer.encode(text)
        assert min(ids) > max(tokenizer.tags.values())
        assert tokenizer.decode(ids) == text


def test_specials_are_left_out_of_text() -> None:
    tokenizer = trained("bpe")
    ids = tokenizer.encode("A man")
    assert (
        tokenizer.decode([tokenizer.begin_id, *tokenizer.tags.values(), *ids, tokenizer.end_id])
        == "A man"
    )
    assert tokenizer.pieces([0, 1, 2])[:2] == ["<begin>", "<end>"]


def test_bytes_of_one_character_show_once() -> None:
    tokenizer = trained("bpe")
    pieces = tokenizer.pieces(tokenizer.encode("翻"))
    assert pieces == ["翻", "", ""]
    broken = [tokenizer._tokens.index(BYTES[0xE7]), tokenizer._tokens.index(BYTES[0x41])]
    assert tokenizer.pieces(broken) == ["<0xE7>", "A"]


@pytest.mark.parametrize("kind", KINDS)
def test_learning_with_specials_in_the_text_changes_nothing(kind: str) -> None:
    tokenizer = Tokenizer.train(["<end> <0x41> <to:de> " * 3] * 30, kind, 400, tags=["de"])  # type: ignore[arg-type]
    for text in ("<end>", "<0x41>", "<to:de>"):
        assert (
            len(ids := tokenizer.encode(text)) > 1
            and min(ids) > 2
            and tokenizer.decode(ids) == text
        )


def test_training_is_the_same_in_every_process() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_subwords import KINDS, trained; "
        "print(*(trained(kind).fingerprint for kind in KINDS))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    prints = {
        subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            timeout=300,
        ).stdout.strip()
        for seed in "12"
    }
    assert prints == {" ".join(trained(kind).fingerprint for kind in KINDS)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_gives_the_same_ids(kind: str, tmp_path: Path) -> None:
    tokenizer = trained(kind)
    Tokenizers(tokenizer, tokenizer).save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    assert loaded.shared and loaded.source.fingerprint == tokenizer.fingerprint
    assert all(loaded.source.encode(text) == tokenizer.encode(text) for text in CORPUS)
    assert loaded.source.tags == {"zh-Hans": 2, "zh-Hant": 3}
    (tmp_path / "two").mkdir()
    Tokenizers(tokenizer, Tokenizer.from_json(tokenizer.to_json())).save(tmp_path / "two")
    assert not Tokenizers.load(tmp_path / "two").shared


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(RunError, match=r"tokenizer\.json is missing"):
        loading.load(path)
    path.write_text(trained("bpe").to_json()[:500], encoding="utf-8")
    with pytest.raises(RunError, match=r"tokenizer\.json is not a whole tokenizer"):
        loading.load(path)


def test_words_signs_digits_and_chinese_stand_apart() -> None:
    tokenizer = trained("bpe")
    words = [
        word
        for word, _ in tokenizer._backend.pre_tokenizer.pre_tokenize_str(
            "We have 12 cats,  我喜歡cats。テーブル <b>"
        )
    ]  # type: ignore[union-attr]
    assert words == [
        "We",
        " have",
        " 12",
        " cats",
        ",",
        "  ",
        "我喜歡",
        "cats",
        "。",
        "テーブル",
        " ",
        "<",
        "b",
        ">",
    ]
    assert len(tokenizer.encode("喜歡")) == 1  # learnt, without spaces


@pytest.mark.parametrize("kind", KINDS)
def test_rare_characters_leave_room_for_words(kind: str) -> None:
    rare = ["".join(chr(0x4E00 + 40 * line + place) for place in range(40)) for line in range(50)]
    tokenizer = Tokenizer.train(rare + ["我喜歡貓", "你喜歡狗"] * 50, kind, 358)  # type: ignore[arg-type]
    assert tokenizer.vocabulary_size <= 358
    assert len(tokenizer.encode("喜歡")) <= 2 and len(tokenizer.encode(rare[-1][-1])) == 3
    assert all(tokenizer.decode(tokenizer.encode(text)) == text for text in rare)


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_character_is_refused_in_words(kind: str) -> None:
    assert Tokenizer.train([*CORPUS, "a\ud800b"], kind, 420).vocabulary_size > 300  # type: ignore[arg-type]
    with pytest.raises(DataError, match="lone surrogate"):
        trained(kind).encode("a\ud800b")
    with pytest.raises(DataError, match="Character 2"):
        trained(kind).encode_batch(["fine", "a\ud800b"])


def test_an_unigram_spends_its_size_on_frequent_words() -> None:
    tokenizer = Tokenizer.train(CORPUS, "unigram", 325)
    assert tokenizer.vocabulary_size == 325
    assert sum(map(len, tokenizer.encode_batch(CORPUS))) < 0.7 * sum(map(len, CORPUS))


def test_expected_counts_are_those_of_all_segmentations() -> None:
    lattice = Lattice.of(["aba", "b"], {"a": 0, "b": 1, "ab": 2, "ba": 3})
    a, b, ab, ba = weights = np.array([0.4, 0.3, 0.2, 0.1])
    ways = np.array([a * b * a, ab * a, a * ba])  # a-b-a, ab-a, a-ba
    assert np.allclose(lattice.totals(weights), [ways.sum(), b])
    first, second, third = 2 * ways / ways.sum()
    expected = [2 * first + second + third, first + 5, second, third]
    assert np.allclose(lattice.expected(weights, np.array([2.0, 5.0])), expected)


def test_sizes() -> None:
    assert trained("bpe").vocabulary_size <= 420
    small = Tokenizer.train(["a b"], "bpe", 8000)
    assert small.vocabulary_size < 300 and small.requested_size == 8000
    with pytest.raises(UsageError, match="tokenizer kind 'bpee'"):
        Tokenizer.train(CORPUS, "bpee")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least"):
        Tokenizer.train(CORPUS, "bpe", 100)
