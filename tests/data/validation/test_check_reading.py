"""Test the check of passages with questions: it lists every problem and never stops early."""

from __future__ import annotations

import json
from pathlib import Path

from triptych.data.example import Example
from triptych.data.formats.lines import missing
from triptych.data.formats.squad import is_squad
from triptych.data.validation.squad import check, check_examples


def test_every_kind_of_problem_is_listed(tmp_path: Path) -> None:
    asked = [
        {"id": "good", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]},
        {"id": "moved", "question": "Who?", "answers": [{"text": "Babbage", "answer_start": 1}]},
        {"id": "lost", "question": "Who?", "answers": [{"text": "Turing", "answer_start": 0}]},
        {
            "id": "half",
            "question": "Who?",
            "answers": [{"text": "Turing", "answer_start": 0}, {"text": "Ada", "answer_start": 0}],
        },
        {"id": "good", "question": " ", "answers": []},
        {"id": "odd", "question": 3, "answers": []},
    ]
    train, test = tmp_path / "train.json", tmp_path / "test.json"
    train.write_text(
        json.dumps({"data": [{"paragraphs": [{"context": "Ada met Babbage.", "qas": asked}]}]})
    )
    test.write_text(
        json.dumps({"data": [{"paragraphs": [{"context": "Ada met  babbage!", "qas": asked[:1]}]}]})
    )
    (tmp_path / "broken.json").write_text("{")
    report = check(
        {
            "train": [str(train), str(tmp_path / "broken.json"), str(tmp_path / "absent.json")],
            "test": [str(test)],
        }
    )
    found = {
        (problem.place.rsplit("/", 1)[1], problem.reason.split(":")[0], problem.severity)
        for problem in report.problems
    }
    assert found == {
        ("train.json#moved", "moved answer", "warning"),
        ("train.json#lost", "wrong offset", "error"),
        ("train.json#half", "wrong offset", "warning"),
        ("train.json#good", "empty question", "error"),
        ("train.json#good", "repeated id", "warning"),
        ("train.json#odd", "unusable question", "error"),
        ("broken.json:1", "unreadable", "error"),
        ("absent.json", str(missing(tmp_path / "absent.json")), "error"),
        ("test.json#good", "leak", "error"),
    }
    assert report.pairs == {"train": 5, "test": 1}


def test_examples_that_are_right_have_no_problem() -> None:
    one = Example(question="Who?", passage="Ada", answers=[("Ada", 0)], place="a#1")
    assert check_examples({"train": [one]}) == []


def test_names_that_say_squad() -> None:
    assert all(map(is_squad, ("a.json", "a.JSON.gz", "b.tar", "b.tar.gz", "c.tgz")))
    assert not any(map(is_squad, ("a.jsonl", "a.tsv", "a.toml")))


def test_lines_that_say_squad(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '\n{"question": "Who?", "passage": "Ann did.", "answers": [{"text": "Ann", "start": 0}]}\n'
    )
    (tmp_path / "b.jsonl").write_text('{"text": "Who?", "label": "question"}\n')
    (tmp_path / "c.jsonl").write_text("no json\n")
    assert is_squad(str(tmp_path / "a.jsonl"))
    assert not is_squad(str(tmp_path / "b.jsonl")) and not is_squad(str(tmp_path / "c.jsonl"))
    assert check({"train": [str(tmp_path / "a.jsonl")]}).problems == []
