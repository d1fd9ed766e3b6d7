"""Test UAS, LAS and UPOS against an independent count in the way of the CoNLL 2018 evaluation."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import DataError
from triptych.metrics.dependencies import Tagged, attachment


@dataclass
class Word:
    """Hold a word as the official evaluation does: its characters, and its parent as a word."""

    span: tuple[int, int]
    columns: tuple[str, str]  # UPOS, DEPREL without its subtype
    parent: Word | None = None


def official(system: list[Tagged], gold: list[Tagged]) -> dict[str, float]:
    """Align words by span over the file; F1 = 2 correct / (system words + gold words) x 100."""

    def words(sentences: list[Tagged]) -> list[Word]:
        found, place = [], 0
        for sentence in sentences:
            here = []
            for upos, relation in zip(sentence.upos, sentence.relations, strict=True):
                here.append(Word((place, place + 1), (upos, relation.split(":")[0])))
                place += 1
            for word, head in zip(here, sentence.heads, strict=True):
                word.parent = here[head - 1] if head > 0 else None
            found += here
        return found

    ours, theirs = words(system), words(gold)
    by_span = {word.span: word for word in theirs}
    aligned = [(word, by_span[word.span]) for word in ours if word.span in by_span]

    def same_parent(one: Word, right: Word) -> bool:
        return (one.parent.span if one.parent else None) == (
            right.parent.span if right.parent else None
        )

    correct = {
        "upos": sum(one.columns[0] == right.columns[0] for one, right in aligned),
        "uas": sum(same_parent(one, right) for one, right in aligned),
        "las": sum(
            same_parent(one, right) and one.columns[1] == right.columns[1] for one, right in aligned
        ),
    }
    return {name: 100.0 * 2 * count / (len(ours) + len(theirs)) for name, count in correct.items()}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Tagged], list[Tagged]]:
    def one(count: int) -> Tagged:
        return Tagged(
            draw(st.lists(st.sampled_from(["NOUN", "PUNCT"]), min_size=count, max_size=count)),
            draw(st.lists(st.integers(0, count), min_size=count, max_size=count)),
            draw(
                st.lists(
                    st.sampled_from(["nsubj", "nsubj:pass", "punct", "acl:relcl"]),
                    min_size=count,
                    max_size=count,
                )
            ),
        )

    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    return [one(count) for count in counts], [one(count) for count in counts]


@given(pairs())
def test_equal_to_the_official_definition(both: tuple[list[Tagged], list[Tagged]]) -> None:
    assert attachment(both[0], both[1]) == pytest.approx(official(*both))


def test_the_first_is_las_and_subtypes_and_punctuation_count_as_they_should() -> None:
    gold = Tagged(
        ["NOUN", "VERB", "PUNCT", "NOUN"], [2, 0, 2, 2], ["nsubj:pass", "root", "punct", "obj"]
    )
    guess = Tagged(
        ["NOUN", "VERB", "SYM", "NOUN"], [2, 0, 1, 2], ["nsubj", "root", "punct", "iobj"]
    )
    assert attachment([guess], [gold]) == {"las": 50.0, "uas": 75.0, "upos": 75.0}
    assert next(iter(attachment([guess], [gold]))) == "las"


def test_a_sentence_without_an_answer_has_nothing_right() -> None:
    gold = Tagged(["X"], [0], ["root"])
    assert attachment([None, gold], [gold, gold]) == {"las": 50.0, "uas": 50.0, "upos": 50.0}
    with pytest.raises(DataError, match="Sentence 1 has 1 words but its prediction has 2"):
        attachment([Tagged(["X"] * 2, [0, 1], ["root", "dep"])], [gold])
    with pytest.raises(DataError, match="no word to score"):
        attachment([], [])


def test_real_trees_with_faults_put_in() -> None:
    if not os.environ.get("TRIPTYCH_DATA"):
        pytest.skip("TRIPTYCH_DATA is not set: the public sets are not at hand")
    from triptych.data.sets import catalog
    from triptych.data.table import DataTable

    name = "ud-english-ewt"
    examples = catalog.load_other(
        name, "validation", DataTable(set=name), ("text", "words", "upos", "heads", "relations")
    )
    gold = [Tagged(one.upos or [], one.heads or [], one.relations or []) for one in examples]
    assert attachment(gold, gold) == {"las": 100.0, "uas": 100.0, "upos": 100.0}
    chance, guess = random.Random(1), []
    for one in gold:
        heads = [
            chance.randint(0, len(one.heads)) if chance.random() < 0.2 else head
            for head in one.heads
        ]
        relations = [
            chance.choice(["nsubj", "obj:x", "acl"]) if chance.random() < 0.2 else kind
            for kind in one.relations
        ]
        guess.append(
            Tagged(["NOUN" if chance.random() < 0.1 else tag for tag in one.upos], heads, relations)
        )
    found = attachment(guess, gold)
    assert found == pytest.approx(official(guess, gold)) and 60 < found["las"] < found["uas"] < 85
