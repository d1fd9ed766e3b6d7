"""Test which tags may follow which, and that repairing broken tags keeps every span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.formats import bio

TAGS = ["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in ("PER", "LOC"))]


def test_schemes_are_told_apart() -> None:
    assert (
        bio.scheme_of(["O", "B-PER", "I-PER"]) == "bio" and bio.scheme_of(["I-PER", "O"]) == "bio"
    )
    assert (
        bio.scheme_of(["O", "S-PER"]) == "bioes"
        and bio.scheme_of(["NOUN", "B", "X"]) == "plain"
        and bio.scheme_of([]) == "plain"
    )


def test_broken_places_are_named() -> None:
    assert bio.broken(["O", "I-PER", "I-PER", "B-LOC", "I-PER"], "bio") == [1, 4]
    assert bio.broken(["B-PER", "O", "E-PER", "S-PER", "B-PER"], "bioes") == [1, 2, 5]
    assert bio.broken(["NOUN", "VERB"], "plain") == [] and bio.broken([], "bio") == []


def test_conversion_keeps_the_spans() -> None:
    tags = ["B-PER", "I-PER", "O", "B-LOC", "B-LOC"]
    assert bio.converted(tags, "bioes") == ["B-PER", "E-PER", "O", "S-LOC", "S-LOC"]
    assert bio.converted(bio.converted(tags, "bioes"), "bio") == tags
    assert bio.converted(["I-PER", "I-PER", "I-LOC"], "bio") == ["B-PER", "I-PER", "B-LOC"]


@given(st.lists(st.sampled_from(TAGS), max_size=10), st.sampled_from(["bio", "bioes"]))
def test_whatever_is_broken_becomes_whole(tags: list[str], scheme: bio.Scheme) -> None:
    mended = bio.converted(tags, scheme)
    assert bio.broken(mended, scheme) == [] and bio.spans(mended) == bio.spans(tags)
    assert [tag == "O" for tag in mended] == [tag == "O" for tag in tags]


@given(st.lists(st.sampled_from(TAGS), max_size=10))
def test_the_spans_are_those_of_the_metric(tags: list[str]) -> None:
    from triptych.metrics.spans import spans

    whole = bio.converted(tags, "bioes")
    assert spans(whole) == bio.spans(whole) == spans(whole, "strict", closed=True)


def test_tags_that_cannot_be() -> None:
    assert bio.is_tag("B-creative-work") and bio.is_tag("O")
    assert not any(map(bio.is_tag, ("B-", "B", "BPER", "X-PER", "o", "")))
    assert not bio.follows("B-PER", "I-LOC", "bio")


@pytest.mark.parametrize("scheme", ["bio", "bioes", "plain"])
def test_outside_may_always_begin_follow_and_end(scheme: bio.Scheme) -> None:
    assert (
        bio.follows(None, "O", scheme)
        and bio.follows("O", "O", scheme)
        and bio.follows("O", None, scheme)
    )
