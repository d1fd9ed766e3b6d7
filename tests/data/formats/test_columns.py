"""Test users' labelled files: detected, read, refused with file and line, checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.data.example import Example
from triptych.data.formats.columns import needs_of, read
from triptych.data.load import load_split, reader_of
from triptych.data.table import DataTable
from triptych.data.validation.columns import check, check_examples, refuse_unseen
from triptych.errors import DataError

SINGLE, PAIR, SEVERAL = ("text", "label"), ("text", "text_pair", "value"), ("text", "labels")


def write(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "Good film\tpos\n很差\tneg\n"),
        ("b.tsv", "label\ttext\npos\tGood film\nneg\t很差\n"),
        ("c.csv", 'Category,id,Text\npos,1,Good film\nneg,2,"很差"\n'),
        ("d.jsonl", '{"text": "Good film", "label": "pos"}\n\n{"label": "neg", "text": "很差"}\n'),
        ("e.txt", "Good film\tpos\n很差\tneg\n"),
    ],
)
def test_columns_are_found_and_echoed(name: str, content: str, tmp_path: Path) -> None:
    notices: list[str] = []
    found = read([write(tmp_path, name, content)], DataTable(), SINGLE, notices.append)
    assert [(one.text, one.label) for one in found] == [("Good film", "pos"), ("很差", "neg")]
    assert name in notices[0] and ("columns" in notices[0]) and found[1].place.split(":")[0] == name
    if name == "d.jsonl":
        assert found[1].place == "d.jsonl:3"


def test_fields_name_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "ham\tHello\t7\nspam\tWin!\t9\n")
    assert [
        (one.text, one.label) for one in read([path], DataTable(fields=["2", "1"]), SINGLE)
    ] == [("Hello", "ham"), ("Win!", "spam")]
    path = write(tmp_path, "b.csv", "kind,body\nham,Hello\n")
    assert read([path], DataTable(fields=["body", "kind"]), SINGLE)[0].text == "Hello"
    with pytest.raises(
        DataError, match=r"b\.csv has no column 'nothing'. Its first line has: kind, body"
    ):
        read([path], DataTable(fields=["nothing", "kind"]), SINGLE)
    with pytest.raises(DataError, match="names 1 column; it must name 2"):
        read([path], DataTable(fields=["body"]), SINGLE)


@pytest.mark.parametrize(
    ("name", "head", "lacks"),
    [("a.csv", "text,target", "label"), ("b.tsv", "id\tcomment\tLabel", "text")],
)
def test_half_a_header_is_no_text(name: str, head: str, lacks: str, tmp_path: Path) -> None:
    sign = "," if name.endswith("csv") else "\t"
    rows = [
        [str(number), f"hello {number}", "ab"[number % 2]][-1 - head.count(sign) :]
        for number in range(9)
    ]
    path = write(tmp_path, name, "".join(f"{line}\n" for line in [head, *map(sign.join, rows)]))
    with pytest.raises(
        DataError, match=rf"{name}:1: this looks like a header .*no column is called {lacks}"
    ):
        read([path], DataTable(), SINGLE)
    named, numbered = head.split(sign)[-2:], [str(head.count(sign)), str(head.count(sign) + 1)]
    assert [one.label for one in read([path], DataTable(fields=named), SINGLE)][:2] == ["a", "b"]
    assert read([path], DataTable(fields=numbered), SINGLE)[0].label == named[1]


def test_several_labels_and_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'one\ta|b\ntwo\t["b", "c"]\nthree\t\n')
    assert [one.labels for one in read([path], DataTable(), SEVERAL)] == [
        ["a", "b"],
        ["b", "c"],
        [],
    ]
    path = write(
        tmp_path, "b.jsonl", '{"text": "one", "labels": ["a"]}\n{"text": "two", "labels": "a|b"}\n'
    )
    assert [one.labels for one in read([path], DataTable(), SEVERAL)] == [["a"], ["a", "b"]]
    path = write(tmp_path, "c.tsv", "one\tother\t2.5\nsame\tsame\t5\n")
    assert [(one.text_pair, one.value) for one in read([path], DataTable(), PAIR)] == [
        ("other", 2.5),
        ("same", 5.0),
    ]


@pytest.mark.parametrize(
    ("name", "content", "needs", "message"),
    [
        ("a.tsv", "x\ta\ny\n", SINGLE, r"a\.tsv:2: 1 column"),
        ("a.tsv", "x\t\ny\t \n", SINGLE, r"a\.tsv:1: the label is missing, here and in all"),
        ("a.tsv", "x\ty\tmuch\n", PAIR, r"a\.tsv:1: the value 'much' is not a number"),
        ("a.tsv", "x\ty\tnan\n", PAIR, r"a\.tsv:1: the value 'nan' is not a number"),
        ("a.tsv", 'x\t["a"\n', SEVERAL, r"a\.tsv:1: the labels .* are not a JSON list"),
        (
            "a.jsonl",
            '{"text": "x", "kind": "a"}\n{"text": "x"}\n',
            SINGLE,
            r"a\.jsonl:1: the key 'label' is missing",
        ),
        (
            "a.jsonl",
            '{"text": 3, "label": "a"}\n',
            SINGLE,
            r"a\.jsonl:1: 'text' must be a text, got 3",
        ),
        ("a.jsonl", '{"text": "x", "label": null}\n', SINGLE, r"a\.jsonl:1: the label is miss"),
        ("a.jsonl", '{"text": "x", "label": {"a": 1}}\n', SINGLE, "the label is an object"),
        (
            "a.jsonl",
            '{"text": "x", "label": Infinity}\n',
            SINGLE,
            "the label is inf; it must be a text",
        ),
        ("a.txt", "only a text\n", SINGLE, r"a\.txt has one text a line"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(
    name: str, content: str, needs: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        read([write(tmp_path, name, content)], DataTable(), needs)


def test_empty_texts_are_counted(tmp_path: Path) -> None:
    notices: list[str] = []
    assert (
        len(read([write(tmp_path, "a.tsv", "x\ta\n \tb\n")], DataTable(), SINGLE, notices.append))
        == 1
    )
    assert "1 line without text is" in notices[-1]


def test_the_reader_goes_by_what_is_learnt(tmp_path: Path) -> None:
    assert reader_of(SINGLE) is read and reader_of(PAIR) is read
    path = write(
        tmp_path, "a.tsv", "".join(f"text {number}\t{number % 2}\n" for number in range(400))
    )
    parts = {
        part: load_split(DataTable(train=path), part, needs=SINGLE)
        for part in ("train", "validation", "test")
    }
    assert all(parts.values()) and sum(map(len, parts.values())) == 400


def test_needs_are_read_off_a_file(tmp_path: Path) -> None:
    assert needs_of(write(tmp_path, "a.csv", "text,label\nx,a\n")) == SINGLE
    assert (
        needs_of(write(tmp_path, "b.jsonl", '{"sentence1": "x", "sentence2": "y", "score": 1}\n'))
        == PAIR
    )
    assert (
        needs_of(write(tmp_path, "c.tsv", "".join(f"t {n}\t{n % 2}\n" for n in range(30))))
        == SINGLE
    )
    assert needs_of(write(tmp_path, "d.tsv", "".join(f"t {n}\tu {n}\n" for n in range(30)))) is None
    assert needs_of(write(tmp_path, "e.txt", "a\nb\n")) is None


def test_check_lists_everything(tmp_path: Path) -> None:
    train = write(
        tmp_path, "train.tsv", "one\ta\nOne!\ta\ntwo\ta\n\tb\nthree\t\nfour\ntwo\tb\nlast\tb\n"
    )
    test = write(tmp_path, "test.tsv", "two\ta\nnew\tc\n")
    report = check({"train": [train], "test": [test]}, SINGLE)
    kinds = {str(one.place).rsplit("/", 1)[1]: one.reason.split(":")[0] for one in report.problems}
    assert kinds == {
        "train.tsv:2": "duplicate",
        "train.tsv:4": "empty text",
        "train.tsv:5": "no label",
        "train.tsv:6": "too few columns",
        "train.tsv:7": "two labels",
        "test.tsv:1": "leak",
        "test.tsv:2": "unseen label",
    }
    assert report.pairs == {"train": 5, "test": 2}


def test_bad_utf8_and_one_label_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"x\ta\n\xff\tb\n")
    assert [
        str(one.place).endswith("a.tsv:2")
        for one in check({"train": [str(tmp_path / "a.tsv")]}, SINGLE).problems
    ] == [True]
    same = [Example(text=str(number), label="a", place=f"a:{number}") for number in range(3)]
    assert [one.reason.split(":")[0] for one in check_examples({"train": same})] == ["one label"]


def test_an_unseen_label_of_the_development_data_is_refused() -> None:
    train = [Example(text="x", label="sports"), Example(text="y", label="world")]
    refuse_unseen(train, [Example(text="z", label="world")])
    with pytest.raises(
        DataError, match=r"dev\.tsv:3 has the label 'sport', .* Did you mean 'sports'\?"
    ):
        refuse_unseen(train, [Example(text="z", label="sport", place="dev.tsv:3")])
    with pytest.raises(DataError, match="label 'q'"):
        refuse_unseen([Example(text="x", labels=["a"])], [Example(text="z", labels=["a", "q"])])


def test_json_of_labels_is_utf8(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.jsonl",
        json.dumps({"text": "很好", "label": "好评"}, ensure_ascii=False) + "\n",
    )
    assert read([path], DataTable(), SINGLE)[0].label == "好评"
