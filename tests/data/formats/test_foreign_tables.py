"""Test files of translators and of spreadsheets: TMX, XLIFF, .xlsx."""

from __future__ import annotations

import gzip
import io
import json
import sys
import zipfile
from datetime import date, datetime, time
from pathlib import Path

import pytest

from triptych.data.formats.columns import read as read_columns
from triptych.data.formats.foreign.own_lines import own_lines
from triptych.data.formats.pairs import Files, read
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.data.validation.pairs import check
from triptych.errors import DataError, UsageError

pytest.importorskip("defusedxml")
openpyxl = pytest.importorskip("openpyxl")


def unit(*texts: tuple[str, str]) -> str:
    variants = "".join(f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in texts)
    return f"<tu>{variants}</tu>\n"


def tmx(*units: str, head: str = '<?xml version="1.0" encoding="utf-8"?>\n') -> str:
    return (
        f'{head}<tmx version="1.4"><header srclang="de-DE"/>\n<body>\n{"".join(units)}</body></tmx>'
    )


MEMORY = tmx(
    unit(("en-US", "The <bpt i='1'>&lt;b&gt;</bpt>old<ept i='1'>&lt;/b&gt;</ept> ship."),
         ("de-DE", "Das\n   alte Schiff."), ("fr-FR", "Le vieux navire.")),
    unit(("en-US", "Only <hi>English</hi>.")),
    unit(("en-US", "Bread &amp; salt."), ("de-DE", "Brot &amp; Salz.<ph>{1}</ph>")),
)  # fmt: skip


def pairs(path: Path, source: str | None = None, target: str | None = None, notices=None):
    said = notices if notices is not None else []
    files = Files(path, languages=(source, target))
    return [(one.source, one.target) for one in read(files, source, target, said.append)]


@pytest.mark.parametrize("name", ["a.tmx", "a.tmx.gz"])
def test_a_memory_is_read_by_languages(tmp_path: Path, name: str) -> None:
    path, raw = tmp_path / name, MEMORY.encode()
    path.write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    notices: list[str] = []
    assert pairs(path, "en", "de", notices) == [
        ("The old ship.", "Das alte Schiff."),
        ("Bread & salt.", "Brot & Salz."),
    ]
    assert "read as a translation memory (TMX); a number after its name counts" in notices[0]
    assert "1 record left out, a text in one language only: unit 2." in notices[1]
    assert pairs(path, "fr", "en-US") == [("Le vieux navire.", "The old ship.")]
    with pytest.raises(DataError, match="there are de-DE, en-US, fr-FR"):
        pairs(path)
    with pytest.raises(DataError, match="there are de-DE, en-US, fr-FR"):
        pairs(path, "en", "es")
    report = check({"train": Files(path, languages=("en", "de"))})
    assert report.pairs == {"train": 2} and not any(
        one.severity == "error" for one in report.problems if "empty" not in one.reason
    )


def test_two_languages_need_no_names_and_the_source_comes_first(tmp_path: Path) -> None:
    both = tmx(unit(("en", "One."), ("de-DE", "Eins.")))
    (tmp_path / "a.tmx").write_text(both)
    assert pairs(tmp_path / "a.tmx") == [("Eins.", "One.")]
    assert pairs(tmp_path / "a.tmx", "en-GB", "de") == [("One.", "Eins.")]


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "windows-1252", "utf-8-sig"])
def test_xml_names_its_own_encoding(tmp_path: Path, encoding: str) -> None:
    head = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>\n'
    content = tmx(unit(("en", "café"), ("de", "Müsli")), head=head)
    (tmp_path / "a.tmx").write_bytes(content.encode(encoding))
    assert pairs(tmp_path / "a.tmx", "en", "de") == [("café", "Müsli")]
    report = check({"train": Files(tmp_path / "a.tmx", languages=("en", "de"))})
    assert not report.problems


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (MEMORY[:-30], r"a\.tmx:\d+: not whole XML"),
        (tmx().replace("tmx", "html"), "a.tmx is not TMX: its root is <html>"),
        (tmx(), "is TMX without a text: it has 0 units"),
        (
            tmx(unit(("en", "&x;"), ("de", "y")), head='<!DOCTYPE t [<!ENTITY x "xx">]>\n'),
            "defines entities of its own or refers to other files .*not read",
        ),
        (
            tmx(unit(("en", "&x;"), ("de", "y")),
                head='<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n'),
            "defines entities of its own",
        ),
        (b"<tmx><body>\n<tu>\xe9</tu></body></tmx>", r"a\.tmx:2: byte 0xE9 is not UTF-8"),
    ],
)  # fmt: skip
def test_damaged_and_hostile_memories(tmp_path: Path, content: str | bytes, message: str) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "a.tmx").write_bytes(raw)
    with pytest.raises(DataError, match=message):
        own_lines(tmp_path / "a.tmx")


