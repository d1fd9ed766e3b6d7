"""Test whether the quotation marks of a TSV are a spreadsheet's or the text's."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from triptych.data.formats.columns import needs_of
from triptych.data.formats.columns import read as read_columns
from triptych.data.formats.pairs import Files, read
from triptych.data.formats.quoting import quoting
from triptych.data.formats.table_format import sniff
from triptych.data.table import DataTable
from triptych.data.validation.columns import check

PAIRS = [
    ('He said "hi".', "Er sagte hallo."),
    ("Two\nlines", "Zwei\nZeilen"),
    ("a\ttab", "ein Tab"),
    ('"', "ein Zeichen"),
    ("plain, so", "einfach"),
    ("5 inches", "12,7 cm"),
]


def written(rows: list[tuple[str, ...]], mode: int) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="\n", quoting=mode).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("mode", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("head", [[], [("source", "target")]])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_pandas_and_spreadsheets_write_is_read_back(
    mode: int, head: list[tuple[str, str]], ends: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(written([*head, *PAIRS], mode).replace("\n", ends).encode())
    notices: list[str] = []
    found = read(Files(path), report=notices.append)
    assert [
        (one.source, one.target) for one in found
    ] == PAIRS and "TSV quoted as CSV is" in notices[0]
    assert found[2].place == f"a.tsv:{5 + len(head)}"


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tlabel\n"one\ntwo"\tx\nthree\ty\n"say ""so"""\tx\n')
    found = read_columns([str(tmp_path / "a.tsv")], DataTable(), ("text", "label"))
    assert [(one.text, one.place) for one in found] == [
        ("one\ntwo", "a.tsv:2"),
        ("three", "a.tsv:4"),
        ('say "so"', "a.tsv:5"),
    ]
    assert needs_of(tmp_path / "a.tsv") == ("text", "label")


@pytest.mark.parametrize(
    "content",
    [
        '"Hello," he said.\tHallo.\nGo.\tGeh.\n',  # a text that begins with a mark
        'He said "hi".\tEr sagte „hallo“.\n',  # or holds one
        # a quotation over two sentences, one side with other marks
        '"I see.\tIch sehe.\nGo on."\tWeiter.\n',
        '"Yes."\tJa.\nGo.\tGeh.\n',  # a whole text in marks
        '"Yes, sir."\t"Ja, Herr."\nGo, go.\tGeh.\n',
        '"a" b\t"c"\n"d"\t"e ""f"""\n',  # one cell is at odds with quoting
        "",
    ],
)
def test_marks_of_the_text_stay(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(content)
    assert not sniff(tmp_path / "a.tsv").quoted
    wanted = [tuple(line.split("\t")) for line in content.splitlines()]
    assert [(one.source, one.target) for one in read(Files(tmp_path / "a.tsv"))] == wanted


def test_columns_quoted_throughout_and_cells_with_commas() -> None:
    # R, LibreOffice
    assert quoting(["id\ttext", *(f'{n}\t"text {n}"' for n in range(4))]) == (True, 0)
    assert quoting(['"one, two"\tx', '"three, four"\ty', "five\ty"]) == (True, 0)  # Excel
    assert quoting(["1\tno mark"] * 3) == (False, 0)


def test_a_line_at_odds_with_the_quoting_before_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"say ""a"""\tx\n"say ""b"""\ty\n"open\tx\n')
    found = [
        one
        for one in check({"train": [str(path)]}, ("text", "label")).problems
        if "quotation marks" in one.reason
    ]
    assert [one.place for one in found] == [f"{path}:4"]
