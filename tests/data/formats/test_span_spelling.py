"""Test that other ways to write spans are read as BIO and BIOES, and doubtful ones are told."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.formats import bio
from triptych.data.formats.conll import examples_of
from triptych.data.formats.span_spelling import OTHERS, doubt, io_notice, renamed, spelling_of

BIO = ["B-PER", "I-PER", "O", "B-LOC", "O"]
BIOES = ["B-PER", "I-PER", "E-PER", "O", "S-LOC"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("B-PER I-PER L-PER O U-LOC", BIOES),  # BILOU
        ("B-PER M-PER E-PER O S-LOC", BIOES),  # BMES, with O
        ("B-PER M-PER E-PER O W-LOC", BIOES),  # BMEWO
        ("B_PER I_PER O B_LOC O", BIO),
        ("B:PER I:PER O B:LOC O", BIO),
        ("PER-B PER-I O LOC-B O", BIO),
        ("PER_B PER_I PER_L O LOC_U", BIOES),
        ("b-PER i-PER o b-LOC o", BIO),
        ("b_PER i_PER l_PER o u_LOC", BIOES),
        ("PER-b PER-i o LOC-b o", BIO),
        ("O U-LOC O", ["O", "S-LOC", "O"]),
        ("O W_LOC O", ["O", "S-LOC", "O"]),
        ("o o", ["O", "O"]),
        ("B-creative_work I-creative_work O", ["B-creative_work", "I-creative_work", "O"]),
        ("B_creative-work I_creative-work O", ["B-creative-work", "I-creative-work", "O"]),
    ],
)
def test_spellings_are_read_as_spans_and_told(written: str, read: list[str]) -> None:
    tags = written.split()
    names = renamed(tags)
    assert [names.get(tag, tag) for tag in tags] == read
    notices: list[str] = []
    lines = [f"word{place} {tag}" for place, tag in enumerate(tags)]
    (one,) = examples_of(lines, "f", report=notices.append)
    assert one.tags == read
    assert any("tags are read as spans" in notice for notice in notices) == (tags != read)


@pytest.mark.parametrize(
    "tags",
    [
        ["NOUN", "VERB", "X"],
        ["B", "I", "O"],
        ["PER", "LOC", "O"],
        ["L-1", "M-2"],  # no tag begins a span
        ["L-1", "M-2", "O"],
        ["B_PER", "I_PER"],  # no O: these may be names
        ["B_PER", "I_PER", "O", "MISC"],
        ["b-per", "i_per", "o"],
    ],
)
def test_other_tags_stay_as_they_are(tags: list[str]) -> None:
    assert spelling_of(tags) is None and renamed(tags) == {}


def test_an_odd_tag_beside_known_ones_is_an_error_as_before() -> None:
    assert renamed(["B-PER", "I-PER", "O", "b-PER", "PER_B"]) == {}
    # A tag of BILOU among BIO has one meaning only.
    assert renamed(["B-PER", "O", "U-PER"]) == {"U-PER": "S-PER"}


def test_a_type_can_have_spaces() -> None:
    (one,) = examples_of(["Ann\tB-first name", "Lee\tI-first name", "sang\tO"], "f")
    assert one.tags == ["B-first name", "I-first name", "O"]
    assert bio.spans(one.tags or []) == [("first name", 0, 2)]


@given(
    st.lists(st.sampled_from([*BIOES, "E-LOC", "I-LOC"]), min_size=1, max_size=8),
    st.sampled_from(OTHERS),
)
def test_every_spelling_reads_back_what_it_writes(tags: list[str], spelling: object) -> None:
    from triptych.data.formats.span_spelling import SpanSpelling

    assert isinstance(spelling, SpanSpelling)
    written = []
    for tag in tags:
        letter, kind = bio.parts(tag)
        letter = letter.lower() if spelling.is_lower else letter
        both = (kind, letter) if spelling.is_type_first else (letter, kind)
        written.append(spelling.sign.join(both) if kind else letter)
    assert [spelling.read(tag) for tag in written] == tags


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ("B.PER I.PER O", "B.PER and I.PER look like spans"),
        ("BPER IPER O", "BPER and IPER look like spans"),
        ("PER/B PER/I O", "PER/B and PER/I look like spans"),
        ("B_PER I_PER O MISC", "B_PER and I_PER look like spans"),
        ("B I O", "B, I, O have no type"),
        ("B M E S", "B, E, M, S have no type"),
        ("(PER* *) *", "brackets like (PER*"),
    ],
)
def test_what_looks_like_spans_is_told(tags: str, words: str) -> None:
    assert words in (doubt(Counter(tags.split())) or "")
    notices: list[str] = []
    examples_of([f"a {tag}" for tag in tags.split()], "f", report=notices.append)
    assert any(words in notice for notice in notices)


def test_parts_of_speech_and_spans_are_not_doubted() -> None:
    for tags in ("NOUN VERB ADP X", "B-PER I-PER O", "NN NNS VB VBD . ,", "a b i o x"):
        assert doubt(Counter(tags.split())) is None and io_notice(Counter(tags.split())) is None


def test_types_without_a_letter_are_told_where_most_words_are_outside() -> None:
    told = io_notice(Counter({"O": 8, "PER": 2, "LOC": 1}))
    assert told is not None and "LOC, PER beside O are learnt one by one" in told
    assert "Write B-LOC and I-LOC" in told
    assert io_notice(Counter({"O": 2, "NN": 8})) is None  # a pronoun of tweets' parts of speech
