"""Test conversations and preferences as other tools write them, and records that are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from triptych.data.example import Example
from triptych.data.formats.chats import own_record, read, read_preferences
from triptych.data.table import DataTable
from triptych.data.validation.chats import check, needs_of
from triptych.errors import DataError

CHAT, BEST = ("messages",), ("messages", "chosen", "rejected")
ASK, REPLY = {"role": "user", "content": "Hot?"}, {"role": "assistant", "content": "Very."}
FINE = {"messages": [ASK, REPLY]}


def written(folder: Path, *records: Any, name: str = "a.jsonl") -> str:
    text = json.dumps(records) if name.endswith(".json") else "\n".join(map(json.dumps, records))
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def turns(example: Example) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in example.messages or []]


def said(folder: Path, *records: Any, name: str = "a.jsonl") -> list[list[tuple[str, str]]]:
    return [turns(one) for one in read([written(folder, *records, name=name)], DataTable(), CHAT)]


WANTED = [("user", "Hot?"), ("assistant", "Very.")]
HEADED = [("system", "Be brief."), *WANTED]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"conversations": [{"from": "human", "value": "Hot?"}, {"from": "gpt", "value": "Very."}]},
         WANTED),
        ({"id": "x", "conversation": [{"from": "user", "value": "Hot?"},
                                      {"from": "chatgpt", "value": "Very."}]}, WANTED),
        ({"dialogue": [{"role": "Human", "text": "Hot?"}, {"role": "BING", "text": "Very."}]},
         WANTED),
        ({"turns": [{"role": "prompter", "content": "Hot?"}, {"role": "bard", "content": "Very."}]},
         WANTED),
        ({"conversation": [{"human": "Hot?", "assistant": "Very."}]}, WANTED),
        ({"conversation": [{"input": "Hot?", "output": "Very."}], "system": "Be brief."}, HEADED),
        ({"dialog": ["Hot?", "Very."]}, WANTED),
        ({"conversations": [{"from": "system", "value": "Be brief."},
                            {"from": "human", "value": "Hot?"}, {"from": "model", "value": "Very."}]
          }, HEADED),
        ({"messages": [{"role": "developer", "content": "Be brief."}, ASK, REPLY]}, HEADED),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hot?"}]}, REPLY]},
         WANTED),
        ({"messages": [{"role": "user", "content": ["Is it", {"type": "text", "text": "hot?"}]},
                       REPLY]}, [("user", "Is it\nhot?"), ("assistant", "Very.")]),
        ({"prompt": "Hot?", "completion": " Very."}, WANTED),
        ({"prompt": [ASK], "completion": [REPLY]}, WANTED),
        ({"system_prompt": "Be brief.", "question": "Hot?", "response": "Very."}, HEADED),
        ({"query": "Hot?", "response": "Very.", "history": []}, WANTED),
        ({"instruction": "Hot?", "input": "Today", "output": "Very.", "system": "Be brief.",
          "history": [["Hi", "Hello"]]},
         [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"),
          ("user", "Hot?\n\nToday"), ("assistant", "Very.")]),
        ({"instruction": "Hot?", "context": "", "response": "Very."}, WANTED),
        ({"text": "### Human: Hot?### Assistant: Very."}, WANTED),
        ({"text": "\n\nHuman: Hot?\n\nAssistant: Very."}, WANTED),
        ({"messages": [ASK, REPLY], "system": " "}, WANTED),
    ],
)  # fmt: skip
def test_the_forms_of_other_tools_are_read(
    tmp_path: Path, record: Any, wanted: list[tuple[str, str]], name: str
) -> None:
    assert said(tmp_path, record, name=name) == [wanted]


TOOL = {
    "messages": [
        ASK,
        {"role": "assistant", "content": None, "tool_calls": [{"id": "7"}]},
        {"role": "tool", "content": "40"},
        REPLY,
    ]
}
IMAGE = [{"type": "text", "text": "Hot?"}, {"type": "image_url", "image_url": {"url": "x"}}]
UNUSABLE = [
    (TOOL, "a turn is a tool call or its result"),
    ({"conversations": [{"from": "human", "value": "Hot?"},
                        {"from": "function_call", "value": "{}"}]},
     "a turn is a tool call or its result"),
    ({"messages": [ASK, {"role": "assistant", "content": None}]},
     "there is no text under the key 'content'"),
    ({"conversations": [{"from": "human", "value": "Hot?"}, {"from": "gpt", "value": ""}]},
     "'value' is empty"),
    ({"messages": [ASK, {"role": "system", "content": "Stop."}, REPLY]},
     "a system message does not come first"),
    ({"messages": [ASK]}, "there is no turn of the assistant"),
    ({"messages": [{"role": "user", "content": IMAGE}, REPLY]},
     "a part of a content, of the type 'image_url', is not a text"),
    ({"images": ["a.png"], **FINE}, "it has 'images', which a chat does not read"),
    ({"messages": [ASK, {**REPLY, "weight": 0}]}, "every turn of the assistant has the weight 0"),
    ({"messages": [ASK, {**REPLY, "weight": 0.5}]}, "a weight is neither 0 nor 1"),
    ({"messages": [ASK, {"role": "bot", "content": "x"}]}, "the role 'bot' is not known"),
    ({"messages": [{"role": "system", "content": "A."}, ASK, REPLY], "system": "B."},
     "it has two system messages"),
    ({"instruction": "Hot?", "output": "Very.", "history": ["Hi"]},
     "its history is not a list of questions and answers"),
    ({"conversations": ["Hot?"]}, "a message is not an object"),
    ({"label": 1}, "there is no conversation in it"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "reason"), UNUSABLE, ids=[str(one[1]) for one in UNUSABLE])
def test_one_record_that_cannot_be_used_is_left_out_and_reported(
    tmp_path: Path, record: Any, reason: str
) -> None:
    notices: list[str] = []
    name = written(tmp_path, FINE, record, {**FINE, "id": 3}, record)
    found = read([name], DataTable(), CHAT, notices.append)
    assert [(turns(one), one.place) for one in found] == [
        (WANTED, "a.jsonl:1"),
        (WANTED, "a.jsonl:3"),
    ]
    assert notices == [
        f"a.jsonl: 2 conversations left out because {reason}: a.jsonl:2, a.jsonl:4. triptych data "
        "check lists them.",
        "a.jsonl: 2 conversations",
    ]
    report = check(name, CHAT)  # agrees on what is left out
    assert report.pairs == {"train": 2}
    lost = [one for one in report.problems if one.reason.startswith("unreadable")]
    assert [one.place.rsplit(":", 1)[1] for one in lost] == ["2", "4"]
    assert all("The record is left out" in one.reason for one in lost)


def test_a_file_of_which_nothing_can_be_used_is_refused(tmp_path: Path) -> None:
    name = written(tmp_path, TOOL, TOOL, {"messages": [ASK]})
    with pytest.raises(DataError) as caught:
        read([name], DataTable(), CHAT)
    assert str(caught.value).startswith(
        f"{name}: none of its 3 conversations can be used: 2 because a turn is a tool call or its "
        f"result; 1 because there is no turn of the assistant. The first: {name}:1: messages[1] is"
    )


def test_an_empty_system_message_is_dropped_and_a_list_of_tools_is_not_read(tmp_path: Path) -> None:
    notices: list[str] = []
    empty = {"messages": [{"role": "system", "content": ""}, ASK, REPLY]}
    name = written(tmp_path, empty, FINE, {**FINE, "tools": [{"name": "clock"}]})
    found = read([name], DataTable(), CHAT, notices.append)
    assert [turns(one) for one in found] == [WANTED] * 3
    assert notices[:2] == [
        "a.jsonl: an empty system message is dropped: a.jsonl:1.",
        "a.jsonl: 'tools' is not read: a.jsonl:3.",
    ]
    reasons = [one.reason for one in check(name, CHAT).problems]
    assert "not read: an empty system message is dropped" in reasons


def test_turns_of_weight_0_are_kept_as_such(tmp_path: Path) -> None:
    shy = {"messages": [ASK, {**REPLY, "weight": 0}, ASK, {**REPLY, "weight": 1}]}
    asked = {"prompt": [ASK, REPLY, ASK], "completion": [REPLY]}
    for record in (shy, asked):
        (one,) = read([written(tmp_path, record)], DataTable(), CHAT)
        assert [message.get("weight") for message in one.messages or []] == [None, "0", None, None]
        again = own_record(one)
        assert again == {"messages": [ASK, {**REPLY, "weight": 0}, ASK, REPLY]}
        (same,) = read([written(tmp_path, again)], DataTable(), CHAT)
        assert same == one


# Preferences ----------------------------------------------------------------------------------

HELLO, BYE = {"role": "assistant", "content": "Hello."}, {"role": "assistant", "content": "Bye."}
HI = {"role": "user", "content": "Hi."}
TALK = [HI, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Ann here."}]


def preferred(folder: Path, *records: Any) -> list[tuple[list[tuple[str, str]], Any, Any]]:
    found = read_preferences([written(folder, *records)], DataTable(), BEST)
    return [(turns(one), one.chosen, one.rejected) for one in found]


@pytest.mark.parametrize(
    ("record", "prompt"),
    [
        ({"prompt": [HI], "chosen": [HELLO], "rejected": [BYE]}, [HI]),
        ({"chosen": [HI, HELLO], "rejected": [HI, BYE]}, [HI]),
        ({"chosen": [*TALK, HELLO], "rejected": [*TALK, BYE]}, TALK),
        ({"chosen": "\n\nHuman: Hi.\n\nAssistant: Hello.",
          "rejected": "\n\nHuman: Hi.\n\nAssistant: Bye."}, [HI]),
        ({"prompt": "\n\nHuman: Hi.\n\nAssistant: Yes?\n\nHuman: Ann here.\n\nAssistant:",
          "chosen": " Hello.", "rejected": " Bye."}, TALK),
        ({"prompt": "Hi.", "prompt_id": "x", "messages": [HI, HELLO], "chosen": [HI, HELLO],
          "rejected": [HI, BYE], "score_chosen": 8.0, "score_rejected": 2.0}, [HI]),
        ({"conversations": [{"from": "human", "value": "Hi."}],
          "chosen": {"from": "gpt", "value": "Hello."},
          "rejected": {"from": "gpt", "value": "Bye."}}, [HI]),
        ({"system": "", "question": "Hi.", "chosen": "Hello.", "rejected": "Bye."}, [HI]),
        ({"instruction": "Hi.", "input": "", "chosen": "Hello.", "rejected": "Bye."}, [HI]),
        ({"system": "Be kind.", "prompt": "Hi.", "chosen": "Hello.", "rejected": "Bye."},
         [{"role": "system", "content": "Be kind."}, HI]),
        ({"input": {"messages": [HI], "tools": []}, "preferred_output": [HELLO],
          "non_preferred_output": [BYE]}, [HI]),
    ],
)  # fmt: skip
def test_preferences_of_other_tools_are_read(tmp_path: Path, record: Any, prompt: Any) -> None:
    wanted = ([(one["role"], one["content"]) for one in prompt], "Hello.", "Bye.")
    assert preferred(tmp_path, record) == [wanted]
    assert needs_of(written(tmp_path, record)) == BEST
    (one,) = read_preferences([str(tmp_path / "a.jsonl")], DataTable(), BEST)
    assert preferred(tmp_path, own_record(one)) == [wanted]


LOST = [
    ({"chosen": [HI, HELLO], "rejected": [HI, HELLO]}, "'chosen' and 'rejected' are the same text"),
    ({"prompt": "Hi.", "chosen": "Hello.", "rejected": "Hello. "},
     "'chosen' and 'rejected' are the same text"),
    ({"chosen": [HI, HELLO, HI, BYE], "rejected": [HI, BYE, HI, HELLO]},
     "its answers differ in more than one turn"),
    ({"chosen": "Hello.", "rejected": "Bye."}, "there is no prompt"),
    ({"chosen": [HI, HELLO], "rejected": [TALK[2], BYE]}, "there is no prompt"),
    ({"chosen": [HELLO], "rejected": [BYE]}, "there is no prompt"),
    ({"prompt": "Who?", "chosen": [HI, HELLO], "rejected": [HI, BYE]},
     "its answers do not begin with the prompt"),
    ({"prompt": "Hi.", "chosen": "Hello.", "rejected": "Bye.", "score_chosen": 1,
      "score_rejected": 2}, "score_chosen is below score_rejected"),
    ({"prompt": [HI, HELLO], "chosen": [HELLO], "rejected": [BYE]},
     "its prompt does not end with a turn of the user"),
    ({"prompt": [HI], "chosen": [{**HELLO, "tool_calls": [1]}], "rejected": [BYE]},
     "a turn is a tool call or its result"),
    ({"chosen": [HI, TALK[2]], "rejected": [HI, BYE]}, "an answer is not by the assistant"),
    ({"prompt": "Hi.", "chosen": "Hello."}, "there is no text under the key 'rejected'"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "reason"), LOST)
def test_one_preference_that_cannot_be_used_is_left_out(
    tmp_path: Path, record: Any, reason: str
) -> None:
    notices: list[str] = []
    name = written(tmp_path, {"prompt": "Hi.", "chosen": "Hello.", "rejected": "Bye."}, record)
    found = read_preferences([name], DataTable(), BEST, notices.append)
    assert [one.place for one in found] == ["a.jsonl:1"]
    assert notices[0].startswith(f"a.jsonl: 1 preference left out because {reason}: a.jsonl:2.")
    assert check(name, BEST).pairs == {"train": 1}
    with pytest.raises(DataError, match=r"a\.jsonl:1"):
        preferred(tmp_path, record)


def test_an_answer_in_plain_text_is_no_transcript(tmp_path: Path) -> None:
    record = {"prompt": "Human: Hi.", "chosen": "Assistant: Hello.", "rejected": "Human: Bye."}
    assert preferred(tmp_path, record) == [
        ([("user", "Human: Hi.")], "Assistant: Hello.", "Human: Bye.")
    ]
