"""Test both ways of holding out: by the hash of each text, and stratified by class."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from triptych.data.example import Example
from triptych.data.load import load_split
from triptych.data.small import few_of_a_class, few_texts, share_for, share_of_text, too_few
from triptych.data.split import SHARES, Division, by_input, by_source, split_of
from triptych.data.strata import allotted, strata_of
from triptych.data.table import DataTable
from triptych.errors import UsageError

NEEDS = ("text", "label")
TENTH = Division(dict.fromkeys(SHARES, 0.1), stratified=True)


def tickets(**sizes: int) -> list[Example]:
    return [
        Example(text=f"ticket {number} on {label}", label=label)
        for label, count in sizes.items()
        for number in range(count)
    ]


def labels_of(examples: Sequence[Example]) -> Counter[str | None]:
    return Counter(one.label for one in examples)


def test_every_class_has_its_share() -> None:
    whole = tickets(delivery=150, billing=80, repair=46, refund=20, legal=4)
    parts = by_input(whole, TENTH)
    assert labels_of(parts["test"]) == dict(delivery=15, billing=8, repair=5, refund=2, legal=1)
    assert labels_of(parts["validation"]) == dict(delivery=15, billing=8, repair=5, refund=2)
    assert labels_of(parts["train"])["legal"] == 3
    assert sorted(map(id, whole)) == sorted(id(one) for part in parts.values() for one in part)


def test_the_order_of_the_file_changes_nothing() -> None:
    whole = tickets(a=60, b=30, c=9)
    again = whole[:]
    random.Random(1).shuffle(again)
    first, second = by_input(whole, TENTH), by_input(again, TENTH)
    for part in first:
        assert {one.text for one in first[part]} == {one.text for one in second[part]}


def test_equal_texts_stay_together_whatever_their_labels() -> None:
    whole = [
        Example(text=form.format(number), label=label)
        for number in range(40)
        for form, label in (("Call {}", "a"), ("call {}!", "b"), ("CALL  {}", "a"))
    ]
    parts = by_input(whole, TENTH)
    assert {part: len(found) for part, found in parts.items()} == {
        "test": 12,
        "validation": 12,
        "train": 96,
    }


def test_a_set_that_grows_hardly_moves_texts_from_training_to_the_test() -> None:
    def numbered(count: int) -> dict[str, set[str | None]]:
        parts = by_input(tickets(a=count, b=count // 2), TENTH)
        return {part: {one.text for one in found} for part, found in parts.items()}

    before, after = numbered(400), numbered(440)
    assert not before["train"] & after["test"]
    assert len(before["train"] & after["validation"]) <= 6


def test_many_small_classes_are_not_all_left_out() -> None:
    held = allotted({f"class {number}": 4 for number in range(77)}, {"validation": 0.1})
    assert sum(held["validation"].values()) == 31 and set(held["validation"].values()) == {0, 1}
    few = allotted({"a": 3, "b": 1}, dict.fromkeys(SHARES, 0.3))
    assert all(few["test"][name] + few["validation"][name] <= size // 2
               for name, size in {"a": 3, "b": 1}.items())  # fmt: skip


def test_numbers_tags_and_several_labels_have_classes_too() -> None:
    numbers = [Example(text=str(value), value=float(value)) for value in range(20)]
    assert Counter(strata_of(numbers)) == {str(band): 2 for band in range(10)}
    tagged = [Example(text="a", tags=["O", "B-PER"])] * 3
    tagged += [Example(text="b", tags=["B-LOC", "I-LOC", "B-PER"]), Example(text="c", tags=["O"])]
    assert strata_of(tagged) == ["PER", "PER", "PER", "LOC", ""]
    several = [Example(text="a", labels=["x"]), Example(text="b", labels=["x", "y"])]
    assert strata_of([*several, Example(text="c", labels=[])]) == ["x", "y", ""]


def test_pairs_are_held_out_by_an_exact_share() -> None:
    whole = [Example(source=f"s{number}", target=f"t{number}") for number in range(50)]
    parts = by_source([*whole, *whole[:5]], TENTH)
    assert [len(parts[part]) for part in ("test", "validation", "train")] == [5, 5, 40]


def test_without_a_key_the_split_is_what_it_was(tmp_path: Path) -> None:
    whole = tickets(a=300, b=100)
    lines = "".join(f"{one.text}\t{one.label}\n" for one in whole)
    (tmp_path / "a.tsv").write_text("text\tlabel\n" + lines)
    for extra in ({}, {"split": "hash"}, {"held_out": 0.025}):
        data = DataTable(train=str(tmp_path / "a.tsv"), **extra)  # type: ignore[arg-type]
        for part in ("train", "validation", "test"):
            found = {one.text for one in load_split(data, part, needs=NEEDS)}
            assert found == {one.text for one in whole if split_of(one.text or "") == part}
    data = DataTable(train=str(tmp_path / "a.tsv"), split="stratified", held_out=0.2)
    assert labels_of(load_split(data, "test", needs=NEEDS)) == {"a": 60, "b": 20}


def test_what_divides_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.held_out divides your own files.*phrasebook"):
        load_split(DataTable(set="phrasebook", held_out=0.1), "test")
    with pytest.raises(UsageError, match=r"data\.split = 'stratified' reads all texts"):
        load_split(
            DataTable(train="a.txt", split="stratified", stream=True), "train", needs=("text",)
        )


def test_what_is_small_is_said() -> None:
    assert share_for(300) == share_for(1_999) == 0.1
    assert share_for(2_000) == 0.05 and share_for(4_000) is None
    assert few_texts(100, "test") is None
    assert "Only 25 test texts" in (said := few_texts(25, "test") or "") and "20 points" in said
    assert "Only 1 test text:" in (few_texts(1, "test") or "")
    assert "There are no validation pairs" in (few_texts(0, "validation", "pairs") or "")
    assert "--bootstrap" in (few_texts(25, "test", "pairs", is_share=False) or "")
    assert few_of_a_class(tickets(a=10, b=12)) is None
    said = few_of_a_class(tickets(a=10, b=9, c=2)) or ""
    assert "'c' (2), 'b' (9)" in said and "'a'" not in said
    assert "and 5 more" in (few_of_a_class(tickets(**{f"n{one}": 1 for one in range(25)})) or "")
    several = [Example(text=f"text {one}", labels=["a"] * (one < 3)) for one in range(9)]
    said = few_of_a_class(several) or ""
    assert "'a' (3)" in said and "class_weights" not in said  # it weighs texts by their one label


def test_the_order_changes_nothing_where_a_text_has_two_labels() -> None:
    whole = tickets(a=60, b=30, c=9)
    whole += [Example(text=one.text, label="c") for one in whole[:12]]
    first = by_input(whole, TENTH)
    for seed in range(3):
        again = whole[:]
        random.Random(seed).shuffle(again)
        second = by_input(again, TENTH)
        for part in first:
            assert {one.text for one in first[part]} == {one.text for one in second[part]}


@pytest.mark.parametrize("share", [0.3, 0.4, 0.49])
def test_validation_gets_as_much_as_the_test(share: float) -> None:
    held = allotted({"a": 100, "b": 40, "c": 10}, dict.fromkeys(SHARES, share))
    assert sum(held["test"].values()) == round(share * 150)
    assert abs(sum(held["validation"].values()) - round(share * 150)) <= 2
    for name, size in {"a": 100, "b": 40, "c": 10}.items():
        assert held["test"][name] + held["validation"][name] < size  # one is left to learn from
    alone = allotted({"x": 1, "y": 2}, dict.fromkeys(SHARES, 0.49))
    assert not alone["test"]["x"] and alone["test"]["y"] + alone["validation"]["y"] < 2


def test_little_plain_text_holds_out_more_and_says_it() -> None:
    assert share_of_text(399_999) == 0.1 and share_of_text(400_000) == 0.05
    assert share_of_text(799_999) == 0.05 and share_of_text(800_000) is None
    short, enough = ([Example(text="a word " * count)] for count in (500, 3_000))
    note = too_few(short, "validation", ("text",), "examples", False) or ""
    assert note.startswith("Only 3,500 characters of validation text: a score") and "1000" in note
    assert too_few(enough, "test", ("text",), "examples", False) is None
    assert too_few(enough, "test", NEEDS, "texts", True) is not None  # one labelled text is little
    assert "no test examples" in (too_few([], "test", ("text",), "examples", False) or "")
    assert "Only 12 texts: a percentage" in (few_texts(12, "") or "")
