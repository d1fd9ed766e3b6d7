"""Test that rows of titles above a header are named, and no ordinary table is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.data.formats.columns import needs_of
from triptych.data.formats.pairs import Files, records
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.errors import DataError

BODY = [f"{n},The lamp {n} is out again,{'ab'[n % 2]}" for n in range(8)]
HEAD = "id,text,label"


def write(folder: Path, lines: list[str], name: str = "a.csv") -> str:
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize(
    "titles",
    [
        ["Lamps,,"],
        ["Lamps"],
        ["Lamps of 2024,,", "Printed on Monday,,", ",,"],
        ["Lamps", "Page 1", ""],
    ],
)
def test_rows_above_the_header_are_named(tmp_path: Path, titles: list[str], sign: str) -> None:
    lines = [line.replace(",", sign) for line in [*titles, HEAD, *BODY]]
    path = write(tmp_path, lines, "a.tsv" if sign == "\t" else "a.csv")
    said = rf"a\.[ct]sv:{len(titles) + 1}: this row looks like the header \(id, text, label\)"
    with pytest.raises(DataError, match=said):
        load_split(DataTable(train=path), "train", needs=("text", "label"))
    with pytest.raises(DataError, match=said):
        list(records(Files(path)))


def test_titles_above_two_columns(tmp_path: Path) -> None:
    """Without the header's names two columns would be guessed as texts with labels."""
    rows = [f"The lamp {n} is out,{'ab'[n % 2]}" for n in range(12)]
    path = write(tmp_path, ["Lamps,", "text,label", *rows])
    with pytest.raises(DataError, match="this row looks like the header"):
        needs_of(path)


ORDINARY = {
    "a header": [HEAD, *BODY],
    "an index without a name": [",text,label", *BODY],
    "a first row with an empty cell": ["0,The lamp is out,", *BODY],
    "no header": BODY,
    "empty labels": [HEAD, "0,A text,", *BODY],
    "sparse rows": ["a,,", "b,,", "c,d,e", "f,,", "g,,", "h,,", "i,,"],
    "few rows": ["Lamps,,", HEAD, BODY[0]],
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_an_ordinary_table_has_no_titles(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, ORDINARY[kind])
    list(records(Files(path), wrong=lambda place, reason: None))
    needs_of(path)


def test_the_user_overrules_it(tmp_path: Path) -> None:
    path = write(tmp_path, ["Lamps,,", HEAD, *BODY])
    columns = {"text": 2, "label": 3, "header": "yes"}
    table = DataTable(train=path, columns=columns)
    assert load_split(table, "train", needs=("text", "label"))