XLIFF_1 = """<?xml version="1.0" encoding="UTF-8"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file original="a" source-language="en-US" target-language="de-DE" datatype="html"><body>
<trans-unit id="1"><source>Press <g id="1">Save</g>.<x id="2"/></source>
<target>Drücken Sie <g id="1">Speichern</g>.</target>
<alt-trans><source>Save</source><target>Sichern</target></alt-trans></trans-unit>
<trans-unit id="2"><source>Open</source></trans-unit>
<trans-unit id="3"><source>Close</source><target state="needs-translation">Close</target>
</trans-unit></body></file></xliff>"""
XLIFF_2 = """<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0"
 srcLang="en" trgLang="ja">
<file id="f"><unit id="1"><segment><source>Hello <pc id="1">you</pc></source>
<target>こんにちは</target></segment><segment state="initial"><source>Bye</source>
<target>Bye</target></segment></unit></file></xliff>"""


def test_xliff_of_both_versions(tmp_path: Path) -> None:
    (tmp_path / "a.xlf").write_text(XLIFF_1, encoding="utf-8")
    notices: list[str] = []
    for languages in ((None, None), ("en", "de")):
        found = pairs(tmp_path / "a.xlf", *languages, notices)
        assert found == [("Press Save.", "Drücken Sie Speichern.")]
    assert "2 records left out, not translated: unit 2, unit 3." in " ".join(notices)
    assert pairs(tmp_path / "a.xlf", "de", "en") == [("Drücken Sie Speichern.", "Press Save.")]
    (tmp_path / "b.xliff").write_text(XLIFF_2, encoding="utf-8")
    assert pairs(tmp_path / "b.xliff") == [("Hello you", "こんにちは")]
    (tmp_path / "c.xlf").write_text(XLIFF_1.replace(' target-language="de-DE"', ""), "utf-8")
    assert pairs(tmp_path / "c.xlf", "en", "de") == [("Press Save.", "Drücken Sie Speichern.")]
    (tmp_path / "d.xlf").write_text("<html/>")
    with pytest.raises(DataError, match="is not XLIFF: its root is <html>"):
        own_lines(tmp_path / "d.xlf")


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_spreadsheet_is_a_table(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "a.xlsx",
        Notes=[["made by", "Ann"]],
        Terms=[
            ["No", "English", "Deutsch", None],
            [1, "A ship, old", "Ein Schiff, alt"],
            [None, None, None],
            [2, 'She said "no"', "Sie sagte „nein“"],
            [3, "empty", None],
        ],
    )
    notices: list[str] = []
    assert pairs(path, "en", "de", notices) == [
        ("A ship, old", "Ein Schiff, alt"),
        ('She said "no"', "Sie sagte „nein“"),
    ]
    said = " ".join(notices)
    assert "read as sheet 'Terms' of an Excel workbook." in said
    assert "its other sheets are not read: 'Notes'." in said
    assert "1 pair with an empty side is left out" in said
    data = DataTable(train=str(path), test=str(path), columns={"source": "3", "target": "English"})
    (first, *_) = load_split(data, "test", None)
    assert (first.source, first.place) == ("Ein Schiff, alt", "a.xlsx:2")


