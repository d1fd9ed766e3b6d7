"""Test tables as other programs write them: separators, labels, rows without one, named keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.data.formats.columns import read
from triptych.data.formats.foreign.own_lines import own_file
from triptych.data.formats.pairs import Files
from triptych.data.formats.pairs import read as read_pairs
from triptych.data.formats.table_format import described, sniff
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.data.validation.columns import check
from triptych.errors import DataError

SINGLE = ("text", "label")


def write(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize(
    ("content", "sign", "pair"),
    [
        ("source;target\nOne, two;Eins, zwei\nOh;Ach\n", "semicolons", ("One, two", "Eins, zwei")),
        ("source\ttarget\nOne, two\tEins, zwei\n", "tabs", ("One, two", "Eins, zwei")),
        ("source|target\nOne; two|Eins; zwei\n", "vertical bars", ("One; two", "Eins; zwei")),
        ('source,target\n"One; two",Eins; zwei\n', "CSV,", ("One; two", "Eins; zwei")),
        ('source;target\n"One; ""two""";Eins\n', "semicolons", ('One; "two"', "Eins")),
        ("sep=;\nsource;target\nOne;Eins\n", "semicolons", ("One", "Eins")),
        ("Well, no;Ach, nein\nSure, go;Klar, geh\n", "semicolons", ("Well, no", "Ach, nein")),
        ("It costs 3,50 now;Es kostet 3,50\nOne;Eins\n", "semicolons", (
            "It costs 3,50 now", "Es kostet 3,50",
        )),
    ],
)  # fmt: skip
def test_separators_are_found_and_told(
    tmp_path: Path, content: str, sign: str, pair: tuple[str, str]
) -> None:
    notices: list[str] = []
    found = read_pairs(Files(write(tmp_path, "a.csv", content)), report=notices.append)
    assert (found[0].source, found[0].target) == pair
    first = next(n for n, line in enumerate(content.split("\n"), 1) if pair[0][:3] in line)
    assert found[0].place == f"a.csv:{first}" and sign in notices[0]


def test_a_row_of_other_width_is_named_with_its_separator(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text;label\nfine;pos\nlost\nbad;neg\n")
    with pytest.raises(DataError, match=r"a\.csv:3: 1 column.* with a semicolon between"):
        read([path], DataTable(), SINGLE)


def test_decimal_commas_are_not_touched(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text;label\n3,5 stars;1,0\n2,5 stars;0,5\n")
    assert [(one.text, one.label) for one in read([path], DataTable(), SINGLE)] == [
        ("3,5 stars", "1,0"),
        ("2,5 stars", "0,5"),
    ]
    assert "CSV with semicolons between columns, columns text, label" in described(
        sniff(path, [SINGLE]), own_file(path)
    )


def test_labels_of_json_are_those_of_csv(tmp_path: Path) -> None:
    values = [True, False, 2, 2.0, "2", 0.5, "yes"]
    lines = [json.dumps({"text": f"t{n}", "label": one}) for n, one in enumerate(values)]
    path = write(tmp_path, "a.jsonl", "\n".join(lines))
    found = [one.label for one in read([path], DataTable(), SINGLE)]
    assert found == ["true", "false", "2", "2", "2", "0.5", "yes"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "text\tlabel\nfine\tpos\nwhat\t\nhm\t \nbad\tneg\n"),
        ("a.csv", "text,label\nfine,pos\nwhat,\nhm,\nbad,neg\n"),
        ("a.jsonl", '{"text": "fine", "label": "pos"}\n{"text": "what"}\n'
                    '{"text": "hm", "label": null}\n{"text": "bad", "label": "neg"}\n'),
    ],
)  # fmt: skip
def test_rows_without_a_label_are_left_out_and_told(
    tmp_path: Path, name: str, content: str
) -> None:
    path, notices = write(tmp_path, name, content), []
    found = read([path], DataTable(), SINGLE, notices.append)
    assert [one.text for one in found] == ["fine", "bad"]
    assert notices[-1].startswith(f"{name}: 2 lines without label are left out")
    reasons = [one.reason for one in check({"train": [path]}, SINGLE).problems]
    assert sum(one.startswith("no label: the label is missing") for one in reasons) == 2


def test_a_missing_number_is_left_out_too(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "text\tvalue\none\t1.5\ntwo\t\n")
    found = read([path], DataTable(), ("text", "value"))
    assert [one.value for one in found] == [1.5]


