"""Test public sets with passages: counts and splits of the files that are present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from triptych.data.load import load_split
from triptych.data.sets import catalog
from triptych.data.sets.entry import SPLITS
from triptych.data.sets.reading import ENTRIES, FOLDS
from triptych.data.table import DataTable
from triptych.errors import DataError, UsageError

NEEDS = ("question", "passage", "answers")


@pytest.fixture
def real() -> None:
    folder = os.environ.get("TRIPTYCH_DATA")
    if not folder or not (Path(folder) / "xquad").is_dir():
        pytest.skip("the public sets are not at hand: set TRIPTYCH_DATA to their folder")


def load(part: str, **table: object) -> list:
    return load_split(DataTable(**table), part, None, NEEDS)  # type: ignore[arg-type]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_folds_of_xquad_are_whole_and_apart(real: None, language: str) -> None:
    tested: list[str] = []
    for fold in range(1, FOLDS + 1):
        parts = {part: load(part, set="xquad", source=language, fold=fold) for part in SPLITS}
        passages = {part: {one.passage for one in examples} for part, examples in parts.items()}
        assert sum(map(len, parts.values())) == 1190
        assert len(passages["test"]) == 48 and len(passages["validation"]) == 20
        assert (
            not passages["train"] & (passages["test"] | passages["validation"])
            and not passages["test"] & passages["validation"]
        )
        tested += [one.place.split("#")[1] for one in parts["test"]]
    assert len(tested) == len(set(tested)) == 1190


def test_folds_are_the_same_in_every_language(real: None) -> None:
    ids = [
        {one.place.split("#")[1] for one in load("test", set="xquad", source=language, fold=2)}
        for language in ("en", "de", "zh")
    ]
    assert ids[0] == ids[1] == ids[2]


def test_xquad_without_a_fold_is_all_test(real: None) -> None:
    examples = load("test", set="xquad")
    assert len(examples) == 1190 and {one.source_language for one in examples} == {"en"}
    with pytest.raises(UsageError, match=r"data\.fold"):
        load("train", set="xquad")
    with pytest.raises(UsageError, match="5 folds"):
        load("train", set="xquad", fold=6)
    with pytest.raises(UsageError, match="'fr'"):
        load("test", set="xquad", source="fr")


def test_cmrc2018(real: None) -> None:
    counts = {part: load(part, set="cmrc2018") for part in SPLITS}
    assert len(counts["train"]) + len(counts["validation"]) == 3219
    assert len(counts["test"]) == 1000  # two questions of the file are empty
    assert not {one.passage for one in counts["train"]} & {
        one.passage for one in counts["validation"]
    }
    assert {one.source_language for one in counts["test"]} == {"zh"}


def test_jaquad_development_part(real: None) -> None:
    examples = load("test", set="jaquad")
    assert len(examples) == 3939
    assert all(
        one.passage[start : start + len(text)] == text
        for one in examples
        for text, start in one.answers
    )


def test_a_set_of_shards_says_that_it_is_no_single_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(
        DataError, match=r"jaquad/dev\.tar .*cannot be fetched as one file.*JaQuAD/tree"
    ):
        load("test", set="jaquad")


def test_a_reading_set_is_no_set_of_pairs() -> None:
    with pytest.raises(UsageError, match="no pairs"):
        catalog.load("xquad", "test")


def test_every_entry_says_its_licence_and_digest() -> None:
    for entry in ENTRIES.values():
        assert entry.licence and entry.languages and entry.files
        assert all(
            len(file.sha256) == 64 and file.address.startswith("https://") for file in entry.files
        )