def test_labels_of_a_spreadsheet(tmp_path: Path) -> None:
    rows: list[list[object]] = [["text", "label"], ["two\nlines", True], ["x", 2.0], ["y", None]]
    path = workbook(tmp_path / "a.xlsx", Sheet=rows)
    found = read_columns([str(path)], DataTable(), ("text", "label"))
    assert [(one.text, one.label) for one in found] == [("two\nlines", "TRUE"), ("x", "2")]


def test_cells_are_read_as_they_are_shown(tmp_path: Path) -> None:
    shown: list[tuple[object, str, str]] = [
        (0.1 + 0.2, "General", "0.3"),
        (1234.5, "#,##0.00", "1,234.50"),
        (0.256, "0.0%", "25.6%"),
        (7, "0.00", "7.00"),
        (3.14159, "0.0##", "3.142"),
        (date(2024, 3, 5), "dd.mm.yyyy", "05.03.2024"),
        (datetime(2024, 3, 5, 14, 7, 9), "yyyy-mm-dd hh:mm:ss", "2024-03-05 14:07:09"),
        (datetime(2024, 3, 5, 14, 7), "d/m/yy h:mm AM/PM", "5/3/24 2:07 PM"),
        (time(9, 5), "hh:mm", "09:05"),
        (False, "General", "FALSE"),
        (12345678901, "General", "12345678901"),
    ]
    book = openpyxl.Workbook()
    for row, (value, form, _) in enumerate(shown, 1):
        cell = book.active.cell(row, 1, value)
        cell.number_format = form
        book.active.cell(row, 2, "x")
    book.save(tmp_path / "a.xlsx")
    lines = own_lines(tmp_path / "a.xlsx")
    expected = [f'"{text}",x' if "," in text else f"{text},x" for *_, text in shown]
    assert lines == expected


def test_what_is_no_workbook_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as book:
        book.writestr("a.txt", "x")
    (tmp_path / "a.xlsx").write_bytes(packed.getvalue())
    with pytest.raises(DataError, match=r"a\.xlsx is not a whole Excel workbook"):
        own_lines(tmp_path / "a.xlsx")
    (tmp_path / "a.csv").write_bytes(packed.getvalue())
    with pytest.raises(DataError, match=r"a\.csv is a ZIP archive"):
        own_lines(tmp_path / "a.csv")
    with pytest.raises(DataError, match="without a filled cell"):
        own_lines(workbook(tmp_path / "b.xlsx", Sheet=[[]]))
    path = workbook(tmp_path / "c.xlsx", Sheet=[["a", "b"]])
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match=r"c\.xlsx is not a whole Excel workbook"):
        own_lines(path)
    monkeypatch.setattr("triptych.data.formats.foreign.xlsx.LARGEST_BYTES", 100)
    with pytest.raises(DataError, match="at most 100 are read"):
        own_lines(workbook(tmp_path / "d.xlsx", Sheet=[["a", "b"]]))


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = workbook(tmp_path / "a.xlsx", Sheet=[["a", "b"]])
    (tmp_path / "a.tmx").write_text(MEMORY)
    for module in ("openpyxl", "defusedxml"):
        monkeypatch.setitem(sys.modules, module, None)
    for path, package in ((book, "openpyxl"), (tmp_path / "a.tmx", "defusedxml")):
        with pytest.raises(UsageError, match=rf'{package}.*: pip install "triptych\[files\]"'):
            own_lines(path)


def test_lines_are_our_own_formats(tmp_path: Path) -> None:
    (tmp_path / "a.tmx").write_text(MEMORY)
    lines = own_lines(tmp_path / "a.tmx")
    assert [bool(line) for line in lines] == [True, False, True]
    assert json.loads(lines[2]) == {"de-DE": "Brot & Salz.", "en-US": "Bread & salt.", "fr-FR": ""}
