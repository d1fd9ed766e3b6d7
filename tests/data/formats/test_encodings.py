"""Test encodings: the advised one reads the file, a given one is kept, a wrong one is named."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from triptych.data.batches.streaming import Corpus
from triptych.data.formats.columns import read as read_columns
from triptych.data.formats.encodings import guessed, known
from triptych.data.formats.lines import decode_lines, lines_of
from triptych.data.formats.pairs import Files
from triptych.data.formats.pairs import read as read_pairs
from triptych.data.formats.texts import read as read_texts
from triptych.data.load import fitting, load_split
from triptych.data.table import DataTable
from triptych.data.validation import columns as check_columns
from triptych.data.validation.pairs import readable
from triptych.errors import DataError, UsageError

WRITTEN = {
    "cp1252": [
        "She’s away – déjà vu",
        "Er läuft über die Brücke",
        "señora Núñez",
        "“Yes”…",
        "“No”",
        "It’s “fine” – naïve",
        "Gemäß § 5 kostet es 20 €",
        "mañana, ¿qué?",
        "Blåbær på øya",
    ],
    "gb18030": ["这本书很有意思", "价格太高了，不买。", "我"],
    "big5": ["這本書很有意思", "價格太高了，不買。"],
    "cp932": ["この本はおもしろいです", "ホテル"],
    "euc-jp": ["この本はおもしろいです。駅まで歩きます。"],
    "cp949": ["이 책은 재미있어요. 값이 너무 비싸요."],
    "cp1251": ["Эта книга очень интересная", "Цена слишком высока"],
    "cp1250": ["Tato kniha je velmi zajímavá, příště znovu", "Książka jest już droższa niż"],
    "iso8859-15": ["C’est très cher, 10 €, mais le cœur".replace("’", "'")],
    "cp1254": ["Adınız ne? Ayşe’yi gördünüz mü"],
    "cp1257": ["Rytoj bus saulėta, šiandien lyja"],
    "mac-roman": ["She’s naïve, déjà vu"],
    "koi8-r": ["Эта книга очень интересная, и цена невысока, но читать её долго."],
    "cp1253": ["Το βιβλίο είναι πολύ ενδιαφέρον"],
    "utf-16-le": ["The ferry leaves.", "这本书很有意思\n好"],
    "utf-16-be": ["The ferry leaves."],
    "utf-32-le": ["The ferry leaves."],
    "utf-32-be": ["Fähre"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in WRITTEN.items() for text in texts]
)
def test_the_advised_encoding_reads_the_file(name: str, text: str) -> None:
    raw = f"plain\n{text}\n".encode(name)
    with pytest.raises(DataError, match=r"my\.txt:\d+: ") as caught:
        decode_lines(raw, "my.txt")
    advised = re.search(r"--encoding (\S+) \(", str(caught.value))
    assert advised is not None and advised[1] == name
    assert decode_lines(raw, "my.txt", encoding=advised[1]) == ["plain", *text.split("\n")]
    assert text.split("\n")[0][:20] in str(caught.value) or name.startswith("utf")


@pytest.mark.parametrize("name", ["latin1", "iso-8859-15"])
def test_quotes_of_windows_are_never_advised_as_latin1(name: str) -> None:
    """Bytes 0x80 to 0x9F would become control characters."""
    guess = guessed("façade, naïveté\n".encode(name))
    assert guess is not None and guess.name == "cp1252"
    assert guess.text == "façade, naïveté" and guess.line == 1


def test_damaged_lines_of_utf8_are_no_other_encoding() -> None:
    raw = "crème\nfenêtre\n".encode() + b"br\xfbl\xe9e\n"
    assert guessed(raw) is None
    with pytest.raises(DataError, match=r"a:3: byte 0xFB is not UTF-8\. Correct the line or"):
        decode_lines(raw, "a")


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-32", "utf-32-be", "utf-8-sig"])
def test_files_with_a_byte_order_mark_need_no_name(name: str, tmp_path: Path) -> None:
    text = "schöne\r\nGrüße\u2028 hier\n"
    raw = text.encode(name) if name in ("utf-16", "utf-32", "utf-8-sig") else (
        "\ufeff" + text
    ).encode(name)  # fmt: skip
    (tmp_path / "a.txt").write_bytes(raw)
    assert lines_of(tmp_path / "a.txt") == ["schöne", "Grüße\u2028 hier"]
    (tmp_path / "a.tsv").write_bytes(("\ufeff" if name.endswith("e") else "").encode(name) + (
        "text\tlabel\nschön\tgut\nmies\tschlecht\n".encode(name)
    ))  # fmt: skip
    report = check_columns.check({"train": [str(tmp_path / "a.tsv")]}, ("text", "label"))
    assert {one.severity for one in report.problems} == {"warning"} and report.pairs["train"] == 2


def test_a_name_is_checked() -> None:
    assert known("Windows-1252") == "cp1252" and known("GBK") == "gbk" and known("utf8")
    with pytest.raises(UsageError, match="Unknown encoding 'cp1525'. Did you mean 'cp125"):
        known("cp1525")
    for name in ("rot13", "hex", "idna", "unicode_escape", "utf-7", "undefined"):
        with pytest.raises(UsageError, match=f"--encoding {name} is not an encoding of text"):
            known(name)
    with pytest.raises(UsageError, match="Unknown encoding"):
        known("a\0b")


@pytest.mark.parametrize(
    ("name", "wrong", "line"),
    [
        ("cp1252", "ascii", 2),
        ("cp1252", "gb18030", 2),
        ("cp1252", "utf-8", 2),
        ("big5", "ascii", 2),
    ],
)
def test_bytes_of_another_encoding_are_named(name: str, wrong: str, line: int) -> None:
    text = "plain\nÇa là" if name == "cp1252" else "plain\n這本書很有意思"
    with pytest.raises(DataError, match=rf"a\.txt:{line}: byte 0x.* --encoding {name} "):
        decode_lines(text.encode(name), "a.txt", encoding=wrong)


def test_a_recipe_keeps_its_encoding(tmp_path: Path) -> None:
    pairs = "".join(f"Straße {number}\tstreet {number}\n" for number in range(60))
    path = tmp_path / "a.tsv"
    path.write_bytes(pairs.encode("cp1252"))
    data = DataTable(train=str(path), encoding="cp1252")
    found = load_split(data, "train", None)
    assert found[0].source == "Straße 0" and len(found) > 50
    with pytest.raises(DataError, match="--encoding cp1252"):
        load_split(DataTable(train=str(path)), "train", None)
    with pytest.raises(UsageError, match=r"data\.encoding .* of your own files.* set sst2"):
        load_split(DataTable(set="sst2", encoding="cp1252"), "train", None, ("text", "label"))
    # Another file of the run may be UTF-8.
    (tmp_path / "b.tsv").write_text("Straße\tstreet\n", encoding="utf-8")
    assert fitting(data, [str(tmp_path / "b.tsv")]).encoding is None
    assert fitting(data, [str(path)]).encoding == "cp1252"


def test_streamed_texts_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Müde.\n\nÄhren.\n".encode("cp1252"))
    data = DataTable(train=str(path), encoding="cp1252", stream=True)
    assert [one.text for _, one in Corpus(data).texts()] == ["Müde.", "Ähren."]
    assert [one.text for one in read_texts([str(path)], data, ("text",))] == ["Müde.", "Ähren."]
    path.write_bytes("Müde.\n".encode("utf-16"))
    for encoding in (None, "utf-16"):
        table = DataTable(train=str(path), encoding=encoding, stream=True)
        with pytest.raises(DataError, match=r"line by line, which utf-16 does not allow"):
            list(Corpus(table).texts())


def test_text_that_was_decoded_as_latin1_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Don\u0092t go\nfine\n", encoding="utf-8")
    found: list = []
    assert readable(tmp_path / "a.txt", found)
    (problem,) = found
    assert problem.place.endswith("a.txt:1") and problem.severity == "warning"
    assert problem.reason.startswith("control character: U+0092 at column 4, as in Windows-1252")
    assert "where it is '’'" in problem.reason and "no --encoding mends it" in problem.reason
    (tmp_path / "a.txt").write_bytes(b"Don\x92t go\nfine\n")
    found.clear()
    assert not readable(tmp_path / "a.txt", found)
    assert "bad UTF-8: byte 0x92" in found[0].reason and "--encoding cp1252" in found[0].reason
    found.clear()
    assert readable(tmp_path / "a.txt", found, "cp1252") and not found
    assert readable(tmp_path / "a.txt", found, "latin1")  # the user's own --encoding is the cause
    assert found[0].reason.endswith("Read it with --encoding cp1252")


def test_only_the_first_control_character_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("caf\u00e9 \u0085\nb \u0093\nc \u0081\n", encoding="utf-8")
    found: list = []
    assert readable(tmp_path / "a.txt", found)
    assert [one.place.rsplit(":")[-1] for one in found] == ["1", "2", "3"]
    assert ["--encoding" in one.reason for one in found] == [True, False, False]
    assert found[2].reason == "control character: U+0081 at column 3"  # nothing in cp1252


ROWS = "text,label\nCaf\u00e9,a\nTea,b\n"


@pytest.mark.parametrize(
    ("written", "given", "said"),
    [
        ("utf-8", None, "UTF-8"),
        ("utf-8-sig", "utf8", "UTF-8"),
        ("cp1252", "cp1252", "cp1252"),
        ("utf-16", None, "UTF-16"),
        ("utf-32", None, "UTF-32"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_the_notice_says_in_which_encoding_a_file_was_read(
    tmp_path: Path, written: str, given: str | None, said: str, name: str
) -> None:
    raw = ROWS.encode(written)
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    notices: list[str] = []
    table = DataTable(train=str(path), encoding=given)
    read_columns([str(path)], table, ("text", "label"), notices.append)
    assert notices[0] == f"{name}: CSV, columns text, label, 2 lines, {said}"
    notices.clear()
    (tmp_path / "a.txt").write_bytes(raw)
    read_texts([str(tmp_path / "a.txt")], table, ("text",), notices.append)
    assert notices[0].startswith(f"a.txt: plain text, 3 lines, {said}; 1 text")
    notices.clear()
    read_pairs(Files(tmp_path / "a.txt", tmp_path / "a.txt", encoding=given), report=notices.append)
    assert notices[0] == f"a.txt: plain text, 3 lines, {said}"


def test_records_of_what_is_no_text_file_are_counted(tmp_path: Path) -> None:
    """Neither lines nor an encoding are said of a workbook, of a folder and of another tool."""
    for label in ("a", "b"):
        (tmp_path / "texts" / label).mkdir(parents=True)
        (tmp_path / "texts" / label / "1.txt").write_text("Two\nlines")
    (tmp_path / "a.json").write_text('{"data": [{"text": "One", "label": "a"}]}')
    book = pytest.importorskip("openpyxl").Workbook()
    for row in (("text", "label"), ("One\ntwo", "a"), (None, None), ("Three", "b")):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    for name, count in (("texts", 2), ("a.json", 1), ("a.xlsx", 2)):
        notices: list[str] = []
        path = str(tmp_path / name)
        read_columns([path], DataTable(train=path), ("text", "label"), notices.append)
        records = "1 record" if count == 1 else f"{count} records"
        assert notices[1].startswith(f"{name}: {records}, columns text, label"), notices
        assert not any("UTF-8" in one or " lines" in one for one in notices)
