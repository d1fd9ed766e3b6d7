"""Test plain text as documents, and the public sets of it."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from triptych.data.batches.streaming import Corpus
from triptych.data.example import Example
from triptych.data.formats import texts
from triptych.data.formats.texts import PIECE, documents, joined, read
from triptych.data.load import load_split
from triptych.data.sets import catalog, composed
from triptych.data.sets import text as sets_text
from triptych.data.sets.entry import Entry
from triptych.data.sets.files import find
from triptych.data.table import DataTable
from triptych.errors import DataError, UsageError


def test_lines_of_a_document_are_read_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "It was a\n  dark  night.\n\n\n今天天氣\n很好。\nYes.\n", encoding="utf-8"
    )
    found = read([str(tmp_path / "a.txt")], DataTable(), ("text",))
    assert [(one.text, one.place) for one in found] == [
        ("It was a dark night.", "a.txt:1"),
        ("今天天氣很好。 Yes.", "a.txt:5"),
    ]


def test_joined() -> None:
    assert (
        joined(["a\tb ", "", "  c"]) == "a b c"
        and joined(["你好", "世界"]) == "你好世界"
        and joined(["ABC", "世界"]) == "ABC 世界"
    )


def test_a_long_document_goes_on_in_pieces(tmp_path: Path) -> None:
    lines = [f"line number {number} of a long document" for number in range(1000)]
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    found = read([str(tmp_path / "a.txt.gz")], DataTable(), ("text",))
    assert len(found) > 5 and max(len(one.text or "") for one in found) <= PIECE
    assert " ".join(one.text or "" for one in found) == " ".join(lines)
    assert [one.begins for one in found] == [True, *[False] * (len(found) - 1)]
    assert [one.ends for one in found] == [*[False] * (len(found) - 1), True]


def test_only_what_goes_on_is_told_to_go_on(tmp_path: Path) -> None:
    long, blank = "x" * PIECE, "\n \n"
    (tmp_path / "a.txt").write_text(
        f"{long}\n{blank}{long}\n{long}\n{blank}short\n{blank}", encoding="utf-8"
    )
    found = read([str(tmp_path / "a.txt")], DataTable(), ("text",))
    assert [(one.begins, one.ends, len(one.text or "")) for one in found] == [
        (True, True, PIECE), (True, False, PIECE), (False, True, PIECE), (True, True, 5),
    ]  # fmt: skip
    (tmp_path / "b.jsonl").write_text(
        "".join(
            json.dumps({"text": text}) + "\n"
            for text in (f"{long}{blank}", f"{long}{blank}end", " ")
        )
    )
    found = read([str(tmp_path / "b.jsonl")], DataTable(), ("text",))
    assert [(one.begins, one.ends, len(one.text or ""), one.place) for one in found] == [
        (True, True, PIECE, "b.jsonl:1"),
        (True, False, PIECE, "b.jsonl:2"),
        (False, True, 3, "b.jsonl:2"),
    ]


def test_a_large_file_as_it_is_written_goes_on_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "WHOLE", 100)
    text = "".join(f"  line {number}\n{' ' * (number % 3)}\n" for number in range(40))
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text("x = 1\n")
    (tmp_path / "c.py").write_text("\n \n")
    found = read([str(tmp_path)], DataTable(), ("text",))
    assert (
        "".join(one.text or "" for one in found) == text + "x = 1\n"
        and max(len(one.text or "") for one in found) <= 100
    )
    assert (
        found[0].begins
        and found[-2].ends
        and not any(one.ends for one in found[:-2])
        and not any(one.begins for one in found[1:-1])
    )
    assert found[-1] == Example(text="x = 1\n", place="b.py:1")
    before = ["".join(one.text or "" for one in found[:place]) for place in range(3)]
    assert [one.place for one in found[:3]] == [f"a.py:{1 + one.count(chr(10))}" for one in before]


def test_jsonl_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"text": "one\\ntwo"}\n\n{"text": "three"}\n')
    (tmp_path / "a.txt").write_text("zero\n")
    (tmp_path / "c.md").write_text("not read\n")
    assert [one.text for one in read([str(tmp_path)], DataTable(), ("text",))] == [
        "zero",
        "one two",
        "three",
    ]
    (tmp_path / "d.jsonl").write_text('{"body": "four"}\n')
    assert [
        one.text for one in read([str(tmp_path / "d.jsonl")], DataTable(fields=["body"]), ("text",))
    ] == ["four"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": 3}', "bad.jsonl:2: there is no text"),
        ("{", "bad.jsonl:2: not JSON"),
        ("[1]", "the line is not an object"),
        ('{"text": "\\ud800"}', "lone surrogate"),
        ('{"body": "x"}', "it has body"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n' + content + "\n")
    with pytest.raises(DataError, match=message):
        read([str(tmp_path / "bad.jsonl")], DataTable(), ("text",))
    with pytest.raises(DataError, match="holds no text file"):
        (tmp_path / "empty").mkdir()
        read([str(tmp_path / "empty")], DataTable(), ("text",))


def test_a_json_list_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "one"}, {"text": "two"}]')
    with pytest.raises(DataError, match="a.json is JSON, not plain text. Write JSONL"):
        read([str(tmp_path / "a.json")], DataTable(), ("text",))
    assert len(read([str(tmp_path / "a.json")], DataTable(verbatim=True), ("text",))) == 1


def test_own_files_are_split_by_their_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(f"text number {number}" for number in range(800)))
    table = DataTable(train=[str(tmp_path / "a.txt")])
    parts = {
        part: {one.text for one in load_split(table, part, needs=("text",))}
        for part in ("train", "validation", "test")
    }
    assert (
        sum(map(len, parts.values())) == 800
        and all(parts.values())
        and not parts["train"] & parts["test"]
    )


def test_of_a_text_that_would_be_held_out_alone_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one line number 93\n")  # by its hash no text to train on
    parts = {
        part: load_split(DataTable(train=str(tmp_path / "a.txt")), part, needs=("text",))
        for part in ("train", "validation", "test")
    }
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [1, 0, 0]
    with pytest.raises(
        DataError,
        match=r"all texts \(1\) fall to the held-out parts. Name data.validation and data.test",
    ):
        _ = Corpus(DataTable(train=str(tmp_path / "a.txt"), stream=True)).samples


def test_of_one_file_as_it_is_written_some_is_held_out(tmp_path: Path) -> None:
    text = "".join(f"Line {number},\n  and its second half.\n" for number in range(20_000))
    (tmp_path / "verse.txt").write_text(text)
    data = DataTable(train=str(tmp_path / "verse.txt"), verbatim=True)
    parts = {
        part: load_split(data, part, needs=("text",)) for part in ("train", "validation", "test")
    }
    assert all(parts.values()) and len(parts["train"]) > 100
    found = sorted(
        (one for part in parts.values() for one in part),
        key=lambda one: int(one.place.rpartition(":")[2]),
    )
    assert "".join(one.text or "" for one in found) == text
    assert [one.begins for one in found] == [True] + [False] * (len(found) - 1)
    assert [one.ends for one in found] == [False] * (len(found) - 1) + [True]
    first = found[1].text or ""
    assert text.splitlines()[int(found[1].place.rpartition(":")[2]) - 1] == first.splitlines()[0]


def test_the_union_holds_no_held_out_text(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"validation": ["A dev text!", "shared"], "test": ["a test text"]}
    train = {"war-and-peace": ["prose", "a test text"], "stsb": ["first", "prose"]}

    def load(entry: Entry, split: str, *_: object) -> list[Example]:
        name = entry.name
        texts = train[name] if split == "train" else held[split] if name == "stsb" else ["war dev"]
        return [
            Example(
                text=text,
                text_pair="second one" if name == "stsb" and split == "train" else None,
                place="f:1",
            )
            for text in texts
        ]

    monkeypatch.setattr(composed, "PRETRAINING_EN", ("war-and-peace", "stsb"))
    for name in composed.PRETRAINING_EN:
        monkeypatch.setitem(composed.PARTS, name, replace(composed.PARTS[name], loader=load))
    entry = composed.TEXTS["pretraining-en"]
    notices: list[str] = []
    found = composed.pretraining_en(entry, "train", DataTable(), notices.append)
    assert [(one.text, one.place) for one in found] == [
        ("prose", "war-and-peace/f:1"),
        ("first", "stsb/f:1"),
        ("second one", "stsb/f:1"),
    ]
    assert "1 are in a held-out split" in notices[0]
    assert [one.text for one in composed.pretraining_en(entry, "test", DataTable())] == ["war dev"]


def test_passages_are_those_of_the_questions_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(entry: Entry, split: str, data: DataTable, report: object = None) -> list[Example]:
        assert (entry.name, data.set) == ("jaquad", "jaquad")
        return [
            Example(question=f"{number}?", passage=f"{split} {number // 2}", place=f"f:{number}")
            for number in range(5)
        ]

    jaquad = replace(composed.PARTS["jaquad"], loader=load)
    monkeypatch.setitem(composed.PARTS, "jaquad", jaquad)
    found = composed.passages(composed.TEXTS["jaquad-passages"], "test", DataTable())
    assert [(one.text, one.place) for one in found] == [
        ("test 0", "jaquad/f:0"),
        ("test 1", "jaquad/f:2"),
        ("test 2", "jaquad/f:4"),
    ]
    assert all(one.question is None and one.passage is None for one in found)


@pytest.mark.parametrize(
    ("name", "passages"), [("jaquad", (9356, 357, 1431)), ("cmrc2018", (805, 43, 256))]
)
def test_no_passage_stands_in_two_parts(name: str, passages: tuple[int, ...]) -> None:
    if not has(name):
        pytest.skip(f"{name} is not in TRIPTYCH_DATA")
    parts = [
        [one.text for one in load_split(DataTable(set=f"{name}-passages"), split, None, ("text",))]
        for split in ("train", "validation", "test")
    ]
    assert tuple(map(len, parts)) == passages and len(
        {text for part in parts for text in part}
    ) == sum(passages)


def has(name: str) -> bool:
    return bool(os.environ.get("TRIPTYCH_DATA")) and all(
        find(catalog.entry(name), file) for file in catalog.entry(name).files
    )


@pytest.mark.parametrize(
    ("name", "split", "least"), [("war-and-peace", "test", 100), ("wikitext-2", "test", 250)]
)
def test_public_sets(name: str, split: str, least: int) -> None:
    if not has(name):
        pytest.skip(f"{name} is not in TRIPTYCH_DATA")
    found = catalog.load_other(name, split, DataTable(set=name), ("text",))
    assert len(found) >= least and all(one.text and "\n" not in one.text for one in found)


def test_shakespeare_is_split_by_characters() -> None:
    if not has("tinyshakespeare"):
        pytest.skip("tinyshakespeare is not in TRIPTYCH_DATA")
    parts = {
        split: catalog.load_other("tinyshakespeare", split, DataTable(), ("text",))
        for split in ("train", "validation", "test")
    }
    train, validation, test = ("".join(one.text or "" for one in part) for part in parts.values())
    assert len(train) == 1_003_854 and len(validation) == 111_540 and test == validation
    assert train.startswith("First Citizen:\nBefore we proceed")


def test_stories_begin_where_stories_do() -> None:
    text = """Tail of one.\n\nOnce upon a time,\nthere was.\n\nOne day, Tim ran.\n\n\
