"""Test the inputs of a user: --passage as file or text, columns between tabs, JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tasks"))
from toy_reading import predictor

from triptych.cli.inputs import _object, example_of, examples_of, read_passage
from triptych.errors import DataError, UsageError


def test_a_passage_is_a_file_s_content_or_the_text_itself(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeff東京 is\r\nhere".encode())
    assert read_passage(str(file)) == "東京 is\r\nhere"
    assert read_passage("Ada met Babbage.") == "Ada met Babbage."
    assert (
        read_passage(None) is None
        and read_passage("") == ""
        and read_passage(str(tmp_path)) == str(tmp_path)
    )
    assert read_passage("x" * 10_000) == "x" * 10_000 and read_passage("a\0b") == "a\0b"
    file.write_bytes(b"ok \xff")
    with pytest.raises(DataError, match=":1: byte 0xFF is not UTF-8"):
        read_passage(str(file))


def test_columns_json_and_a_fixed_passage_mean_the_same() -> None:
    reader = predictor()
    columns = example_of("Who?\tAda met.", reader, "line 1", None, {}, False)
    objects = example_of(
        json.dumps({"passage": "Ada met.", "question": "Who?"}), reader, "line 1", None, {}, False
    )
    fixed = example_of("Who?", reader, "line 1", None, {"passage": "Ada met."}, False)
    assert columns == objects == fixed and (columns.question, columns.passage) == (
        "Who?",
        "Ada met.",
    )


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("Who?", UsageError, "line 7 has 1 column.*2 separated by tabs: question, passage"),
        ("a\tb\tc", UsageError, "3 columns"),
        ('{"question": "Who?"}', UsageError, "line 7 has no passage"),
        ('{"question": "Who?", "passage": 3}', DataError, "'passage' is 3"),
        ('{"question": "Who?", "passag": "x"}', UsageError, "Unknown input 'passag'.*in line 7"),
        ('{"question": ', DataError, "line 7 is not valid JSON"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(line: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        example_of(line, predictor(), "line 7", None, {}, False)


def test_words_are_split_at_spaces_where_told() -> None:
    one = example_of(" Who  met?", predictor(), "line 1", None, {"passage": "x"}, True)
    assert one.words == [(1, 4), (6, 10)]


def test_a_bad_line_leaves_its_neighbours_alone() -> None:
    problems: dict[int, str] = {}
    lines = ["Who?\tAda", "", "no tab", "Where?\tLondon"]
    found = examples_of(
        lines, predictor(), [f"stdin:{n}" for n in range(1, 5)], None, {}, False, problems
    )
    assert [one.question for one in found] == ["Who?", None, None, "Where?"]
    assert list(problems) == [2] and problems[2].startswith("stdin:3")


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 5000, "[[1]]"])
def test_json_that_cannot_be_held_is_named(value: str) -> None:
    with pytest.raises(
        DataError, match=r"text 1.*(cannot be read as JSON|'a' is a list; it must be a text)"
    ):
        _object(f'{{"a": {value}}}', "text 1")


def test_a_passage_that_is_a_mistyped_file_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"There is no file leter\.txt"):
        read_passage("leter.txt")
    assert read_passage("Ann wrote letter.txt") == "Ann wrote letter.txt"
    assert read_passage("Ann.") == "Ann."
