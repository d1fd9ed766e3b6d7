"""Test that files which are not read are named, not taken for a damaged or a wrong text."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from triptych.data.formats.foreign.own_lines import own_lines
from triptych.data.formats.lines import lines_of, refuse_nothing
from triptych.data.formats.texts import read as read_texts
from triptych.data.table import DataTable
from triptych.data.validation.pairs import readable
from triptych.errors import DataError

BINARY = {
    "gunzip": gzip.compress(b"a,b\n"),
    "ends in .parquet": b"PAR1\x15\x04\x15\x00PAR1",
    "an Arrow file": b"ARROW1\0\0x",
    "Unpack it": b"BZh91AY&SY\x00\x01",
    "old Excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0",
    "a PDF": b"%PDF-1.7\n1 0 obj\n",
    "RTF": b"{\\rtf1\\ansi Hi.}",
    "SQLite": b"SQLite format 3\0\x10",
    "a picture": b"\x89PNG\r\n\x1a\n\0",
}


@pytest.mark.parametrize("said", BINARY)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a.dat"])
@pytest.mark.parametrize("encoding", [None, "cp1252"])
def test_a_file_that_is_not_text_is_named(
    tmp_path: Path, said: str, name: str, encoding: str | None
) -> None:
    path = tmp_path / name
    path.write_bytes(BINARY[said])
    for reader in (own_lines, lines_of):
        with pytest.raises(DataError, match=said) as caught:
            reader(path, encoding=encoding)
        assert "--encoding" not in str(caught.value)
    with pytest.raises(DataError, match=said):
        readable(path, [], encoding)


@pytest.mark.parametrize("text", ["PAR1,PAR2\n", "BZh is short for it.\n"])
def test_a_text_may_begin_like_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert own_lines(tmp_path / "a.csv") == [text.strip()]


def test_a_notebook_is_named_unless_its_json_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4}, indent=1))
    with pytest.raises(DataError, match=r"a Jupyter notebook.*nbconvert"):
        own_lines(path)
    table = DataTable(train=str(path))
    with pytest.raises(DataError, match="a Jupyter notebook"):
        read_texts([str(path)], table, ("text",))
    table = DataTable(train=str(path), verbatim=True)
    assert '"nbformat": 4' in (read_texts([str(path)], table, ("text",))[0].text or "")


def test_annotations_of_brat_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.ann").write_text("T1\tPerson 0 3\tEva\nR1\tknows Arg1:T1 Arg2:T1\n")
    with pytest.raises(DataError, match=r"annotations of brat.*anntoconll.*\{\"text\""):
        own_lines(tmp_path / "a.ann")
    (tmp_path / "b.ann").write_text("Eva\tPER\n")
    assert own_lines(tmp_path / "b.ann") == ["Eva\tPER"]


@pytest.mark.parametrize("content", ["", "\n", "  \r\n"])
def test_an_empty_file_is_called_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=r"a\.csv is empty"):
        refuse_nothing(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content.encode()))
    with pytest.raises(DataError, match="is empty"):
        refuse_nothing(tmp_path / "a.csv.gz")
    (tmp_path / "a.csv").write_text("x")
    refuse_nothing(tmp_path / "a.csv")
    refuse_nothing(tmp_path)
    with pytest.raises(DataError, match="There is no file"):
        refuse_nothing(tmp_path / "b.csv")
