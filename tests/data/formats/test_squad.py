"""Test SQuAD JSON: offsets, repairs, archives, and named errors."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from triptych.data.formats.answers import ELSEWHERE, locate, standing
from triptych.data.formats.squad import questions, read
from triptych.data.table import DataTable
from triptych.errors import DataError

PASSAGE = "Ada wrote notes. Ada met Babbage in London. 日本の首都は東京です。"


def squad(
    *answers: tuple[str, int],
    question: str = "Who?",
    passage: str = PASSAGE,
    name: str = "q1",
    **more: Any,
) -> dict[str, Any]:
    one = {
        "id": name,
        "question": question,
        "answers": [{"text": text, "answer_start": start} for text, start in answers],
        **more,
    }
    return {
        "version": "1.1",
        "data": [{"title": "Ada", "paragraphs": [{"context": passage, "qas": [one]}]}],
    }


def write(path: Path, values: Any) -> Path:
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return path


def test_reads_question_passage_answers_and_place(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", squad(("Babbage", 25), ("東京", PASSAGE.index("東京"))))
    (one,) = read([str(file)], DataTable(source="en"))
    assert (one.question, one.passage, one.source_language) == ("Who?", PASSAGE, "en")
    assert one.answers == [("Babbage", 25), ("東京", PASSAGE.index("東京"))]
    assert one.place == f"{file}#q1"


def test_an_impossible_question_has_no_answers(tmp_path: Path) -> None:
    values = squad(("Babbage", 25), is_impossible=True)
    assert read([str(write(tmp_path / "a.json", values))], DataTable())[0].answers == []
    assert read([str(write(tmp_path / "b.json", squad()))], DataTable())[0].answers == []


def test_gzip_and_tar_read_alike(tmp_path: Path) -> None:
    first, second = squad(("Babbage", 25)), squad(("London", 36), name="q2")
    plain = write(tmp_path / "a.json", first)
    packed = tmp_path / "b.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert [one.answers for one in read([str(packed)], DataTable())] == [
        one.answers for one in read([str(plain)], DataTable())
    ]
    for name, mode in (("c.tar", "w"), ("c.tar.gz", "w:gz"), ("c.tgz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as tar:  # type: ignore[call-overload]
            for member, values in (
                ("z.json", second),
                ("a.json", first),
                ("readme.txt", "no JSON"),
            ):
                content = json.dumps(values).encode()
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        found = read([str(tmp_path / name)], DataTable())
        assert [one.place.rsplit(":", 1)[1] for one in found] == ["a.json#q1", "z.json#q2"]


def test_jsonl_one_question_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        {"question": "Who?", "passage": PASSAGE, "answers": [{"text": "Babbage", "start": 25}]},
        {
            "question": "Who?",
            "context": PASSAGE,
            "answers": {"text": ["London"], "answer_start": [36]},
        },
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{broken\n")
    with pytest.raises(DataError, match=r"a\.jsonl:3: not valid JSON"):
        read([str(path)], DataTable())
    path.write_text("\n".join(map(json.dumps, lines)))
    assert [(one.answers, one.place) for one in read([str(path)], DataTable())] == [
        ([("Babbage", 25)], f"{path}:1"), ([("London", 36)], f"{path}:2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "start", "found"),
    [
        ("Babbage", 25, 25),
        ("Babbage", 3, 25),  # stands only once
        ("Babbage", -1, 25),
        ("Babbage", None, 25),
        ("Ada", 18, 17),  # off by one
        ("Ada", 19, None),  # twice within reach
        ("Ada", 4000, None),
        ("Ada", None, None),
        ("Turing", 0, None),
        ("東京", 0, PASSAGE.index("東京")),
    ],
)
def test_a_wrong_offset_is_found_again_where_that_is_sure(
    text: str, start: int | None, found: int | None
) -> None:
    assert locate(text, start, PASSAGE) == found


def test_near_its_offset_once_is_sure_enough() -> None:
    passage = "Ada. " + "x" * 300 + " Ada."
    assert locate("Ada", 299, passage) == passage.rindex("Ada")


def test_an_answer_that_is_found_elsewhere_is_told_so(tmp_path: Path) -> None:
    file, notices = write(tmp_path / "a.json", squad(("Babbage", 3), name="moved")), []
    (one,) = read([str(file)], DataTable(), report=notices.append)
    assert one.answers == [("Babbage", 25)]
    assert notices == [
        (
            "a.json: answers of 1 question (a.json#moved) are not at their offset. They were "
            "found near it, or in the only place of the passage that holds them."
        )
    ]


def test_an_answer_that_is_nowhere_is_named_and_its_question_left_out(tmp_path: Path) -> None:
    file, notices = write(tmp_path / "a.json", squad(("Turing", 0), name="lost")), []
    assert read([str(file)], DataTable(), report=notices.append) == []
    assert any("lost" in line and "left out" in line for line in notices)
    (found,) = questions(file)
    assert found.lost == ("'Turing' is not in the passage (offset 0)",)
    (found,) = questions(
        write(tmp_path / "a.jsonl", {"question": "Who?", "passage": "Ada.", "answers": ["Turing"]})
    )
    assert found.lost == ("'Turing' is not in the passage",)  # no offset was given


def test_beside_a_good_answer_a_lost_one_is_only_scored_against(tmp_path: Path) -> None:
    (one,) = read(
        [str(write(tmp_path / "a.json", squad(("Turing", 0), ("London", 36))))], DataTable()
    )
    assert one.answers == [("Turing", ELSEWHERE), ("London", 36)]
    assert standing(one) == [("London", 36)]


def test_empty_questions_and_passages_are_left_out_and_counted(tmp_path: Path) -> None:
    notices: list[str] = []
    files = [
        str(write(tmp_path / "a.json", squad(("London", 36), question="  "))),
        str(write(tmp_path / "b.json", squad(passage=""))),
    ]
    assert read(files, DataTable(), report=notices.append) == []
    assert any("2 questions" in line and "empty" in line for line in notices)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"data": [\n{"paragraphs": [}', r"a\.json:2: not valid JSON"),
        (b"\xff", r"a\.json:1: byte 0xFF is not UTF-8"),
        (b"{}", r"a\.json:1: there is no list of articles"),
        (b"", r"a\.json:1: not valid JSON"),
        (b'{"data": [3]}', r"data\[0\].*no list under 'paragraphs'"),
        (b'{"data": [{"paragraphs": [{"qas": []}]}]}', r"data\[0\]\.paragraphs\[0\].*the passage"),
        (
            b'{"data": [{"paragraphs": [{"context": "x", "qas": [7]}]}]}',
            r"qas\[0\].*expected an object",
        ),
        (
            b'{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "q", "answers": []}]}]}]}',
            r"#q: the question is missing",
        ),
        (
            b'{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "q", "question": '
            b'"?"}]}]}]}',
            r"#q: the answers are not a list",
        ),
        (b'{"data": [{"paragraphs": [{"context": "x\\ud800", "qas": []}]}]}', r"the passage"),
        (b"[" * 100_000, r"a\.json:1: not valid JSON"),
    ],
)
def test_what_is_no_squad_json_is_said_with_its_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read([str(tmp_path / "a.json")], DataTable())


def test_broken_archives_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar at all" * 100)
    (tmp_path / "a.json.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="not a whole tar"):
        read([str(tmp_path / "a.tar")], DataTable())
    with pytest.raises(DataError, match="gzip"):
        read([str(tmp_path / "a.json.gz")], DataTable())
    with tarfile.open(tmp_path / "b.tar", "w"):
        pass
    with pytest.raises(DataError, match=r"holds no \.json"):
        read([str(tmp_path / "b.tar")], DataTable())


def test_questions_on_one_passage_stay_in_one_part(tmp_path: Path) -> None:
    from triptych.data.load import load_split

    paragraphs = [
        {
            "context": f"Passage {number} says yes.",
            "qas": [
                {
                    "id": f"{number}-{place}",
                    "question": f"What is {place}?",
                    "answers": [{"text": "yes", "answer_start": 0}],
                }
                for place in range(3)
            ],
        }
        for number in range(400)
    ]
    table = DataTable(train=str(write(tmp_path / "a.json", {"data": [{"paragraphs": paragraphs}]})))
    parts = [
        {one.passage for one in load_split(table, part, None, ("question", "passage", "answers"))}
        for part in ("train", "validation", "test")
    ]
    assert all(parts)
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


TWICE = "Ann met Bob in Oslo. Later Ann met Cy in Rome."


@pytest.mark.parametrize("offset", ["27", " 27 ", "27.0", 27.0, 27])
def test_an_offset_is_read_however_it_is_written(tmp_path: Path, offset: Any) -> None:
    file, notices = write(tmp_path / "a.json", squad(("Ann", offset), passage=TWICE)), []
    (one,) = read([str(file)], DataTable(), report=notices.append)
    assert one.answers == [("Ann", 27)] and notices == []
    lists = {
        "question": "Who?",
        "passage": TWICE,
        "answers": {"text": ["Ann"], "answer_start": [offset]},
    }
    (one,) = read([str(write(tmp_path / "a.jsonl", lists))], DataTable())
    assert one.answers == [("Ann", 27)]


@pytest.mark.parametrize(
    ("offset", "shown"),
    [
        ("x", "'x'"),
        (27.5, "27.5"),
        (True, "True"),
        ([27], "a list"),
        ("9" * 5000, "9" * 39),
        (float("inf"), "inf"),
    ],
)
def test_an_offset_that_is_not_a_whole_number_is_named(
    tmp_path: Path, offset: Any, shown: str
) -> None:
    (found,) = questions(write(tmp_path / "a.json", squad(("Ann", offset), passage=TWICE)))
    assert (
        "'Ann' occurs 2 times in the passage, offset " in found.lost[0]
        and "which is not a whole number" in found.lost[0]
    )
    assert shown in found.lost[0] and len(found.lost[0]) < 180
    # There is no doubt about its place.
    (found,) = questions(write(tmp_path / "a.json", squad(("Bob", offset), passage=TWICE)))
    assert found.example.answers == [("Bob", 8)] and shown in found.moved[0]


@pytest.mark.parametrize("offset", [24, 30, 10**20, -(10**20), 1e308])
def test_an_answer_that_stands_twice_is_not_called_absent(tmp_path: Path, offset: Any) -> None:
    (found,) = questions(write(tmp_path / "a.json", squad(("Ann", offset), passage=TWICE)))
    assert found.lost[0].startswith("'Ann' occurs 2 times in the passage, none at offset")


@pytest.mark.parametrize(
    ("given", "impossible"),
    [
        ("true", True),
        ("True", True),
        (1, True),
        ("false", False),
        ("FALSE", False),
        (0, False),
        (None, False),
        ("", False),
    ],
)
def test_impossible_is_read_however_it_is_written(
    tmp_path: Path, given: Any, impossible: bool
) -> None:
    file = write(tmp_path / "a.json", squad(("Babbage", 25), is_impossible=given))
    assert read([str(file)], DataTable())[0].answers == ([] if impossible else [("Babbage", 25)])


def test_what_is_neither_true_nor_false_and_odd_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.json#q1: is_impossible is 'maybe'; it must be true or false"
    ):
        read(
            [str(write(tmp_path / "a.json", squad(("Babbage", 25), is_impossible="maybe")))],
            DataTable(),
        )
    for starts, has in (([1, 2], "2 offsets"), (1, "offsets that are not a list")):
        lists = {
            "question": "Who?",
            "passage": TWICE,
            "answers": {"text": ["Ann"], "answer_start": starts},
        }
        with pytest.raises(DataError, match=f"1 texts and {has}"):
            read([str(write(tmp_path / "a.jsonl", lists))], DataTable())
