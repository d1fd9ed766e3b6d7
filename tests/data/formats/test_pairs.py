"""Test users' pairs: detected, read, and refused with file and line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from triptych.data.formats.foreign.own_lines import own_file
from triptych.data.formats.pairs import Files, read
from triptych.data.formats.table_format import described, sniff
from triptych.errors import DataError


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    raw = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def pairs(files: Files) -> list[tuple[str | None, str | None]]:
    return [(example.source, example.target) for example in read(files, "en", "de")]


WANTED = [("A dog, big.", "Ein Hund, groß."), ('He said "hi".', "Er sagte „hallo“.")]


def test_every_format_gives_the_same_pairs(tmp_path: Path) -> None:
    plain = "\n".join("\t".join(pair) for pair in WANTED) + "\n"
    csv = 'source,target\n"A dog, big.","Ein Hund, groß."\n"He said ""hi"".",Er sagte „hallo“.\n'
    jsonl = (
        '{"source": "A dog, big.", "target": "Ein Hund, groß."}\n{"source": "He said \\"hi\\".", '
        '"target": "Er sagte „hallo“."}\n'
    )
    sides = [
        write(tmp_path, f"a.{side}", "\n".join(pair[n] for pair in WANTED) + "\n")
        for n, side in enumerate(("en", "de"))
    ]
    found = [
        Files(sides[0], sides[1]),
        Files(write(tmp_path, "a.tsv", plain)),
        Files(
            write(tmp_path, "b.tsv", "target\tsource\n" + "\n".join(f"{t}\t{s}" for s, t in WANTED))
        ),
        Files(write(tmp_path, "a.csv", csv)),
        Files(write(tmp_path, "a.jsonl", jsonl)),
        Files(write(tmp_path, "z.tsv.gz", plain)),
        Files(write(tmp_path, "pairs", plain)),
    ]
    for files in found:
        assert pairs(files) == WANTED, files


def test_what_was_sniffed_is_echoed(tmp_path: Path) -> None:
    notices: list[str] = []
    read(Files(write(tmp_path, "a.tsv", "a\tb\n\tc\n")), report=notices.append)
    assert notices[0] == "a.tsv: TSV, columns 1, 2, 2 lines, UTF-8"
    assert "1 pair with an empty side is left out" in notices[1]
    path = write(tmp_path, "x.txt", "one\ntwo\n")
    assert described(sniff(path), own_file(path)) == "x.txt: plain text, 2 lines, UTF-8"


def test_which_of_more_columns_are_taken_is_said(tmp_path: Path) -> None:
    notices: list[str] = []
    read(Files(write(tmp_path, "c.csv", "dog,Hund,one\ncat,Katze,two\n")), report=notices.append)
    assert (
        "no columns are called source, target; the first 2 of 3 are taken (source 'dog', "
        "target 'Hund')"
    ) in notices[1]
    three = write(tmp_path, "a.csv", "id,English,German\n7,dog,Hund\n")
    assert [(one.source, one.target) for one in read(Files(three))] == [("dog", "Hund")]
    read(Files(three, fields=("English", "German")), report=notices.clear() or notices.append)
    read(Files(write(tmp_path, "b.csv", "dog,Hund\n")), report=notices.append)
    assert len(notices) == 2 and not any("taken" in one for one in notices)


def test_a_gzip_file_damaged_in_its_middle_is_named(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress("".join(f"{n * n}\t{n}\n" for n in range(999)).encode()))
    raw[len(raw) // 2] ^= 0xFF
    (tmp_path / "a.tsv.gz").write_bytes(raw)
    with pytest.raises(DataError, match=r"a\.tsv\.gz is not a whole gzip file"):
        read(Files(tmp_path / "a.tsv.gz"))


def test_only_newlines_end_lines(tmp_path: Path) -> None:
    files = Files(
        write(tmp_path, "a.en", "one\u2028two\x0b\r\nthree\n"),
        write(tmp_path, "a.de", "eins\u0085\ndrei\n"),
    )
    assert pairs(files) == [("one\u2028two", "eins"), ("three", "drei")]


@pytest.mark.parametrize(
    "name,content,message",
    [
        ("bad.tsv", b"a\tb\nc\xff\td\n", r"bad\.tsv:2: byte 0xFF is not UTF-8"),
        ("short.tsv", "a\tb\nc\n", r"short\.tsv:2: 1 column"),
        ("bad.jsonl", '{"source": "a", "target": "b"}\n{"source"\n', r"bad\.jsonl:2: not JSON"),
        (
            "key.jsonl",
            '{"source": "a", "text": "b"}\n',
            r"key\.jsonl:1: the key 'target' is missing",
        ),
        ("list.jsonl", "[1]\n", r"list\.jsonl:1: expected a JSON object, got a list"),
        (
            "number.jsonl",
            '{"source": "a", "target": 3}\n',
            r"number\.jsonl:1: 'target' must be a text, got 3",
        ),
        (
            "half.jsonl",
            '{"source": "\\ud83d", "target": "b"}\n',
            r"half\.jsonl:1: 'source' holds half a character",
        ),
        ("deep.jsonl", '{"source": ' + "[" * 100_000, r"deep\.jsonl:1: not JSON"),
        (
            "wide.tsv",
            "a\tb\n".encode("utf-16-le"),
            r"wide\.tsv:1: many bytes are zero.*--encoding utf-16-le ",
        ),
        ("torn.tsv", "a\tb\nc\td".encode("utf-16")[:-1], r"torn\.tsv:2: .*utf-16 by its first"),
        ("none.csv", "source target\na b\n", r"none\.csv:1: 1 column.* with a comma between"),
        ("quote.csv", 'source,target\n"a"b,c\n', r"quote\.csv:2: not CSV"),
        ("torn.tsv.gz", None, r"torn\.tsv\.gz is not a whole gzip file"),
    ],
)
def test_what_is_broken_is_named(
    tmp_path: Path, name: str, content: str | bytes | None, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"a\tb\n" * 50)[:20]) if content is None else write(
        tmp_path, name, content
    )
    with pytest.raises(DataError, match=message):
        read(Files(path))


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    csv = write(tmp_path, "a.csv", "\nid,German,English\n7,Hund,dog\n8,Katze,cat\n")
    assert pairs(Files(csv, fields=("english", "german"))) == [("dog", "Hund"), ("cat", "Katze")]
    # by number, without a header
    assert pairs(Files(csv, fields=("3", "2")))[1:] == [("dog", "Hund"), ("cat", "Katze")]
    # by the languages read
    assert pairs(Files(write(tmp_path, "b.tsv", "de\ten\nHund\tdog\n"))) == [("dog", "Hund")]
    assert pairs(Files(write(tmp_path, "b.jsonl", '{"de": "Hund", "en": "dog"}\n'))) == [
        ("dog", "Hund")
    ]
    with pytest.raises(
        DataError, match=r"has no column 'text'. Its first line has: id, German, English"
    ):
        read(Files(csv, fields=("text", "german")))


def test_quoted_newlines_stay_in_their_cell(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'source,target\n"one\ntwo",eins\n\nthree,drei\n')
    assert [(one.source, one.place) for one in read(Files(path))] == [
        ("one\ntwo", "a.csv:2"),
        ("three", "a.csv:5"),
    ]


def test_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    for name in ("a.tsv", "a.csv", "a.jsonl"):
        assert read(Files(write(tmp_path, name, ""))) == []
    assert read(Files(write(tmp_path, "a.en", ""), write(tmp_path, "a.de", ""))) == []


def test_unequal_and_missing_files(tmp_path: Path) -> None:
    files = Files(write(tmp_path, "a.en", "one\ntwo\n"), write(tmp_path, "a.de", "eins\n"))
    with pytest.raises(DataError, match="has 2 lines and .* has 1"):
        read(files)
    with pytest.raises(DataError, match=r"no file .*missing\.en"):
        read(Files(tmp_path / "missing.en", tmp_path / "a.de"))
    with pytest.raises(DataError, match="is a folder"):
        read(Files(tmp_path))


def test_a_line_of_a_hundred_thousand_words_is_left_out_and_said(tmp_path: Path) -> None:
    notices: list[str] = []
    files = Files(
        write(tmp_path, "a.en", "word " * 100_000 + "\nshort\n"),
        write(tmp_path, "a.de", "lang\nkurz\n"),
    )
    assert [example.source for example in read(files, report=notices.append)] == ["short"]
    assert "1 pair with a line over 20,000 characters" in notices[-1]
