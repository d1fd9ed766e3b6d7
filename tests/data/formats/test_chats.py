"""Test conversations from files: their forms, places and errors, and the public sets of them."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import pytest

from triptych.data.example import Example, texts_of
from triptych.data.formats.chats import read, read_preferences
from triptych.data.load import load_split, reader_of
from triptych.data.sets import catalog
from triptych.data.sets import chat as sets_chat
from triptych.data.sets.chat import instruction_key, tidied, words_key
from triptych.data.sets.entry import SPLITS
from triptych.data.split import by_input
from triptych.data.table import DataTable
from triptych.data.validation.chats import check
from triptych.errors import DataError

DATA = Path(os.environ.get("TRIPTYCH_DATA", "missing"))
needs_data = pytest.mark.skipif(
    not (DATA / "dailydialog").is_dir(), reason="TRIPTYCH_DATA names no folder with the public sets"
)
TALK = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": " 你好 "},
        {"role": "assistant", "content": "Hi"},
    ]
}
TASK = {"instruction": "Add.", "input": "1 + 1", "output": "2"}


def written(folder: Path, records: list, name: str = "a.jsonl", as_list: bool = False) -> str:
    text = (
        json.dumps(records, indent=2, ensure_ascii=False)
        if as_list
        else "\n".join(json.dumps(one) for one in records)
    )
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("as_list", [False, True])
def test_both_forms_are_read_from_lines_and_lists(tmp_path: Path, as_list: bool) -> None:
    notices: list[str] = []
    given = [
        TALK,
        TASK,
        {"instruction": "Say no.", "input": " ", "output": "No"},
        {"instruction": "Silence.", "input": "", "output": ""},
    ]
    name = written(tmp_path, given, "a.json" if as_list else "a.jsonl", as_list)
    found = read([name], DataTable(), ("messages",), notices.append)
    assert [len(one.messages or []) for one in found] == [3, 2, 2]
    assert list(texts_of(found[0].messages)) == ["Be kind.", "你好", "Hi"]
    assert (
        list(texts_of(found[1].messages)) == ["Add.\n\n1 + 1", "2"]
        and next(texts_of(found[2].messages)) == "Say no."
    )
    places = [int(one.place.split(":")[1]) for one in found]
    lines = Path(name).read_text(encoding="utf-8").split("\n")
    assert places == (
        [1, 2, 3]
        if not as_list
        else [number for number, line in enumerate(lines, 1) if line == "  {"][:3]
    )
    assert "3 conversations; 1 have an empty output" in notices[-1]
    assert found[0].bytes == len("Be kind.你好Hi".encode())


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"messages": []}, r"a\.jsonl:2: messages is empty"),
        ({"messages": "hello"}, r"a\.jsonl:2: messages hold no turn of the assistant"),
        (
            {"messages": [{"role": "bot", "content": "x"}]},
            r"role 'bot' \(.*a\.jsonl:2: messages\[0\]\.role\).*assistant, system, user",
        ),
        (
            {"messages": [{"role": "user"}]},
            r"a\.jsonl:2: messages\[0\]: there is no text under the key 'content'",
        ),
        (
            {"messages": [{"role": "user", "content": " "}]},
            r"a\.jsonl:2: messages\[0\]\.content is empty",
        ),
        ({"messages": [{"role": "user", "content": "x\ud800"}]}, r"half a character"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]},
            r"messages\[1\] is a system message",
        ),
        ({"messages": {"role": "user"}}, r"a\.jsonl:2: messages must be a list, got an object"),
        ({"messages": ["x"]}, r"messages\[0\] must be an object, got 'x'"),
        (
            {"instruction": "x"},
            r"a\.jsonl:2: there is no 'messages', and no 'instruction' with 'output'. The keys are "
            r"instruction",
        ),
        (
            {"instruction": 3, "output": "x"},
            r"a\.jsonl:2: there is no text under the key 'instruction'; it is 3",
        ),
    ],
)
def test_what_is_no_conversation_is_named_with_line_and_key(
    tmp_path: Path, record: object, message: str
) -> None:
    alone = message.replace(":2:", ":1:")
    with pytest.raises(DataError, match=alone):
        read([written(tmp_path, [record])], DataTable(), ("messages",))
    notices: list[str] = []
    found = read([written(tmp_path, [TALK, record])], DataTable(), ("messages",), notices.append)
    assert [one.place for one in found] == ["a.jsonl:1"]
    assert notices[0].startswith("a.jsonl: 1 conversation left out because ")
    assert ": a.jsonl:2. " in notices[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n{"a": 1}\n{', r"a\.json:3: the JSON list is not closed"),
        ('[{"a": 1},\n x', r"a\.json:2: not JSON"),
        ('{"a": 1}\n{', r"a\.json:2: not JSON"),
        ("[\n,", r"a\.json:2: the JSON list"),
        ('["x"]', r"a\.json:1: the JSON list must hold objects"),
        ('{"a": 1}\n["x"]', r"a\.json:2: expected a JSON object, got a list"),
    ],
)
def test_broken_files_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text.replace('{"a": 1}', json.dumps(TALK)))
    with pytest.raises(DataError, match=message):
        read([str(tmp_path / "a.json")], DataTable(), ("messages",))


def test_several_turns_of_one_role_are_kept_as_they_are(tmp_path: Path) -> None:
    twice = {
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": "c"},
        ]
    }
    (found,) = read([written(tmp_path, [twice])], DataTable(), ("messages",))
    assert [one["role"] for one in found.messages or []] == ["user", "user", "assistant"]


def test_preferences(tmp_path: Path) -> None:
    given = [
        {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"},
        {"messages": [{"role": "user", "content": "Hi"}], "chosen": "a", "rejected": "b"},
    ]
    needs = ("messages", "chosen", "rejected")
    found = reader_of(needs)([written(tmp_path, given)], DataTable(), needs, None)
    assert [(list(texts_of(one.messages)), one.chosen, one.rejected) for one in found] == [
        (["Hi"], "Hello!", "What?"),
        (["Hi"], "a", "b"),
    ]
    for wrong, message in [
        ({"prompt": "x", "chosen": "a"}, "under the key 'rejected'"),
        ({"chosen": "a", "rejected": "b"}, "no 'prompt'"),
        ({"prompt": "x", "chosen": "a", "rejected": " a"}, "the same text"),
        ({**TALK, "chosen": "a", "rejected": "b"}, "is by the assistant"),
    ]:
        with pytest.raises(DataError, match=rf"a\.jsonl:1.*{message}"):
            read_preferences([written(tmp_path, [wrong])], DataTable(), needs)


def test_own_files_are_split_by_the_first_question(tmp_path: Path) -> None:
    head = {"role": "system", "content": "The same for all."}
    given = [
        {
            "messages": [
                head,
                {"role": "user", "content": f"Question {n}"},
                {"role": "assistant", "content": "x"},
            ]
        }
        for n in range(400)
    ]
    data = DataTable(train=written(tmp_path, given))
    sizes = {part: len(load_split(data, part, None, ("messages",))) for part in SPLITS}
    assert sum(sizes.values()) == 400 and 0 < sizes["validation"] < 40 and 0 < sizes["test"] < 40
    again = Example(messages=[{"role": "user", "content": "question 7!"}])
    parts = by_input([again, *(Example(messages=one["messages"]) for one in given[7:8])])
    assert sorted(map(len, parts.values())) == [0, 0, 2]


def test_signs_are_set_as_people_type_them() -> None:
    assert tidied(" I ’ m 5 , you don ' t . Why ? ") == "I'm 5, you don't. Why?"
    assert tidied("you are right.But what 。") == "you are right. But what."


@needs_data
def test_dailydialog_keeps_its_parts_and_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets_chat, "_dialogue", cache(sets_chat._dialogue))  # four loads, read once
    notices: list[str] = []
    parts = {
        part: catalog.load_other("dailydialog", part, DataTable(), ("messages",), notices.append)
        for part in SPLITS
    }
    keys = {name: {words_key(one) for one in part} for name, part in parts.items()}
    assert (
        not keys["train"] & (keys["validation"] | keys["test"])
        and not keys["validation"] & keys["test"]
    )
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 10_818,
        "validation": 989,
        "test": 1_000,
    }
    assert [line.split(": ")[1].split(" ")[0] for line in notices] == ["300", "11"]
    assert (
        len(catalog.load_other("dailydialog", "train", DataTable(leaks="keep"), ("messages",)))
        == 11_118
    )
    assert {one["role"] for one in (parts["test"][0].messages or [])} == {"user", "assistant"}


@needs_data
def test_instruct_1100_has_its_authors_split() -> None:
    notices: list[str] = []
    parts = {
        part: catalog.load_other("instruct-1100", part, DataTable(), ("messages",), notices.append)
        for part in SPLITS
    }
    assert (len(parts["test"]), len(parts["validation"])) == (110, 55) and len(
        parts["train"]
    ) == 928
    assert not {instruction_key(one) for one in parts["train"]} & {
        instruction_key(one) for name in ("validation", "test") for one in parts[name]
    }
    assert notices == [
        "instruct-1100: 7 conversations of train that are also in validation or test are left out."
    ]


@needs_data
def test_alpaca_is_split_by_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets_chat, "_instructions", cache(sets_chat._instructions))  # read once
    parts = by_input(sets_chat._instructions(catalog.entry("alpaca"), sets_chat._ALPACA, None))
    assert sum(map(len, parts.values())) == 52_002 - 28
    assert all(0.02 < len(parts[name]) / 52_002 < 0.03 for name in ("validation", "test"))
    keys = {name: {instruction_key(one) for one in part} for name, part in parts.items()}
    assert not keys["train"] & keys["test"] and not keys["train"] & keys["validation"]
    test = catalog.load_other("alpaca-instruct-1100", "test", DataTable(), ("messages",))
    train = catalog.load_other("alpaca-instruct-1100", "train", DataTable(), ("messages",))
    assert len(test) == 110 and not {instruction_key(one) for one in train} & {
        instruction_key(one) for one in test
    }
    assert len(parts["train"]) - 3 < len(train) < len(parts["train"])


@pytest.mark.parametrize(
    "line",
    [
        "[24.12.23, 18:05:59] Ann: Come in.",
        "12/24/23, 6:05 PM - Ann: Come in.",
        "2023-12-24, 18:05 - Ann Lee: Come in.",
        "\u200e[24/12/2023, 6:05:59\u202fPM] Ann: Come in.",
    ],
)
def test_an_export_of_a_telephone_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "chat.txt"
    path.write_text(f"{line}\n{line}\n", encoding="utf-8")
    for read_it in (
        lambda: read([str(path)], DataTable(train=str(path)), ("messages",)),
        lambda: check(str(path), ("messages",)),
    ):
        with pytest.raises(DataError, match="a chat as WhatsApp exports it"):
            read_it()


def test_what_holds_no_json_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer\nOpen?,Yes.\n" * 3, encoding="utf-8")
    with pytest.raises(DataError, match="is not JSON: it begins with 'question,answer'"):
        check(str(path), ("messages",))
    given: dict[str, str | int] = {
        "instruction": "question",
        "output": "answer",
    }  # as the message advises
    found = read([str(path)], DataTable(train=str(path), columns=given), ("messages",))
    assert found[0].messages and found[0].messages[0]["content"] == "Open?"
    path.write_text('oops\n{"messages": []}\n', encoding="utf-8")
    assert len(check(str(path), ("messages",)).problems) == 2


def test_a_line_that_is_cut_off_is_said_to_be(tmp_path: Path) -> None:
    whole = json.dumps({"instruction": "Open?", "output": "Yes, from ten."})
    for cut in (-3, -1, 20):
        path = tmp_path / "a.jsonl"
        path.write_text(f"{whole}\n{whole[:cut]}", encoding="utf-8")
        with pytest.raises(DataError, match=r"a\.jsonl:2: not JSON .* may be cut off"):
            read([str(path)], DataTable(train=str(path)), ("messages",))
        assert "may be cut off" in check(str(path), ("messages",)).problems[0].reason
    path.write_text('{\n"instruction": "Open?"}\n', encoding="utf-8")
    assert "one object a line" in check(str(path), ("messages",)).problems[0].reason
