"""Test what is indexed: tables and databases, their columns and rows, and what is refused."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import pytest

from triptych.errors import DataError, UsageError
from triptych.inference.retrieval.found import Found
from triptych.inference.retrieval.index import Index
from triptych.inference.retrieval.sources import Piece, Source, files_of
from triptych.inference.retrieval.updating import update


def pieces(source: Source) -> list[Piece]:
    (one,) = files_of(source, lambda text: None)
    return one.pieces()


def first(source: Source, out: Path, question: str) -> Found:
    update(source, out)
    return Index.open(out).search(question)[0]


def test_passages_of_a_file_have_their_line_and_characters(tmp_path: Path) -> None:
    text = "Ada met\r\nBabbage.\r\n\r\n" + "文" * 30 + "。\n\nTuring slept.\n"
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    found = pieces(Source(tmp_path / "a.txt.gz", longest=32))
    assert len(found) == 3
    for one in found:
        assert text[one.start : one.start + len(one.text)] == one.text
        assert one.line == text.count("\n", 0, one.start) + 1


def test_rows_of_a_table_are_passages(tmp_path: Path) -> None:
    table = tmp_path / "faq.csv"
    table.write_text(
        'Id,Question,Answer\n1,Who?,"Ada,\nthe first"\n2,When?,In 1843.\n3,Why?,\n',
        encoding="utf-8",
    )
    named = Source(table, columns={"text": "Answer"})
    assert [(one.line, one.start, one.text) for one in pieces(named)] == [
        (2, 0, "Ada,\nthe first"),
        (4, 0, "In 1843."),
    ]
    both = Source(table, columns={"text": "Question", "text_pair": "Answer"})
    assert pieces(both)[1].text == "When?\nIn 1843."
    found = first(named, tmp_path / "index", "1843")
    assert (found.file, found.line, found.start) == ("faq.csv", 4, 0)


def test_a_long_row_is_several_passages_of_one_line(tmp_path: Path) -> None:
    table = tmp_path / "a.jsonl"
    table.write_text(json.dumps({"text": "One here. Two there."}) + "\n")
    found = pieces(Source(table, longest=12))
    assert [(one.line, one.start, one.text) for one in found] == [
        (1, 0, "One here. "),
        (1, 10, "Two there."),
    ]


def test_columns_and_encodings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": 5}\n')
    with pytest.raises(DataError, match="a.jsonl:1: 'text' must be a text"):
        update(Source(tmp_path / "a.jsonl"), tmp_path / "index")
    assert not (tmp_path / "index").exists()
    (tmp_path / "b.csv").write_bytes(b"text,n\ncaf\xe9,1\nth\xe9,2\n")
    with pytest.raises(DataError, match="b.csv:2: byte 0xE9"):
        pieces(Source(tmp_path / "b.csv", columns={"text": "text"}))
    read = pieces(Source(tmp_path / "b.csv", columns={"text": "text"}, encoding="cp1252"))
    assert [one.text for one in read] == ["café", "thé"]
    with pytest.raises(UsageError, match="Unknown field 'label'"):
        files_of(Source(tmp_path / "a.jsonl", columns={"label": "text"}), print)
    (tmp_path / "c.txt").write_text("text")
    with pytest.raises(UsageError, match="--columns names columns of a table"):
        files_of(Source(tmp_path / "c.txt", columns={"text": "1"}), print)
    with pytest.raises(UsageError, match="--query reads an SQLite database"):
        files_of(Source(tmp_path / "c.txt", query="SELECT 1"), print)


# SQLite -------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "notes.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE notes (id INTEGER, body TEXT, raw BLOB)")
        rows = [(1, "Ada met Babbage.", b"x"), (2, None, b"y"), (3, "東京是首都。", b"z")]
        made.executemany("INSERT INTO notes VALUES (?, ?, ?)", rows)
    made.close()
    return path


def test_rows_of_a_query_are_passages(database: Path, tmp_path: Path) -> None:
    source = Source(database, query="SELECT body FROM notes ORDER BY id")
    assert [(one.line, one.text) for one in pieces(source)] == [
        (1, "Ada met Babbage."),
        (3, "東京是首都。"),
    ]
    found = first(source, tmp_path / "index", "首都在哪裡？")
    assert (found.file, found.line) == ("notes.sqlite", 3)
    assert update(source, tmp_path / "index").unchanged == 1
    with sqlite3.connect(database) as held:
        held.execute("UPDATE notes SET body = 'Turing slept.' WHERE id = 3")
    held.close()
    changes = update(source, tmp_path / "index")
    assert (changes.changed, changes.counted) == (1, 1)


def test_columns_of_a_query_are_named(database: Path) -> None:
    query = "SELECT id, body FROM notes"
    with pytest.raises(UsageError, match="gives the columns id, body. Select one of them"):
        files_of(Source(database, query=query), print)
    for given in ("body", "2"):
        assert pieces(Source(database, columns={"text": given}, query=query))[0].text[:3] == "Ada"
    both = Source(database, columns={"text": "id", "text_pair": "body"}, query=query)
    assert pieces(both)[0].text == "1\nAda met Babbage."
    with pytest.raises(UsageError, match="no column 'name'; it gives id, body"):
        files_of(Source(database, columns={"text": "name"}, query=query), print)
    named = Source(database, query="SELECT id, body AS text FROM notes")
    assert pieces(named)[0].text == "Ada met Babbage."


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT x FROM notes", "no such column"),
        ("DELETE FROM notes", "readonly database"),
        ("CREATE TABLE x (y)", "readonly database"),
        ("SELECT raw FROM notes", "row 1: the column raw holds bytes"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
    ],
)
def test_a_database_is_only_read(database: Path, query: str, said: str) -> None:
    before = database.read_bytes()
    with pytest.raises(DataError, match=said):
        files_of(Source(database, query=query), print)
    assert database.read_bytes() == before


def test_a_database_needs_a_query(database: Path) -> None:
    with pytest.raises(UsageError, match="is an SQLite database: say what is indexed"):
        files_of(Source(database), print)
    with pytest.raises(UsageError, match="gives no rows"):
        files_of(Source(database, query="BEGIN"), print)
