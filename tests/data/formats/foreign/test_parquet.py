"""Parquet as lines of JSONL: names of classes, odd types, damage, and files that unpack to much."""

from __future__ import annotations

import datetime
import json
import random
from pathlib import Path
from typing import Any

import pytest

from triptych.data.formats.foreign.own_lines import own_lines
from triptych.data.formats.foreign.parquet import lines
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.errors import DataError

pyarrow = pytest.importorskip(
    "pyarrow", reason="pyarrow, which reads Parquet, is not installed: pip install -e '.[dev]'"
)
TAGS = {"names": ["O", "B-PER"], "_type": "ClassLabel"}
FEATURES = {
    "label": {"names": ["bad", "good"], "_type": "ClassLabel"},
    "tags": {"feature": TAGS, "_type": "Sequence"},
    "old": [TAGS],
    "deep": {"kind": TAGS, "text": {"dtype": "string", "_type": "Value"}},
}


def write(path: Path, columns: dict[str, Any], features: object = None, **options: Any) -> Path:
    table = pyarrow.table(columns)
    if features is not None:
        note = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": note})
    __import__("pyarrow.parquet").parquet.write_table(table, path, **options)
    return path


def test_classes_by_their_names(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet",
        {
            "label": [1, 0, -1, None],
            "tags": [[0, 1], [], None, [1]],
            "old": [[1], [0], [1], [1]],
            "deep": [{"kind": 1, "text": "é"}] * 4,
        },
        FEATURES,
    )
    found = [json.loads(one) for one in own_lines(path)]
    assert [one["label"] for one in found] == ["good", "bad", None, None]
    assert [one["tags"] for one in found] == [["O", "B-PER"], [], None, ["B-PER"]]
    assert found[0]["old"] == ["B-PER"] and found[0]["deep"] == {"kind": "B-PER", "text": "é"}
    assert [json.loads(one) for one in lines(path)] == found


def test_every_kind_of_value_is_json(tmp_path: Path) -> None:
    day = datetime.datetime(2020, 1, 2, 3, 4)
    path = write(
        tmp_path / "a.parquet",
        {
            "n": [float("nan"), 1.5],
            "when": [day, None],
            "picture": [{"bytes": b"x", "path": "a.png"}] * 2,
            "raw": [b"x", b"y"],
            "few": pyarrow.array(["a", "b"]).dictionary_encode(),
            "long": pyarrow.array(["a\nb", "\u2028"], pyarrow.large_string()),
        },
    )
    assert [json.loads(one) for one in own_lines(path)] == [
        {"n": None, "when": "2020-01-02T03:04:00", "few": "a", "long": "a\nb"},
        {"n": 1.5, "when": None, "few": "b", "long": "\u2028"},
    ]
    with pytest.raises(DataError, match=r"no columns of texts or numbers .*\(raw\)"):
        own_lines(write(tmp_path / "b.parquet", {"raw": [b"x"]}))


def test_a_file_is_read_as_any_other(tmp_path: Path) -> None:
    rows = {"translation": [{"en": "a dog", "de": "ein Hund"}, {"en": "a cat", "de": "Katze"}]}
    path = write(tmp_path / "a.parquet", rows)
    said: list[str] = []
    data = DataTable(
        train=str(path), validation=str(path), test=str(path), source="en", target="de"
    )
    assert [one.target for one in load_split(data, "train", said.append)] == ["ein Hund", "Katze"]
    assert any("counts its records" in one for one in said)
    renamed = path.rename(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"ends in \.parquet"):
        own_lines(renamed)


def test_damage_gets_a_sentence(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.parquet", {"text": ["a b c"] * 50, "n": [*range(50)]}).read_bytes()
    path, draw, refused = tmp_path / "b.parquet", random.Random(1), 0
    for _ in range(60):
        held = bytearray(whole)
        for _ in range(draw.randrange(1, 6)):
            held[draw.randrange(4, len(held))] = draw.randrange(256)
        path.write_bytes(held[: draw.choice([len(held), draw.randrange(4, len(held))])])
        try:
            own_lines(path)
        except DataError as problem:
            refused += "is not a whole Parquet file" in str(problem)
    assert refused > 30


def test_a_file_that_unpacks_to_far_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.data.formats.foreign.parquet.SMALL_BYTES", 1000)
    path = write(tmp_path / "a.parquet", {"text": ["x" * 1000] * 3000}, compression="zstd")
    with pytest.raises(DataError, match="made to fill the memory"):
        own_lines(path)
