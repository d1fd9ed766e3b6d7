"""Test tables in one JSON object, fastText's lines and ChatGPT's export; and what is no table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from triptych.data.formats.foreign.own_lines import foreign, own_lines
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.data.validation.kinds import needs_of
from triptych.errors import DataError

ROWS = [{"text": "A warm bun", "label": "good"}, {"text": "A cold bun", "label": "bad"}]
SINGLE = ("text", "label")


def write(folder: Path, name: str, value: object, indent: int | None = None) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=indent)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def pairs(path: str) -> list[tuple[str | None, str | None]]:
    found = load_split(DataTable(train=path), "train", needs=SINGLE)
    return [(one.text, one.label) for one in found]


TABLES = {
    "data": {"version": 2, "data": ROWS},
    "rows": {"features": [{"name": "text"}], "rows": [{"row_idx": 0, "row": one} for one in ROWS]},
    "train": {"train": ROWS},
    "by columns": {key: {str(n): one[key] for n, one in enumerate(ROWS)} for key in ROWS[0]},
    "by rows": {str(number): one for number, one in enumerate(ROWS)},
    "split": {
        "columns": ["text", "label"],
        "index": [0, 1],
        "data": [[*one.values()] for one in ROWS],
    },
    "a list for each": {key: [one[key] for one in ROWS] for key in ROWS[0]},
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "noname"])
def test_a_table_in_one_object_is_read_as_its_rows(
    tmp_path: Path, kind: str, indent: int | None, name: str
) -> None:
    path = write(tmp_path, name, TABLES[kind], indent)
    if name.endswith(".gz"):
        Path(path).write_bytes(gzip.compress(Path(path).read_bytes()))
    assert needs_of([path]) == SINGLE
    assert pairs(path) == [(one["text"], one["label"]) for one in ROWS]
    said: list[str] = []
    own_lines(path, said.append)
    assert kind.split()[-1] in said[0] and "counts its records" in said[0]


OTHERS = {
    "one record": ROWS[0],
    "tokens": {"tokens": ["Eva", "hums"], "ner_tags": ["B-PER", "O"]},
    "a conversation": {"messages": [{"role": "user", "content": "Hi."}] * 2},
    "turns": {
        "conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Yo."}]
    },
    "spans": {"text": "Eva hums", "spans": [{"start": 0, "end": 3, "label": "PER"}]},
    "squad": {"data": [{"paragraphs": [{"context": "Eva hums.", "qas": []}]}]},
    "of unequal length": {"text": ["a", "b"], "label": ["x"]},
    "one column": {"text": ["a", "b"]},
    "unknown key": {"pictures": [{"file": "a.png"}]},
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_record_of_its_own_is_no_table(tmp_path: Path, kind: str) -> None:
    found = foreign(write(tmp_path, "a.json", OTHERS[kind]))
    assert found is None or ("table" not in found.kind and "list" not in found.kind)
    assert found is None or len(found.lines) == 1


def test_lines_of_jsonl_stay_records(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps({"data": ROWS}))
    assert foreign(path) is None


def test_records_of_another_tool_under_a_key(tmp_path: Path) -> None:
    given = {"data": [{"text": "Eva hums", "label": [[0, 3, "PER"]]}]}
    found = foreign(write(tmp_path, "a.json", given))
    assert found is not None and found.kind == "doccano's texts with spans"


def test_several_parts_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", {"train": ROWS, "test": ROWS})
    with pytest.raises(DataError, match=r"several parts of a set \(train, test\)"):
        own_lines(path)


@pytest.mark.parametrize(
    ("content", "needs", "found"),
    [
        ("__label__good A warm bun\n\n__label__bad a cold one\n", SINGLE, ["good", "bad"]),
        ("__label__a __label__b Both\n__label__a one\n", ("text", "labels"), [["a", "b"], ["a"]]),
        ("__label__a, __label__b\tBoth\n", ("text", "labels"), [["a", "b"]]),
        ("\ufeff__label__good  A \u2028bun\r\n__label__1 x\r\n", SINGLE, ["good", "1"]),
    ],
)
def test_lines_of_fast_text(
    tmp_path: Path, content: str, needs: tuple[str, str], found: list[object]
) -> None:
    path = write(tmp_path, "a.txt", content)
    assert needs_of([path]) == needs
    read = load_split(DataTable(train=path), "train", needs=needs)
    assert [getattr(one, needs[1]) for one in read] == found
    assert not any("__label__" in (one.text or "") for one in read)
    assert read[-1].place.endswith(f":{len(content.splitlines()) - content.count(chr(0x2028))}")


def test_a_line_without_a_label_of_fast_text_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "a.train", "__label__good A bun\nno label here\n")
    said: list[str] = []
    assert len([one for one in own_lines(path, said.append) if one]) == 1
    assert "1 record left out, without a label: line 2" in said[1]
    assert foreign(write(tmp_path, "b.txt", "The __label__ of fastText\n")) is None


def node(key: str, parent: str | None, role: str = "", *parts: object) -> dict[str, object]:
    said = {"author": {"role": role}, "content": {"content_type": "text", "parts": [*parts]}}
    return {"id": key, "parent": parent, "children": [], "message": said if role else None}


def test_an_export_of_chat_gpt_follows_the_branch_shown_last(tmp_path: Path) -> None:
    nodes = [
        node("r", None),
        node("s", "r", "system", ""),
        node("a", "s", "user", "What is rye?"),
        node("b", "a", "assistant", "A grass."),
        node("c", "a", "assistant", "A cereal."),
        node("t", "c", "tool", "search"),
        node("d", "t", "assistant", "It makes bread."),
        node("e", "d", "user", {"asset_pointer": "x"}, "And this?"),
        node("f", "e", "assistant", "Barley."),
    ]
    whole = {"title": "Rye", "mapping": {one["id"]: one for one in nodes}, "current_node": "f"}
    silent = {"title": "", "mapping": {"r": node("r", None)}, "current_node": "r"}
    path, said = write(tmp_path, "conversations.json", [whole, silent]), list[str]()
    assert needs_of([path]) == ("messages",)
    (read,) = load_split(DataTable(train=path), "train", said.append, needs=("messages",))
    assert read.messages == [
        {"role": "user", "content": "What is rye?"},
        {"role": "assistant", "content": "A cereal.\n\nIt makes bread."},
        {"role": "user", "content": "And this?"},
        {"role": "assistant", "content": "Barley."},
    ]
    assert any("1 record left out, without an answer: record 2" in one for one in said)
    assert any("2 turns of tools, pictures and files are not read" in one for one in said)
    circle = {"mapping": {"a": node("a", "b", "user", "x"), "b": node("b", "a", "assistant", "y")}}
    path = write(tmp_path, "c.json", [{**circle, "current_node": "b"}])
    assert len(load_split(DataTable(train=path), "train", needs=("messages",))) == 1
