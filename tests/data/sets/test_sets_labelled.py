"""Test the sets of intents, unfair clauses and medical entities: splits, folds and leaks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych.data.example import Example
from triptych.data.load import load_split
from triptych.data.sets import catalog, clauses, tagging
from triptych.data.sets.entry import SPLITS, Entry
from triptych.data.sets.sizes import BYTES
from triptych.data.split import sentence_key
from triptych.data.table import DataTable
from triptych.errors import DataError, UsageError

NEW = ("bc5cdr", "ncbi-disease", "clinc-oos", "unfair-clauses")
DATA = os.environ.get("TRIPTYCH_DATA")
needs_data = pytest.mark.skipif(
    not DATA or not Path(DATA, "clinc-oos").is_dir(), reason="TRIPTYCH_DATA does not hold the sets"
)


def local(name: str, contents: list[bytes], folder: Path, patch: pytest.MonkeyPatch) -> Entry:
    """Write toy files of a set where it is looked for; return its entry with their digests."""
    entry = catalog.entry(name)
    (folder / name).mkdir()
    files = []
    for file, content in zip(entry.files, contents, strict=True):
        (folder / name / file.name).write_bytes(content)
        files.append(replace(file, sha256=hashlib.sha256(content).hexdigest()))
    patch.setenv("TRIPTYCH_DATA", str(folder))
    patch.setitem(catalog.ENTRIES, name, replace(entry, files=tuple(files)))
    return catalog.entry(name)


def loaded(name: str, needs: tuple[str, ...], **table: Any) -> dict[str, Sequence[Example]]:
    return {part: load_split(DataTable(set=name, **table), part, None, needs) for part in SPLITS}


def test_every_set_has_known_sizes_and_a_fixed_address() -> None:
    for name in NEW:
        for file in catalog.entry(name).files:
            assert len(file.sha256) == 64 and BYTES[name][file.name] > 0
            assert "/master/" not in file.address and "/main/" not in file.address


def test_entities_that_leak_are_taken_out_where_the_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sentences(*texts: str) -> bytes:
        return "".join(f"{text}\tB-Disease\n.\tO\n\n" for text in texts).encode()

    contents = [sentences("Gout", "Flu", "Croup"), sentences("gout"), sentences("Flu", "Lupus")]
    local("ncbi-disease", contents, tmp_path, monkeypatch)
    needs = tagging.FIELDS
    found = loaded("ncbi-disease", needs)
    assert [len(one) for one in found.values()] == [1, 1, 2]
    assert (found["train"][0].text, found["train"][0].tags) == ("Croup .", ["B-Disease", "O"])
    assert [len(one) for one in loaded("ncbi-disease", needs, leaks="test").values()] == [3, 0, 1]
    assert [len(one) for one in loaded("ncbi-disease", needs, leaks="keep").values()] == [3, 1, 2]
    said: list[str] = []
    load_split(DataTable(set="ncbi-disease"), "train", said.append, needs)
    assert said == [
        "ncbi-disease: 2 texts of train that are also in validation or test are left out "
        "(data.leaks)."
    ]


def test_questions_out_of_scope_are_part_of_each_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {
        "train": [["pay my bill", "bill"], ["Book a flight", "flight"]],
        "oos_train": [["who won", "oos"]],
        "val": [["book a flight!", "travel"]],
        "oos_val": [["how old is he", "oos"]],
        "test": [["my bill", "bill"]],
        "oos_test": [["what is love", "oos"]],
    }
    local("clinc-oos", [json.dumps(content).encode()], tmp_path, monkeypatch)
    found = loaded("clinc-oos", ("text", "label"))
    assert [[one.label for one in part] for part in found.values()] == [
        ["bill", "oos"], ["travel", "oos"], ["bill", "oos"]
    ]  # fmt: skip
    kept = loaded("clinc-oos", ("text", "label"), leaks="keep")
    assert [len(part) for part in kept.values()] == [3, 2, 2]
    assert found["test"][1].place == "data_full.json:oos_test[0]"


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'{"train": [["a"]], "oos_train": []}', b"{"])
def test_a_damaged_file_of_intents_is_named(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local("clinc-oos", [content], tmp_path, monkeypatch)
    with pytest.raises(DataError, match=r"data_full\.json of clinc-oos cannot be read"):
        load_split(DataTable(set="clinc-oos", leaks="keep"), "train", None, ("text", "label"))


def corpus(**changed: str) -> bytes:
    """Pack ten companies: two lines each that differ, and one that all share."""
    names = [f"C{number}.txt" for number in range(10)]
    files = {"list_tags.txt": "a2\nch3\n", "lists/LIST_ALL.txt": "\n".join(names)}
    for fold in range(5):
        test = names[2 * fold : 2 * fold + 2]
        files[f"lists/LIST_TEST_{fold}.txt"] = "\n".join(test) + "\n"
        files[f"lists/LIST_TRAIN_{fold}.txt"] = "\n".join(sorted({*names} - {*test})) + "\n"
    for name in names:
        files[f"sentences/en/original/{name}"] = (
            f"{name} may end.\n\nAll the same.\n{name} stays.\n"
        )
        files[f"tags/en/original/{name}"] = "a2 ch3 \n\n\nltd1 \n"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in (files | changed).items():
            info = tarfile.TarInfo(f"corpus/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_clauses_are_split_by_company_and_a_shared_line_is_only_in_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local("unfair-clauses", [corpus()], tmp_path, monkeypatch)
    tested = set()
    for fold in range(1, 6):
        found = loaded("unfair-clauses", ("text", "labels"), fold=fold)
        assert [len(part) for part in found.values()] == [14, 2, 6]
        companies = [{one.place.split(":")[0] for one in part} for part in found.values()]
        assert len(set.union(*companies)) == sum(map(len, companies)) == 10
        keys = [{sentence_key(one.text or "") for one in part} for part in found.values()]
        assert not keys[0] & (keys[1] | keys[2]) and not keys[1] & keys[2]
        assert [one.labels for one in found["test"][:3]] == [["a2", "ch3"], [], []]
        tested |= companies[2]
    assert len(tested) == 10
    whole = load_split(DataTable(set="unfair-clauses"), "test", None, ("text", "labels"))
    assert len(whole) == 30 and whole[0].place == "en/C0.txt:1"


def test_a_fold_or_language_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local("unfair-clauses", [corpus()], tmp_path, monkeypatch)
    needs = ("text", "labels")
    for table, words in (
        ({}, "has no train split of its own: give data.fold, 1 to 5"),
        ({"fold": 6}, "data.fold is 6; the set unfair-clauses has 5 folds"),
        ({"fold": 1, "source": "fr"}, "language 'fr'"),
    ):
        values: dict[str, Any] = {"set": "unfair-clauses", **table}
        with pytest.raises(UsageError, match=words):
            load_split(DataTable(**values), "train", None, needs)


def test_damaged_clauses_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = corpus(**{"tags/en/original/C0.txt": "a2\n"})
    local("unfair-clauses", [short], tmp_path, monkeypatch)
    with pytest.raises(DataError, match=r"en/C0\.txt has 4 lines of text and 1 of tags"):
        load_split(DataTable(set="unfair-clauses"), "test", None, ("text", "labels"))
    with pytest.raises(DataError, match="not a whole tar file"):
        clauses._members(b"no tar" * 1000)


@needs_data
def test_the_real_sets_have_the_counts_of_their_authors() -> None:
    keep = DataTable(set="clinc-oos", leaks="keep")
    test = load_split(keep, "test", None, ("text", "label"))
    assert len(test) == 5500 and sum(one.label == "oos" for one in test) == 1000
    assert len({one.label for one in test}) == 151
    lines = load_split(DataTable(set="unfair-clauses"), "test", None, ("text", "labels"))
    assert len(lines) == 17383 and sum(bool(one.labels) for one in lines) == 1374
    diseases = load_split(DataTable(set="ncbi-disease"), "test", None, tagging.FIELDS)
    assert len(diseases) == 940
    assert sum(tag == "B-Disease" for one in diseases for tag in one.tags or ()) == 960
