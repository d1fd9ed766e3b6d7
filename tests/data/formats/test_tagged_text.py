"""Test words with their tags in running text: word|TAG, word_TAG, word/TAG, OpenNLP's spans."""

from __future__ import annotations

import pytest

from triptych.data.formats.conll import examples_of
from triptych.data.formats.tagged_text import form_of
from triptych.errors import DataError


@pytest.mark.parametrize("sign", ["|", "_", "/"])
def test_a_line_is_a_sentence(sign: str) -> None:
    rows = "Eva%B-PER hums%O .%O", "", "Nice%B-LOC 1/2%O a_b%O x|y%O %%%O"
    rows = tuple(row.replace("%", sign) for row in rows)
    notices: list[str] = []
    first, second = examples_of(rows, "f.txt", report=notices.append)
    assert (first.text, first.tags, first.place) == ("Eva hums .", ["B-PER", "O", "O"], "f.txt:1")
    # The tag follows the last sign of a token.
    assert second.text == f"Nice 1/2 a_b x|y {sign * 2}" and second.place == "f.txt:3"
    assert f"text of word{sign}TAG, BIO, 2 sentences, 8 words" in notices[0]


def test_spellings_of_spans_are_known_here_too() -> None:
    (one,) = examples_of(["Eva|b_per Ray|l_per hums|o"], "f")
    assert one.tags == ["B-per", "E-per", "O"]


def test_a_word_a_line_is_read_in_blocks() -> None:
    rows = ["Eva|B-PER", "hums|O", "", "-DOCSTART-|O", "", "Oslo|B-LOC"]
    assert [one.text for one in examples_of(rows, "f")] == ["Eva hums", "Oslo"]


def test_columns_stay_columns() -> None:
    for rows in (
        ["a|b X", "c|d O"],  # the tag has no sign
        ["a_b\tB_X", "c_d\tI_X"],
        ["Eva B_PER", "hums O"],
        ["Eva sings ."],
        [],
    ):
        assert form_of(rows) is None
    # data.fields says that there are columns.
    assert examples_of(["a_b N_N", "c_d V_V"], "f", ["1", "2"])[0].tags == ["N_N", "V_V"]


def test_a_word_without_its_tag_is_named_with_its_line() -> None:
    rows = ["Eva|O hums|O"] * 120 + ["Eva|O hums low|O"]
    with pytest.raises(DataError, match=r"f:121: no tag: 'hums' is not a word, \| and a tag"):
        examples_of(rows, "f")
    assert form_of([*rows[-1:], *rows]) is None  # the first lines decide


def test_spans_of_opennlp() -> None:
    notices: list[str] = []
    rows = [
        "<START:person> Eva Ray <END> flew to <START:place> Oslo <END> .",
        "",
        "Nobody <START> came <END>",
    ]
    first, second = examples_of(rows, "f", report=notices.append)
    assert first.text == "Eva Ray flew to Oslo ."
    assert first.tags == ["B-person", "I-person", "O", "O", "B-place", "O"]
    assert second.tags == ["O", "B-default"] and second.place == "f:3"
    assert "<START:type> ... <END> around spans" in notices[0]
    with pytest.raises(DataError, match="f:102: wrong span: each <START:type> needs its <END>"):
        examples_of(["<START:a> x <END> y"] * 101 + ["<START:a> x"], "f")
    assert form_of(["<START:a> x", "y <END>"]) is None
