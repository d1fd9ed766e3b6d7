"""Read folders whose name is the label of the texts in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.data.formats.foreign.label_folders import is_labelled
from triptych.data.formats.foreign.own_lines import own_lines
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.errors import DataError
from triptych.training.resuming import fingerprints_of


def texts(root: Path, label: str, count: int = 30, suffix: str = ".txt") -> None:
    (root / label).mkdir(parents=True)
    for number in range(count):
        (root / label / f"{number:02}{suffix}").write_text(f"Text {number}\r\nis {label}.\n")


def read(path: Path) -> tuple[list[tuple[str | None, str | None]], list[str]]:
    told: list[str] = []
    data = DataTable(train=str(path), validation=str(path), test=str(path))
    found = load_split(data, "train", told.append, ("text", "label"))
    return [(one.text, one.label) for one in found], told


def test_the_name_of_a_folder_is_the_label(tmp_path: Path) -> None:
    texts(tmp_path / "mail", "good", 2)
    texts(tmp_path / "mail", "bad", 1)
    (tmp_path / "mail" / "good" / ".DS_Store").write_bytes(b"\xff")
    (tmp_path / "mail" / "good" / "notes.md").write_text("Not a text of the set.")
    (tmp_path / "mail" / "good" / "latin.txt").write_bytes("Käse".encode("latin1"))
    (tmp_path / "mail" / "bad" / "empty.txt").write_text(" \n")
    found, told = read(tmp_path / "mail")
    assert found == [
        ("Text 0\nis bad.", "bad"),
        ("Text 0\nis good.", "good"),
        ("Text 1\nis good.", "good"),
    ]
    assert told[:3] == [
        "mail: read as texts in 2 folders named after labels; a number after its name counts its "
        "records.",
        "mail: 1 record left out, empty: bad/empty.txt.",
        "mail: 1 record left out, not UTF-8: good/latin.txt.",
    ]


def test_texts_without_an_ending_of_their_name(tmp_path: Path) -> None:
    texts(tmp_path, "sci.space", 2, suffix="")
    texts(tmp_path, "rec.autos", 2, suffix="")
    found, _ = read(tmp_path)
    assert [label for _, label in found] == ["rec.autos"] * 2 + ["sci.space"] * 2


def test_train_and_test_one_level_above(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            texts(tmp_path / part, label, 2)
    texts(tmp_path / "train", "unsup", 3)
    (tmp_path / "train" / "labeledBow.feat").write_text("0:9\n")
    found, told = read(tmp_path)
    assert sorted({label or "" for _, label in found}) == ["neg", "pos"]
    assert len(found) == 4
    assert f"{tmp_path.name}: test/ is not read here: it can be given as data.test." in told
    assert f"{tmp_path.name}: unsup/ is not read: its texts have no label." in told


def test_a_folder_of_texts_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some text.")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.txt").write_text("More text.")
    assert not is_labelled(tmp_path)
    with pytest.raises(DataError, match="is a folder; name a file in it"):
        own_lines(tmp_path)
    texts(tmp_path, "one", 1)
    assert not is_labelled(tmp_path)  # many texts stand beside the folders


def test_a_resumed_run_knows_every_text(tmp_path: Path) -> None:
    texts(tmp_path, "a", 2, suffix="")
    texts(tmp_path, "b", 1, suffix="")
    marks = fingerprints_of(DataTable(train=str(tmp_path)), {"train": [], "validation": []})
    assert sorted(Path(name).name for name in marks["train"]) == ["00", "00", "01"]
