"""Test that span scores equal seqeval's in both readings, on whole and on broken tags."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.metrics.spans import compare, span_scores, spans, tag_accuracy

TYPES = ("PER", "LOC", "creative-work")
BIO = ["O", *(f"{letter}-{kind}" for letter in "BI" for kind in TYPES)]
BIOES = [*BIO, *(f"{letter}-{kind}" for letter in "ES" for kind in TYPES)]


def sentences(tags: list[str]) -> st.SearchStrategy[list[tuple[list[str], list[str]]]]:
    pair = st.integers(1, 8).flatmap(
        lambda length: st.tuples(
            *[st.lists(st.sampled_from(tags), min_size=length, max_size=length) for _ in "ab"]
        )
    )
    return st.lists(pair, min_size=1, max_size=4)


def test_by_hand() -> None:
    tags = ["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "B-PER", "I-LOC"]
    assert spans(tags) == [
        ("PER", 0, 2),
        ("LOC", 3, 4),
        ("LOC", 4, 5),
        ("PER", 5, 6),
        ("LOC", 6, 7),
    ]
    assert spans(tags, "strict") == [("PER", 0, 2), ("LOC", 4, 5), ("PER", 5, 6)]
    assert spans(["B-X", "I-X", "E-X", "S-X", "B-X"], "strict") == [("X", 0, 3), ("X", 3, 4)]
    found = span_scores([["B-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "B-LOC"]])
    assert (found.all.precision, found.all.recall, found.all.f1) == (50.0, 50.0, 50.0)
    assert found.by_type["LOC"].f1 == 100.0 and found.by_type["PER"].f1 == 0.0
    assert tag_accuracy([["O", "B-X"]], [["O", "O"]]) == 50.0


def test_nothing_to_find_is_zero_and_no_error() -> None:
    assert (
        span_scores([["O"]], [["O"]]).all.f1 == 0.0
        and span_scores([], []).all.f1 == 0.0
        and tag_accuracy([], []) == 0.0
    )
    assert compare([[("", 0, 2)]], [[("", 0, 2), ("", 2, 3)]]).all.recall == 50.0


@pytest.mark.parametrize("tags", [BIO, BIOES], ids=["bio", "bioes"])
def test_equal_to_seqeval_whatever_the_tags(tags: list[str]) -> None:
    seqeval = pytest.importorskip(
        "seqeval.metrics.sequence_labeling",
        reason="seqeval is not installed: pip install 'triptych[dev]'",
    )

    @given(sentences(tags))
    @settings(max_examples=150, deadline=None)
    def equal(pairs: list[tuple[list[str], list[str]]]) -> None:
        answers, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        found = span_scores(answers, references).all
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = seqeval.precision_recall_fscore_support(
                references, answers, average="micro"
            )[:3]
        assert (found.precision, found.recall, found.f1) == pytest.approx(
            [100 * value for value in expected]
        )
        assert tag_accuracy(answers, references) == pytest.approx(
            100 * seqeval.accuracy_score(references, answers)
        )

    equal()


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
def test_equal_to_seqeval_where_it_is_strict(scheme: str) -> None:
    seqeval = pytest.importorskip(
        "seqeval.metrics.v1", reason="seqeval is not installed: pip install 'triptych[dev]'"
    )
    from seqeval.scheme import IOB2, IOBES

    tags = BIO if scheme == "IOB2" else BIOES

    @given(sentences(tags))
    @settings(max_examples=150, deadline=None)
    def equal(pairs: list[tuple[list[str], list[str]]]) -> None:
        closed = scheme == "IOBES"
        answers, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        found = span_scores(answers, references, "strict", closed=closed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = IOBES if closed else IOB2
            expected = seqeval.precision_recall_fscore_support(
                references, answers, average=None, scheme=kind
            )
        assert [counts.f1 for counts in found.by_type.values()] == pytest.approx(
            [100 * value for value in expected[2]]
        )
        assert [counts.given for counts in found.by_type.values()] == list(expected[3])

    equal()
