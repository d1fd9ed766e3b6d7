"""Test users' texts with references, and the public sets of them where their files are present."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from triptych.data.example import Example
from triptych.data.formats.references import written
from triptych.data.load import load_split
from triptych.data.sets import catalog
from triptych.data.sets.entry import SPLITS
from triptych.data.sets.text_to_text import ENTRIES
from triptych.data.split import sentence_key
from triptych.data.table import DataTable
from triptych.errors import DataError, UsageError

SUMMARIES = ("source", "target", "references")
QUESTIONS = ("passage", "target", "references")
ANSWERS = ("question", "passage", "target", "references")
SEVERAL = ("source", "target", "target_language", "references")


def read(
    path: Path, content: str, needs: tuple[str, ...] = SUMMARIES, report: Any = None, **table: Any
) -> Sequence[Example]:
    path.write_text(content, encoding="utf-8")
    return load_split(
        DataTable(train=str(path), validation=str(path), test=str(path), **table),
        "train",
        report,
        needs,
    )


def test_columns_keys_and_headers(tmp_path: Path) -> None:
    wanted = [("a long text", "short"), ("另一篇長文", "短")]
    for name, content in (
        ("a.tsv", "a long text\tshort\n另一篇長文\t短\n"),
        ("b.tsv", "summary\tid\tdialogue\nshort\t1\ta long text\n短\t2\t另一篇長文\n"),
        ("c.csv", 'document,summary\n"a long text",short\n另一篇長文,短\n'),
        ("d.jsonl", "".join(json.dumps({"article": a, "highlights": b}) + "\n" for a, b in wanted)),
        ("e.jsonl", "".join(json.dumps({"x": a, "y": b}) + "\n" for a, b in wanted)),
    ):
        fields: dict[str, Any] = {"fields": ["x", "y"]} if name == "e.jsonl" else {}
        found = read(tmp_path / name, content, **fields)
        assert [(one.source, one.target) for one in found] == wanted and found[0].place.startswith(
            name
        )


def test_a_list_of_targets_is_several_references(tmp_path: Path) -> None:
    lines = [
        {"source": "a", "target": ["b", " c ", ""]},
        {"source": "a\nb", "target": "d"},
        {"source": "e", "target": []},
        {"source": "", "target": "f"},
        {"source": "g", "target": " "},
    ]
    notices: list[str] = []
    found = read(
        tmp_path / "a.jsonl",
        "".join(json.dumps(line) + "\n" for line in lines),
        report=notices.append,
    )
    assert [(one.source, one.target, one.references) for one in found] == [
        ("a", "b", ["b", "c"]),
        ("a\nb", "d", None),
    ]
    assert any("3 lines without text are left out" in line for line in notices)


def test_other_tasks_have_their_columns(tmp_path: Path) -> None:
    found = read(tmp_path / "a.tsv", "Ada met Bob.\tWho met Bob?\n", QUESTIONS, source="en")
    assert (found[0].passage, found[0].target, found[0].source_language) == (
        "Ada met Bob.",
        "Who met Bob?",
        "en",
    )
    found = read(
        tmp_path / "b.tsv", "question\tpassage\tanswer\nWho?\tAda met Bob.\tShe did\n", ANSWERS
    )
    assert (found[0].question, found[0].passage, found[0].target) == (
        "Who?",
        "Ada met Bob.",
        "She did",
    )
    found = read(
        tmp_path / "c.jsonl", '{"task": "shorten", "source": "a b", "target": "a"}\n', SEVERAL
    )
    assert (found[0].source, found[0].target, found[0].target_language) == ("a b", "a", "shorten")
    line = (
        '{"question": "Who?", "context": "Ada.", "answers": [{"text": "Ada", "answer_start": 0}]}\n'
    )
    found = read(tmp_path / "d.jsonl", line, ANSWERS)
    assert (found[0].target, found[0].references) == ("Ada", ["Ada"])


SQUAD = {
    "data": [
        {
            "title": "T",
            "paragraphs": [
                {
                    "context": "Ada lived. She met Bob in 1833. He was old.",
                    "qas": [
                        {
                            "id": "1",
                            "question": "Whom did she meet?",
                            "answers": [{"text": "Bob", "answer_start": 19}],
                        },
                        {
                            "id": "2",
                            "question": "When?",
                            "answers": [
                                {"text": "1833", "answer_start": 26},
                                {"text": "in 1833", "answer_start": 23},
                                {"text": "1833", "answer_start": 26},
                            ],
                        },
                        {"id": "3", "question": "Who sang?", "is_impossible": True, "answers": []},
                        {"id": "4", "question": " ", "answers": []},
                    ],
                }
            ],
        }
    ]
}


def test_squad_json_is_asked_and_answered_in_words(tmp_path: Path) -> None:
    content = json.dumps(SQUAD)
    answered = read(tmp_path / "a.json", content, ANSWERS)
    assert [(one.target, one.references) for one in answered] == [
        ("Bob", ["Bob"]),
        ("1833", ["1833", "in 1833"]),
        ("", []),
    ]
    asked = read(tmp_path / "b.json", content, QUESTIONS)
    assert [one.passage for one in asked] == ["She met Bob in 1833."] * 2 + [
        "Ada lived. She met Bob in 1833. He was old."
    ]
    with pytest.raises(
        UsageError, match=r"c\.json holds questions on passages.*reads source, target"
    ):
        read(tmp_path / "c.json", content)


def test_answers_may_be_texts_alone_and_nothing_is_left_out_unsaid(tmp_path: Path) -> None:
    lines = [
        {"question": question, "passage": "Ada met Bob. Bob sang.", "answers": answers}
        for question, answers in (
            ("Who?", ["Ada", "She"]),
            ("Whom?", [{"text": "Bob"}]),
            ("Where?", []),
            (" ", ["Ada"]),
            ("How?", [""]),
            ("When?", [{"start": 0}]),
        )
    ]
    content, notices = "".join(json.dumps(line) + "\n" for line in lines), list[str]()
    found = read(tmp_path / "a.jsonl", content, ANSWERS, notices.append)
    assert [(one.target, one.references) for one in found] == [
        ("Ada", ["Ada", "She"]),
        ("Bob", ["Bob"]),
        ("", []),
    ]
    assert (
        len(notices) == 2
        and "2 questions (a.jsonl:5, a.jsonl:6) left out: the answer has no text" in notices[0]
    )
    assert "1 question (a.jsonl:4) left out: the question or the passage is empty" in notices[1]
    spans = read(tmp_path / "a.jsonl", content, ("question", "passage", "answers"))
    # The passage holds Bob twice.
    assert [one.answers for one in spans] == [[("Ada", 0), ("She", -1)], []]


def test_questions_on_one_sentence_are_references_of_one_example() -> None:
    one = [
        Example(question=text, passage="Ada met Bob.", answers=[("Bob", 8)])
        for text in ("Whom?", "Who was met?")
    ]
    (found,) = written(one, QUESTIONS, together=True)
    assert (found.target, found.references) == (
        "Whom?",
        ["Whom?", "Who was met?"],
    ) and found.question is None
    assert len(written(one, QUESTIONS)) == 2


def test_own_questions_are_scored_with_all_on_their_passage(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        ("Ada met Bob.", "Whom?"),
        ("Bob sang.", ["Who?", "Who sang?"]),
        ("Ada met Bob.", ["Who met Bob?", "Who met?"]),
    ]
    path.write_text(
        "".join(
            json.dumps({"passage": passage, "target": target}) + "\n" for passage, target in rows
        )
    )
    table = DataTable(train=str(path), validation=str(path), test=str(path))
    assert len(load_split(table, "train", None, QUESTIONS)) == 3
    for part in ("validation", "test"):
        found = load_split(table, part, None, QUESTIONS)
        assert [(one.target, one.references) for one in found] == [
            ("Whom?", ["Whom?", "Who met Bob?", "Who met?"]),
            ("Who?", ["Who?", "Who sang?"]),
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"source": "a", "target": 3}\n', r"a\.jsonl:1: 'target' must be a text, got 3"),
        (
            '{"source": "a", "target": ["b", null]}\n',
            r"a\.jsonl:1: 'target' must be a text, got None",
        ),
        (
            '{"source": "a", "target": "b"}\n{"source": "a"}\n',
            r"a\.jsonl:2: the key 'target' is missing",
        ),
        ('{"source": "a", "target": "b"}\nx\n', r"a\.jsonl:2: not JSON"),
        ('{"source": "a", "target": ["\\ud800"]}\n', "half a character"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.jsonl", content)


# The public sets ----------------------------------------------------------------------------------


@pytest.fixture
def real() -> None:
    folder = os.environ.get("TRIPTYCH_DATA")
    if not folder or not (Path(folder) / "samsum").is_dir():
        pytest.skip("the public sets are not at hand: set TRIPTYCH_DATA to their folder")


def part(name: str, split: str, needs: tuple[str, ...], **table: Any) -> Sequence[Example]:
    return load_split(DataTable(set=name, **table), split, None, needs)


@pytest.mark.parametrize(
    ("name", "counts"), [("samsum", (14638, 814, 819)), ("scitldr", (1989, 618, 618))]
)
def test_summaries_without_leaks(real: None, name: str, counts: tuple[int, ...]) -> None:
    parts = {split: part(name, split, SUMMARIES) for split in SPLITS}
    assert tuple(map(len, parts.values())) == counts
    keys = {
        split: {sentence_key(one.source or "") for one in examples}
        for split, examples in parts.items()
    }
    assert (
        not keys["train"] & (keys["validation"] | keys["test"])
        and not keys["validation"] & keys["test"]
    )
    assert all(
        one.source and one.target and "\r" not in one.source
        for examples in parts.values()
        for one in examples
    )
    if name == "scitldr":
        assert len(part(name, "train", SUMMARIES, leaks="keep")) == 1992
        assert len(part(name, "test", SUMMARIES, leaks="test")) < counts[2]
        assert sum(len(one.references or []) for one in parts["test"]) == 1967


def test_questions_are_trained_where_xquad_does_not_stand(real: None) -> None:
    parts = {split: part("squad-qg", split, QUESTIONS) for split in SPLITS}
    assert [len(parts[split]) for split in SPLITS] == [11395, 271, 6795]
    assert sum(len(one.references or []) for one in parts["test"]) == 10570
    assert (
        len(parts["train"]) + sum(len(one.references or []) for one in parts["validation"]) == 11877
    )
    passages = [{one.passage for one in examples} for examples in parts.values()]
    assert not passages[0] & passages[1] and not passages[0] & passages[2]
    scored = load_split(DataTable(set="xquad"), "test", None, ("question", "passage", "answers"))
    xquad = {"".join((one.question or "").lower().split()) for one in scored}
    asked = {
        split: {
            "".join(text.split())
            for one in parts[split]
            for text in one.references or [one.target or ""]
        }
        for split in parts
    }
    assert len(xquad & asked["test"]) > 800 and not xquad & (asked["train"] | asked["validation"])


def test_reading_sets_are_asked_and_answered_in_words(real: None) -> None:
    answered = part("cmrc2018", "test", ANSWERS)
    assert len(answered) == 1000 and all(one.target in (one.references or []) for one in answered)
    asked = part("cmrc2018", "test", QUESTIONS)
    assert sum(len(one.references or []) for one in asked) == 1000 and len(asked) < 1000
    assert len(asked[0].passage or "") < len(answered[0].passage or "")
    with pytest.raises(UsageError, match="The set cmrc2018 has no source"):
        part("cmrc2018", "test", SUMMARIES)


def test_every_entry_says_its_licence_and_digest() -> None:
    for entry in ENTRIES.values():
        assert entry.licence and entry.languages and entry.notes
        assert all(
            len(file.sha256) == 64 and file.address.startswith("https://") for file in entry.files
        )
    with pytest.raises(UsageError, match="no pairs"):
        catalog.load("samsum", "test")
