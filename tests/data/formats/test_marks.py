"""Test that byte order marks inside joined files are not text, and are counted and listed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from triptych.data.batches.streaming import Corpus
from triptych.data.example import Example
from triptych.data.formats.lines import lines_of
from triptych.data.formats.pairs import read
from triptych.data.load import files_of, reader_of
from triptych.data.table import DataTable
from triptych.data.validation.pairs import readable

MARK = "\ufeff"
TREE = "1\tAnn\t_\tPROPN\t_\t_\t0\troot\t_\t_\n\n"
TURNS = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
ASKED = {"question": "Who?", "passage": "Ann sings.", "answers": ["Ann"]}
KINDS: list[tuple[str, tuple[str, ...], str]] = [  # file, what is learnt from it, one record
    ("a.conll", ("text", "words", "tags"), "Ann B-PER\nsings O\n\n"),
    ("a.conllu", ("text", "words", "upos", "heads", "relations"), TREE),
    ("a.jsonl", ("messages",), json.dumps({"messages": TURNS}) + "\n"),
    ("b.jsonl", ("question", "passage", "answers"), json.dumps(ASKED) + "\n"),
    ("a.txt", ("text",), "Ann sings.\n\n"),
    ("c.jsonl", ("text",), '{"text": "Ann sings."}\n'),
    ("d.txt", ("text", "words", "tags"), "Ann|B-PER sings|O\n"),
    ("d.jsonl", ("text", "words", "tags"), '{"text": "Ann sings", "spans": [[0, 3, "PER"]]}\n'),
    ("a.tsv", ("text", "label"), "Ann sings.\tgood\n"),
    ("a.csv", ("source", "target", "references"), '"Ann, sings.",Ann.\n'),
]


def read_all(path: Path, needs: Sequence[str], notices: list[str]) -> list[Example]:
    return reader_of(needs)([str(path)], DataTable(train=str(path)), needs, notices.append)


@pytest.mark.parametrize(("name", "needs", "record"), KINDS, ids=[name for name, *_ in KINDS])
def test_every_reader_leaves_marks_out(
    tmp_path: Path, name: str, needs: tuple[str, ...], record: str
) -> None:
    path, notices = tmp_path / name, list[str]()
    path.write_text(MARK + record + MARK + record + MARK, encoding="utf-8")
    first, second = read_all(path, needs, notices)
    assert MARK not in repr((first, second)) and "\\ufeff" not in repr((first, second))
    first.place = second.place = ""
    assert first == second
    lines = [record.count("\n") + 1, 2 * record.count("\n") + 1]
    if name != "b.jsonl":
        assert any(
            f"2 byte order marks inside the file (the first in line {lines[0]})" in one
            for one in notices
        ), notices
    found = []
    assert readable(path, found)
    assert [(one.place, one.reason.split(":")[0], one.severity) for one in found] == [
        (f"{path}:{line}", "byte order mark", "warning") for line in lines
    ]


def test_marks_within_a_line_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        f"{MARK}{MARK}one\nt{MARK}wo{MARK}\n{MARK}\r\n", encoding="utf-8"
    )
    notices: list[str] = []
    assert lines_of(tmp_path / "a.txt", notices.append) == ["one", f"t{MARK}wo{MARK}", ""]
    assert notices == [
        (
            f"{tmp_path / 'a.txt'}: a byte order mark inside the file (in line 3), where files "
            "were joined; left out."
        )
    ]


def test_marks_part_no_aligned_files(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text(f"one\n{MARK}two\n{MARK}", encoding="utf-8")
    (tmp_path / "a.de").write_text("eins\nzwei\n", encoding="utf-8")
    found = read(files_of([str(tmp_path / "a.en"), str(tmp_path / "a.de")]))
    assert [(one.source, one.target) for one in found] == [("one", "eins"), ("two", "zwei")]


def test_marks_in_a_streamed_set(tmp_path: Path) -> None:
    path, notices = tmp_path / "a.txt", list[str]()
    path.write_text(f"one\n\n{MARK}two\n", encoding="utf-8")
    corpus = Corpus(DataTable(train=str(path), validation="v", test="t"), notices.append)
    assert [one.text for one in corpus.samples["train"].kept] == ["one", "two"]
    assert "a byte order mark inside the file (in line 3)" in notices[0]


def test_a_mark_alone_ends_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text(f"Ann\tB-PER\nsings\tO\n{MARK}\nBob\tB-PER\n{MARK}\n", encoding="utf-8")
    assert [one.text for one in read_all(path, ("text", "words", "tags"), [])] == [
        "Ann sings",
        "Bob",
    ]