One day, a dog came. The end.\n\nSara sings.

Tom and Ben are friends.\n\nTom and Ben were sad."""
    found = [
        [words for _, words in story] for story in sets_text.stories(documents(text.split("\n")))
    ]
    assert found == [
        ["Tail of one."],
        ["Once upon a time, there was.", "One day, Tim ran."],
        ["One day, a dog came. The end."],
        ["Sara sings."],
        ["Tom and Ben are friends.", "Tom and Ben were sad."],
    ]


def test_stories_are_split_whole() -> None:
    if not has("tinystories-sample"):
        pytest.skip("tinystories-sample is not in TRIPTYCH_DATA")
    parts = {
        split: catalog.load_other("tinystories-sample", split, DataTable(), ("text",))
        for split in ("train", "validation", "test")
    }
    sizes = {split: len(part) for split, part in parts.items()}
    assert (
        sum(sizes.values()) > 1350
        and 40 <= sizes["test"] <= 110
        and 40 <= sizes["validation"] <= 110
    )
    assert any("\n\n" in (one.text or "") for one in parts["test"])
    assert sum(len((one.text or "").split()) for part in parts.values() for one in part) == 254_720


def test_wikitext_has_no_training_part() -> None:
    with pytest.raises(UsageError, match="only a validation and a test split"):
        catalog.load_other("wikitext-2", "train", DataTable(set="wikitext-2"), ("text",))


def test_a_folder_of_many_files_is_reported_in_two_lines(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(f"one\ntwo\n\nfile {number}\n")
    said: list[str] = []
    assert len(read([str(tmp_path)], DataTable(), ("text",), said.append)) == 12
    assert len(said) == 2 and said[0].startswith("0.txt: plain text, 4 lines")
    assert said[1] == f"{tmp_path.name}: 6 files like this one, 24 lines in all; 12 texts"
    said.clear()
    read(
        [str(tmp_path / f"{number}.txt") for number in range(3)],
        DataTable(),
        ("text",),
        said.append,
    )
    assert [one[:5] for one in said] == ["0.txt", "1.txt", "2.txt"]
