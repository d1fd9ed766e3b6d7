"""Test the postings: the formula of BM25, and that a part of them can be replaced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.inference.retrieval.postings import MappedBM25, count_terms, moved, postings_of
from triptych.inference.search_index import BM25

TEXTS = st.lists(st.text(alphabet="abc 文字。", max_size=30), min_size=1, max_size=8)


def ranker(texts: list[str]) -> MappedBM25:
    entries, lengths = count_terms(texts)
    return MappedBM25(postings_of([entries], lengths))


@given(TEXTS, st.text(alphabet="abc 文字", max_size=12))
def test_mapped_bm25_is_the_one_in_memory(texts: list[str], question: str) -> None:
    assert ranker(texts).scores(question) == pytest.approx(BM25(texts).scores(question), abs=1e-5)


@given(TEXTS, st.data())
def test_postings_that_are_moved_equal_those_that_are_counted(
    texts: list[str], data: st.DataObject
) -> None:
    kept = data.draw(st.permutations(range(len(texts))))[: len(texts) // 2 + 1]
    entries, lengths = count_terms(texts)
    places = np.full(len(texts), -1)
    places[kept] = np.arange(len(kept))
    found = postings_of([moved(entries, places)], lengths[kept])
    wanted = ranker([texts[place] for place in kept]).postings
    for name in ("terms", "starts", "places", "counts", "lengths"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name


def test_coverage_is_a_share_that_weighs_rare_terms() -> None:
    words = ranker(["ada met babbage", "ada wrote", "ada slept"])
    one, other = words.coverage("ada babbage", [0, 1])
    assert one == pytest.approx(1.0) and 0 < other < 0.5
    assert words.coverage("turing", [0]) == [0.0] and words.coverage("", [0]) == [0.0]
    # The words of the question do not count, unless there are no others.
    assert words.coverage("ada wrote", [0], without="who is ada") == [0.0]
    assert words.coverage("ada", [0], without="ada") == [1.0]


def test_many_passages_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a b", "b c", "c c", "d"]
    whole = ranker(texts).postings
    monkeypatch.setattr("triptych.inference.retrieval.postings.PASSAGES_COUNTED", 3)
    done: list[float] = []
    entries, lengths = count_terms(texts, done.append)
    parts = postings_of([entries], lengths)
    assert np.array_equal(parts.places, whole.places) and np.array_equal(parts.terms, whole.terms)
    assert done == [3.0, 1.0]
