"""Test public sets of labelled texts: how they are split, and that no text is on two sides."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from triptych.data.sets import catalog
from triptych.data.sets import classification as sets_classification
from triptych.data.sets.classification import LAYOUTS, SetLayout, key_of, load
from triptych.data.sets.entry import SPLITS, Entry, File
from triptych.data.sets.files import fetch
from triptych.data.table import DataTable
from triptych.errors import UsageError

DATA = os.environ.get("TRIPTYCH_DATA")
needs_data = pytest.mark.skipif(
    not DATA or not Path(DATA, "sms-spam").is_dir(), reason="TRIPTYCH_DATA does not hold the sets"
)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """Write 200 texts, 20 of them in test in another spelling, and carve out validation."""
    train = "".join(f"Text number {number}\t{number % 2}\n" for number in range(200))
    test = "".join(f"text NUMBER {number}!\t{number % 2}\n" for number in range(180, 220))
    (tmp_path / "toy").mkdir()
    files = []
    for name, content in (("train.tsv", train), ("test.tsv", test)):
        (tmp_path / "toy" / name).write_text(content)
        files.append(File(name, hashlib.sha256(content.encode()).hexdigest(), ""))
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    layout = SetLayout(
        {"train": "train.tsv", "test": "test.tsv"},
        {"text": 0, "label": 1},
        {"validation": 0.1},
        labels={"1": "odd"},
    )
    monkeypatch.setitem(LAYOUTS, "toy", layout)
    return Entry("toy", "", "", ("en",), tuple(files), (), ("text", "label"), load)


def parts(entry: Entry, leaks: str) -> dict[str, list]:
    return {
        part: load(entry, part, DataTable(set="toy", leaks=leaks))  # type: ignore[arg-type]
        for part in ("train", "validation", "test")
    }


def test_leaks_are_taken_out_of_training(toy: Entry) -> None:
    found = parts(toy, "train")
    keys = {part: {key_of(one) for one in examples} for part, examples in found.items()}
    assert (
        not keys["train"] & keys["test"]
        and not keys["validation"] & keys["test"]
        and not keys["train"] & keys["validation"]
    )
    assert (
        len(found["test"]) == 40
        and len(found["train"]) + len(found["validation"]) == 180
        and 5 < len(found["validation"]) < 35
    )
    assert {one.label for one in found["test"]} == {"0", "odd"} and found["test"][
        0
    ].place == "test.tsv:1"


def test_or_out_of_the_scored_part_or_kept(toy: Entry) -> None:
    found, kept = parts(toy, "test"), parts(toy, "keep")
    assert len(found["test"]) == 20 and len(found["train"]) + len(found["validation"]) == 200
    assert [len(kept[part]) for part in kept] == [len(found["train"]), len(found["validation"]), 40]
    notices: list[str] = []
    load(toy, "test", DataTable(set="toy", leaks="test"), notices.append)
    assert "20 texts of test" in notices[0]


def test_a_set_without_the_wanted_field_is_refused() -> None:
    with pytest.raises(UsageError, match="stsb has no label"):
        catalog.load_other("stsb", "test", DataTable(set="stsb"), ("text", "label"))


def test_every_entry_has_its_files_and_address() -> None:
    for name, entry in sets_classification.ENTRIES.items():
        assert set(LAYOUTS[name].parts.values()) <= {file.name for file in entry.files}
        for file in entry.files:
            assert len(file.sha256) == 64 and file.address.startswith(
                "https://raw.githubusercontent.com/"
            )
            assert len(file.address.split("/")[5]) == 40  # a whole commit


@needs_data
def test_the_real_files_are_the_expected_ones() -> None:
    for name in ("sms-spam", "banking77", "stsb"):
        assert len(fetch(catalog.entry(name))) == len(catalog.entry(name).files)


@needs_data
def test_messages_are_split_by_distinct_text() -> None:
    entry = catalog.entry("sms-spam")
    found = {part: load(entry, part, DataTable(set="sms-spam")) for part in SPLITS}
    keys = [key_of(one) for part in found.values() for one in part]
    assert len(keys) == len(set(keys)) == 5131
    assert {one.label for one in found["test"]} == {"ham", "spam"} and sum(
        one.label == "spam" for one in found["test"]
    ) > 100


@needs_data
def test_repeated_messages_can_be_left_in_and_leak() -> None:
    entry = catalog.entry("sms-spam")
    found = {part: load(entry, part, DataTable(set="sms-spam", leaks="keep")) for part in SPLITS}
    places = [one.place for part in found.values() for one in part]
    assert len(places) == len(set(places)) == 5574
    learnt = {key_of(one) for one in found["train"]}
    assert (
        900 < len(found["test"]) < 1300 and sum(key_of(one) in learnt for one in found["test"]) > 80
    )


@needs_data
def test_pairs_have_numbers_and_no_quoting() -> None:
    entry = catalog.entry("stsb")
    test = load(entry, "test", DataTable(set="stsb"))
    assert len(test) == 1379 and all(0 <= (one.value or 0) <= 5 for one in test)
    assert (test[0].text, test[0].text_pair, test[0].value) == (
        "A girl is styling her hair.",
        "A girl is brushing her hair.",
        2.5,
    )


@needs_data
def test_a_pair_with_its_texts_swapped_is_the_same_pair() -> None:
    entry = catalog.entry("stsb")
    either = {
        part: {
            frozenset((one.text, one.text_pair)) for one in load(entry, part, DataTable(set="stsb"))
        }
        for part in SPLITS
    }
    kept = {
        frozenset((one.text, one.text_pair))
        for one in load(entry, "train", DataTable(set="stsb", leaks="keep"))
    }
    assert len(kept & either["test"]) >= 12 and not either["train"] & (
        either["test"] | either["validation"]
    )
