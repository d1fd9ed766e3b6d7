"""Test labels that have a column each, which holds 0 or 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from triptych.data.example import Example
from triptych.data.formats.columns import needs_of, read
from triptych.data.load import fitting
from triptych.data.table import DataTable
from triptych.data.validation.columns import check
from triptych.errors import DataError

NEEDS = ("text", "labels")
ROWS = [
    ("1001", "you fool, go", 1, 0, 1),
    ("1002", "thank you", 0, 0, 0),
    ("1003", "a, b", 0, 1, 0),
]
NAMES = ("id", "comment", "rude", "threat", "spam")
COLUMNS = {"text": "comment", "labels": "rude + Threat+spam"}
WANTED = [("you fool, go", ["rude", "spam"]), ("thank you", []), ("a, b", ["threat"])]


def table(folder: Path, name: str, values: Sequence[tuple[object, ...]] | None = None) -> str:
    rows = [NAMES, *(values or ROWS)]
    if name.endswith(".jsonl"):
        lines = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in rows[1:]]
    elif name.endswith(".csv"):
        lines = [",".join(f'"{cell}"' for cell in row) for row in rows]
    else:
        lines = ["\t".join(map(str, row)) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder / name)


def shown(found: list[Example]) -> list[tuple[str | None, list[str] | None]]:
    return [(one.text, one.labels) for one in found]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_columns_of_0_and_1_are_labels(tmp_path: Path, name: str) -> None:
    path = table(tmp_path, name)
    assert needs_of(path, COLUMNS) == NEEDS
    columns: dict[str, str | int] = dict(COLUMNS)
    if name.endswith(".jsonl"):
        columns["labels"] = "rude+threat+spam"
    found = read([path], DataTable(columns=columns), NEEDS)
    assert shown(found) == WANTED and found[1].place == f"{name}:{2 + (name != 'a.jsonl')}"


def test_numbers_name_columns_too_and_the_header_names_the_labels(tmp_path: Path) -> None:
    columns: dict[str, str | int] = {"text": 2, "labels": "3+5"}
    found = read([table(tmp_path, "a.csv")], DataTable(columns=columns), NEEDS)
    assert [one.labels for one in found] == [["rude", "spam"], [], []]
    bare = tmp_path / "bare.tsv"
    bare.write_text("hello there\t1\t0\nfine words here\t0\t1\n")
    with pytest.raises(
        DataError, match="whose names are the labels, but the first line is no head"
    ):
        read([str(bare)], DataTable(columns={"text": 1, "labels": "2+3", "header": "no"}), NEEDS)


def test_other_values_and_other_names_are_refused_with_their_place(tmp_path: Path) -> None:
    path = table(tmp_path, "a.csv", [*ROWS, ("1004", "so so", 2, 0, 0)])
    with pytest.raises(DataError, match=r"a\.csv:5: the label 'rude' is '2' here; .* 0 or 1\."):
        read([path], DataTable(columns={**COLUMNS}), NEEDS)
    problems = [str(one) for one in check({"train": [path]}, NEEDS, COLUMNS).problems]
    assert any("a.csv:5: bad label: the label 'rude' is '2'" in one for one in problems)
    with pytest.raises(DataError, match=r"a\.csv has no column 'insult', .* It has: id, comment"):
        read([path], DataTable(columns={"text": "comment", "labels": "rude+insult"}), NEEDS)


def test_a_column_that_is_called_so_is_one_column(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\ta+b\none text\tx|y\nother text\tz\n")
    found = read(
        [str(tmp_path / "a.tsv")], DataTable(columns={"text": "text", "labels": "a+b"}), NEEDS
    )
    assert [one.labels for one in found] == [["x", "y"], ["z"]]


def test_a_file_with_the_same_columns_is_read_so_when_it_is_scored(tmp_path: Path) -> None:
    data = DataTable(columns={**COLUMNS})
    assert fitting(data, [table(tmp_path, "new.csv")]).columns == COLUMNS
    (tmp_path / "other.tsv").write_text("text\tlabels\nhello\trude\n")
    assert fitting(data, [str(tmp_path / "other.tsv")]).columns is None


@pytest.mark.parametrize("needs", [("text", "label"), ("source", "target")])
def test_such_columns_are_named_where_nothing_says_what_is_learnt(
    tmp_path: Path, needs: tuple[str, str]
) -> None:
    from triptych.data.formats.choosing import choose
    from triptych.data.formats.foreign.own_lines import own_lines
    from triptych.data.formats.table_format import sniffed

    path = Path(table(tmp_path, "a.csv", ROWS * 3))
    lines = own_lines(path)
    said = [str(one) for one in choose(sniffed(path, lines, []), lines, needs, []).remarks]
    assert any("--columns text=comment,labels=rude+threat+spam" in one for one in said), said
    plain = Path(table(tmp_path, "b.csv", [(*row[:2], 0, "x", 3) for row in ROWS] * 3))
    lines = own_lines(plain)
    said = [str(one) for one in choose(sniffed(plain, lines, []), lines, needs, []).remarks]
    assert said and not any("have a column each" in one for one in said)