@pytest.mark.parametrize(
    ("needs", "columns", "record", "field"),
    [
        (("messages",), {"messages": "turns"},
         {"turns": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
         "messages"),
        (("messages",), {"instruction": "ask", "output": "say"}, {"ask": "Hi", "say": "Hello"},
         "messages"),
        (("messages", "chosen", "rejected"), {"prompt": "q", "chosen": "good", "rejected": "bad"},
         {"q": "Hi", "good": "Hello", "bad": "No"}, "chosen"),
        (("question", "passage", "answers"),
         {"question": "q", "passage": "text", "answer": "spans"},
         {"q": "Who?", "text": "Ann did.", "spans": [{"text": "Ann", "start": 0}],
          "question": "an older one"}, "answers"),
        (("text",), {"text": "body"}, {"body": "A story.", "text": "its title"}, "text"),
    ],
)  # fmt: skip
def test_keys_of_records_can_be_named(
    tmp_path: Path, needs: tuple[str, ...], columns: dict, record: dict, field: str
) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps(record) + "\n" + json.dumps(record) + "\n")
    data = DataTable(train=path, test=path, columns=columns)
    found = load_split(data, "test", None, needs)
    assert len(found) == 2 and getattr(found[0], field)
    if field == "text":
        assert found[0].text == "A story."
    if field == "answers":
        assert found[0].question == "Who?"
    with pytest.raises(
        DataError, match=r"(no key 'none'|no text under the key 'none'|a.jsonl.* question)"
    ):
        load_split(
            DataTable(train=path, test=path, columns=columns | {next(iter(columns)): "none"}),
            "test",
            None,
            needs,
        )


def test_a_table_serves_where_records_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'Id,Asked,Said\n1,"Hi, you",Hello\n2,Bye,"So, bye"\n')
    columns: dict[str, str | int] = {"instruction": "Asked", "output": "Said"}
    found = load_split(DataTable(train=path, test=path, columns=columns), "test", None, (
        "messages",
    ))  # fmt: skip
    assert [one.messages for one in found][1] == [
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "So, bye"},
    ]
    texts = DataTable(train=path, test=path, columns={"text": "Said"})
    assert [one.text for one in load_split(texts, "test", None, ("text",))] == ["Hello", "So, bye"]
    plain = write(tmp_path, "a.txt", "only text\n")
    with pytest.raises(DataError, match=r"plain text and has no columns"):
        load_split(DataTable(train=plain, test=plain, columns={"text": "x"}), "test", None, (
            "text",
        ))  # fmt: skip


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(("name", "sign"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_a_carriage_return_inside_a_line_is_text(
    tmp_path: Path, name: str, sign: str, quote: str
) -> None:
    """The module csv refuses one outside quotation marks."""
    rows = [("text", "label"), ("Too\rlate", "bad"), ("On time", "good"), ("Never", "bad")]
    lines = [sign.join(f"{quote}{cell}{quote}" for cell in row) for row in rows]
    (tmp_path / name).write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    table = DataTable(train=str(tmp_path / name))
    found = load_split(table, "train", needs=SINGLE)
    assert [(one.text, one.label) for one in found] == rows[1:]
    assert not check({"train": [str(tmp_path / name)]}, SINGLE).counts.get("unreadable")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\rToo late,bad\rOn time,good\r"),
        ("a.tsv", "text\tlabel\rToo late\tbad\rOn time\tgood"),
        ("a.jsonl", '{"text": "Too late", "label": "bad"}\r{"text": "On time", "label": "good"}\r'),
    ],
)
@pytest.mark.parametrize("encoding", [None, "utf-16", "mac-roman"])
def test_lines_may_end_in_carriage_returns_alone(
    tmp_path: Path, name: str, content: str, encoding: str | None
) -> None:
    """Old programs of the Mac, and Excel's "CSV (Macintosh)", write such files."""
    (tmp_path / name).write_bytes(content.encode(encoding or "utf-8"))
    given = None if encoding == "utf-16" else encoding  # its byte order mark says it
    table = DataTable(train=str(tmp_path / name), encoding=given)
    found = load_split(table, "train", needs=SINGLE)
    assert [(one.text, one.label) for one in found] == [("Too late", "bad"), ("On time", "good")]
