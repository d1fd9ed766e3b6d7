"""Test the containers and tables in which questions on passages come, and what is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from triptych.data.formats.squad import is_question_file, is_squad, own_record, questions, read
from triptych.data.table import DataTable
from triptych.data.validation.squad import check
from triptych.errors import DataError

PASSAGE = "Eve sold Dan a boat in Bonn. Soon Eve left Bonn."  # Eve 0, 34; Bonn 23, 43
FLAT = {"question": "Who?", "context": PASSAGE}
SPAN = {"text": "Eve", "answer_start": 34}


def written(folder: Path, content: Any, name: str = "a.json") -> str:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def answers(name: str, columns: Mapping[str, str | int] | None = None) -> list[Any]:
    table = DataTable(columns=dict(columns) if columns else None)
    return [one.answers for one in read([name], table)]


QAS = {"context": PASSAGE, "qas": [{"id": 7, "question": "Who?", "answers": [SPAN]}]}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "content",
    [
        {"data": [{**FLAT, "answers": [SPAN]}]},
        {"data": [{**FLAT, "answers": {"text": ["Eve"], "answer_start": [34]}}], "version": "x"},
        [QAS],
        {"data": [QAS]},
        QAS,
        {"title": "t", "paragraphs": [QAS]},
        [{"title": "t", "paragraphs": [QAS]}],
        [{**FLAT, "answers": [SPAN]}],
        [{**FLAT, "answers": SPAN}],
        [{**FLAT, "answers": ["Eve"], "answer_start": [34]}],
        [{**FLAT, "answer": "Eve", "answer_start": 34}],
        [{**FLAT, "answer_text": "Eve", "answer_start": "34"}],
        [{"question": "Who?", "passage": PASSAGE, "answer": SPAN}],
    ],
)
def test_every_usual_container_is_read(tmp_path: Path, content: Any, indent: int | None) -> None:
    name = written(tmp_path, json.dumps(content, indent=indent))
    assert answers(name) == [[("Eve", 34)]]
    assert is_question_file(name)
    report = check({"train": [name]})
    assert (report.problems, report.pairs) == ([], {"train": 1})


def test_lines_of_a_json_file_and_of_jsonl(tmp_path: Path) -> None:
    lines = [{**FLAT, "answers": {"text": ["Eve"], "answer_start": [34]}}, QAS]
    text = "\n".join(map(json.dumps, lines))
    for name in ("a.jsonl", "a.json"):
        file = written(tmp_path, text, name)
        assert is_squad(file) and answers(file) == [[("Eve", 34)]] * 2


def test_a_text_alone_is_located_if_it_stands_once(tmp_path: Path) -> None:
    records = [{**FLAT, "answer": text} for text in ("Dan", "Eve", "Fay")]
    notices: list[str] = []
    found = read([written(tmp_path, records)], DataTable(), report=notices.append)
    assert [one.answers for one in found] == [[("Dan", 9)]]
    assert any("2 questions" in line and "left out" in line for line in notices)


TABLE = f"question,context,answer,answer_start\nWho?,{PASSAGE},Eve,34\nWhat?,{PASSAGE},a boat,\n"


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.csv", TABLE, None),
        ("a.tsv", TABLE.replace(",", "\t"), None),
        ("a.csv", TABLE.replace("context", "Passage").replace("question", "Question"), None),
        ("a.csv", TABLE.replace("question,context,answer,", "f,p,a,"),
         {"question": "f", "passage": "p", "answer": "a"}),
        ("a.csv", TABLE.replace("question,context,answer,answer_start", "f,p,a,s"),
         {"question": 1, "passage": 2, "answer": 3, "start": 4, "header": "yes"}),
    ],
)  # fmt: skip
def test_tables(tmp_path: Path, name: str, text: str, columns: dict[str, str | int] | None) -> None:
    file = written(tmp_path, text, name)
    assert answers(file, columns) == [[("Eve", 34)], [("a boat", 13)]]
    assert read([file], DataTable(columns=columns))[1].place == f"{file}:3"
    assert columns or is_question_file(file)
    assert check({"train": [file]}, columns).problems == []


def test_a_cell_with_the_answers_of_a_data_set(tmp_path: Path) -> None:
    cells = (
        "{'text': ['Eve'], 'answer_start': [34]}",
        '{""text"": [""Eve""], ""answer_start"": [34]}',
    )
    rows = [f'Who?,{PASSAGE},"{cell}"' for cell in (*cells, "[]", "{Eve}")]
    file = written(tmp_path, "\n".join(["question,context,answers", *rows]), "a.csv")
    found = list(questions(file))
    assert [one.example.answers for one in found] == [
        [("Eve", 34)],
        [("Eve", 34)],
        [],
        [("{Eve}", -1)],
    ]


def test_keys_of_json_can_be_named(tmp_path: Path) -> None:
    record = {"frage": "Who?", "text": PASSAGE, "antwort": "Eve", "von": 34, "answers": ["x"]}
    columns = {"question": "frage", "passage": "text", "answer": "antwort", "start": "von"}
    for content in ([record], json.dumps(record)):
        assert answers(written(tmp_path, content), columns) == [[("Eve", 34)]]


def test_answers_in_other_words_are_no_spans(tmp_path: Path) -> None:
    """They are for generative-answering, whose files have the same columns."""
    rows = "".join(f"Who?\t{PASSAGE}\tShe sold it to number {n}.\n" for n in range(4))
    table = written(tmp_path, f"question\tpassage\tanswer\n{rows}", "a.tsv")
    assert not is_question_file(table)
    lines = "\n".join(json.dumps({**FLAT, "answer": f"Not {n}"}) for n in range(4))
    assert not is_question_file(written(tmp_path, lines, "a.jsonl"))
    lines = "\n".join(json.dumps({**FLAT, "answer": "Dan"}) for _ in range(4))
    assert is_question_file(written(tmp_path, lines, "a.jsonl"))
    assert not is_squad(str(tmp_path / "a.jsonl"))  # which other tasks read by its keys


# Offsets --------------------------------------------------------------------------------------

FACES = "\U0001f600\U0001f601 Jo met Al. Then Al saw Jo."  # Al 10, 19
ACCENTS = "Été: Zoé saw Léa. Later Léa saw Zoé."


@pytest.mark.parametrize(
    ("passage", "text", "offset", "found"),
    [
        (FACES, "Al", 21, 19),  # UTF-16
        (FACES, "Al", len(FACES[:19].encode()), 19),  # bytes
        (ACCENTS, "Zoé", len(ACCENTS[:32].encode()), 32),
        (ACCENTS, "Léa", 24, 24),
    ],
)
def test_offsets_in_other_units_lead_to_their_answer(
    tmp_path: Path, passage: str, text: str, offset: int, found: int
) -> None:
    record = {"question": "Who?", "context": passage, "answers": [{"text": text, "start": offset}]}
    name, notices = written(tmp_path, [record]), list[str]()
    (one,) = read([name], DataTable(), report=notices.append)
    assert one.answers == [(text, found)]
    if offset != found:
        assert "1 question" in notices[0] and "count UTF-16 units or bytes" in notices[0]
        (problem,) = check({"train": [name]}).problems
        assert problem.severity == "warning" and problem.reason.startswith(
            f"other offsets: '{text}' is at {found}, not at offset {offset}, which counts "
        )


@pytest.mark.parametrize(("offset", "found"), [(33, 34), (35, 34), (1, 0), (34, 34)])
def test_an_offset_that_is_off_by_one_is_moved(tmp_path: Path, offset: int, found: int) -> None:
    name = written(tmp_path, [{**FLAT, "answers": [{"text": "Eve", "answer_start": offset}]}])
    assert answers(name) == [[("Eve", found)]]
    kinds = [one.reason.split(":")[0] for one in check({"train": [name]}).problems]
    assert kinds == ["moved answer"] * (offset != found)


def test_between_two_places_one_off_nothing_is_moved(tmp_path: Path) -> None:
    record = {"question": "?", "context": "ab ab.", "answers": [{"text": "b", "answer_start": 9}]}
    near = {"question": "?", "context": "xbxbx", "answers": [{"text": "b", "answer_start": 2}]}
    (first, second) = questions(written(tmp_path, [record, near]))
    for one, offset in ((first, 9), (second, 2)):
        assert one.lost == (f"'b' occurs 2 times in the passage, none at offset {offset}",)


def test_other_capital_letters_are_named(tmp_path: Path) -> None:
    (one,) = questions(written(tmp_path, [{**FLAT, "answers": [{"text": "eve", "start": 34}]}]))
    assert one.lost == ("'eve' is not in the passage (offset 34), only with other capital letters",)


# What cannot be used --------------------------------------------------------------------------

FINE = {**FLAT, "id": "fine", "answers": [SPAN]}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"context": PASSAGE, "answers": [SPAN]}, "the question is missing or is not a text"),
        ({"question": "Who?", "answers": [SPAN]},
         "the passage (key 'passage' or 'context') is missing or is not a text"),
        ({**FINE, "is_impossible": "perhaps"}, "is_impossible is 'perhaps'; it must be true or"),
        ({**FLAT, "answers": {"text": ["Eve"], "answer_start": [3, 4]}},
         "the answers have 1 texts and 2 offsets"),
        ({**FLAT, "answers": 5}, "the answers are not a list"),
        ({"text": "Hot.", "label": "x"}, "there is no list under 'paragraphs', and no 'question'"),
        ({"paragraphs": {}}, "there is no list under 'paragraphs'"),
        ({"context": 3, "qas": []}, "the passage (key 'context') is missing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_one_record_without_a_question_is_left_out(
    tmp_path: Path, record: Any, reason: str, name: str
) -> None:
    both = [FINE, record]
    file = written(tmp_path, both if name == "a.json" else "\n".join(map(json.dumps, both)), name)
    notices: list[str] = []
    (one,) = read([file], DataTable(), report=notices.append)
    assert one.answers == [("Eve", 34)]
    assert notices[0].startswith(f"{name}: 1 question left out because {reason}")
    (problem,) = check({"train": [file]}).problems
    assert problem.reason.startswith(f"unusable question: {reason}")
    assert problem.reason.endswith("It is left out.") and problem.severity == "error"
    alone = written(tmp_path, [record] if name == "a.json" else json.dumps(record), name)
    with pytest.raises(DataError) as caught:
        read([alone], DataTable())
    assert reason in str(caught.value)


def test_many_kinds_of_unusable_records_are_told_in_a_few_lines(tmp_path: Path) -> None:
    odd = [{**FINE, "id": n, "is_impossible": f"perhaps {n}"} for n in range(20)]
    notices: list[str] = []
    read([written(tmp_path, [FINE, *odd])], DataTable(), report=notices.append)
    assert len(notices) == 9 and "12 more left out for other reasons" in notices[8]
    with pytest.raises(DataError, match=r"none of its 20 questions.*12 other reasons") as caught:
        read([written(tmp_path, odd)], DataTable())
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("content", "known"),
    [
        ([{"text": "Hot.", "label": "yes"}], False),
        ([{"messages": [{"role": "user", "content": "Hot?"}]}], False),
        ('{"source": "a", "target": "b"}\n{"source": "a", "target": "b"}\n', False),
        ({"metadata": {"about": "weather"}, "rows": [1]}, False),
        ('{\n"rows": [1]\n}', True),  # one object: its error says what is expected
    ],
)
def test_a_json_file_of_something_else_is_not_called_squad(
    tmp_path: Path, content: Any, known: bool
) -> None:
    assert is_squad(written(tmp_path, content)) == known


def test_one_unknown_object_is_said_with_what_is_allowed(tmp_path: Path) -> None:
    name = written(tmp_path, '{\n"rows": [1], "notes": 2\n}')
    (problem,) = check({"train": [name]}).problems
    assert problem.reason.startswith(
        'unreadable: there is no list of articles under "data", but an object with the keys rows, '
        "notes."
    )
    assert "labelled texts" in problem.reason and "list of objects" in problem.reason


def test_a_question_is_written_as_our_own(tmp_path: Path) -> None:
    kept = [
        {**FINE, "answers": [SPAN, {"text": "Ivo", "answer_start": 1}]},
        {**FLAT, "answers": []},
    ]
    found = read([written(tmp_path, kept)], DataTable())
    again = [own_record(one) for one in found]
    assert again[0] == {
        "question": "Who?",
        "passage": PASSAGE,
        "answers": [{"text": "Eve", "start": 34}],
    }
    assert answers(written(tmp_path, "\n".join(map(json.dumps, again)), "b.jsonl")) == [
        [("Eve", 34)],
        [],
    ]
