"""Test JSONL of words with tags and of texts with spans: keys, words, borders, what is left out."""

from __future__ import annotations

import json

import pytest

from triptych.data.example import Example
from triptych.data.formats import bio
from triptych.data.formats.conll import examples_of
from triptych.errors import DataError, UsageError


def rows(*records: object) -> list[str]:
    return [json.dumps(one, ensure_ascii=False) for one in records]


def entities(example: Example) -> list[tuple[str, str]]:
    """(type, text) of each span."""
    words, text = example.words or [], example.text or ""
    return [
        (kind, text[words[first][0] : words[last - 1][1]])
        for kind, first, last in bio.spans(example.tags or [])
    ]


@pytest.mark.parametrize("words", ["words", "tokens"])
@pytest.mark.parametrize("tags", ["tags", "ner_tags", "labels", "upos", "pos_tags"])
def test_words_and_tags_have_the_usual_keys(words: str, tags: str) -> None:
    notices: list[str] = []
    record = {"id": "7", words: ["Eva", "hums", "."], tags: ["B-PER", "O", "O"]}
    lines = rows(record, {**record, words: ["1 000"], tags: ["B-NUM"]})
    first, second = examples_of(["", *lines], "f.jsonl", report=notices.append)
    assert (first.text, first.tags) == ("Eva hums .", ["B-PER", "O", "O"])
    assert first.place == "f.jsonl:2" and second.words == [(0, 5)]
    assert f"JSONL with '{words}' and '{tags}', BIO, 2 sentences, 4 words" in notices[0]


def test_a_given_text_keeps_its_spaces_and_columns_name_keys() -> None:
    record = {
        "text": "我叫Eva。",
        "tokens": ["我", "叫", "Eva", "。"],
        "ner_tags": ["O", "O", "B-PER", "O"],
        "pos": ["PRON", "VERB", "PROPN", "PUNCT"],
    }
    assert examples_of(rows(record), "f")[0].text == "我叫Eva。"
    (one,) = examples_of(rows(record), "f", ["tokens", "pos"])
    assert one.tags == record["pos"] and one.words == [(0, 1), (1, 2), (2, 5), (5, 6)]
    with pytest.raises(UsageError, match=r"Unknown key 'po' of f in data\.columns.*pos"):
        examples_of(rows(record), "f", ["tokens", "po"])
    with pytest.raises(UsageError, match="names 1 key"):
        examples_of(rows(record), "f", ["tokens"])
    body = {"body": "Eva hums", "marks": [[0, 3, "PER"]]}
    assert entities(examples_of(rows(body), "f", ["body", "marks"])[0]) == [("PER", "Eva")]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"tokens": ["Eva"], "ner_tags": [3]}, r"f:2: 'ner_tags' holds numbers \(3\).*\.names\)"),
        ({"tokens": ["Eva"], "ner_tags": [["O"]]}, "f:2: tag 1 must be a text, got a list"),
        ({"tokens": ["Eva", "Ray"], "ner_tags": ["O"]}, "f:2: 'tokens' has 2 words and .* 1 tags"),
        ({"tokens": ["Eva", " "], "ner_tags": ["O", "O"]}, "f:2: no word: word 2 is empty or whi"),
        ({"tokens": ["Eva", 3], "ner_tags": ["O", "O"]}, "f:2: word 2 must be a text, got 3"),
        ({"tokens": "Eva", "ner_tags": ["O"]}, "f:2: 'tokens' must be a list, got 'Eva'"),
        ({"tokens": ["\ud800"], "ner_tags": ["O"]}, "f:2: word 1 must be a text"),
        ({"ner_tags": ["O"]}, "f:2: the key 'tokens' is missing; there are ner_tags"),
        ([], "f:2: expected a JSON object, got a list"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(record: object, message: str) -> None:
    good = {"tokens": ["Eva"], "ner_tags": ["B-PER"]}
    with pytest.raises(DataError, match=message):
        examples_of([*rows(good), json.dumps(record)], "f")


def test_other_records_are_refused_with_their_keys() -> None:
    with pytest.raises(DataError, match="the first record has sentence, entity, where 'words'"):
        examples_of(rows({"sentence": "Eva", "entity": "Eva"}), "f")
    with pytest.raises(DataError, match="'ner_tags' holds numbers"):
        examples_of(rows({"tokens": ["Eva", "hums"], "ner_tags": [1, 0]}), "f")


def test_sentences_without_a_tag_are_left_out_and_told() -> None:
    notices: list[str] = []
    lines = rows(
        {"words": ["Eva", "hums"], "tags": ["B-PER", ""]},
        {"words": ["Ray"], "tags": ["B-PER"]},
        {"words": ["Ray", "x"], "tags": ["B-PER", None]},
        {"words": [], "tags": []},
    )
    (one,) = examples_of(lines, "a/f", report=notices.append)
    assert one.text == "Ray"
    assert "a/f: 2 sentences left out, because a word has no tag (f:1, f:3)." in notices
    assert "a/f: 1 record left out, because their text is empty (f:4)." in notices


@pytest.mark.parametrize(
    "spans",
    [
        {"spans": [{"start": 0, "end": 7, "label": "PER"}, {"start": 16, "end": 20, "label": "L"}]},
        {"entities": [[0, 7, "PER"], [16, 20, "L"]]},
        {"entities": [{"start": 0, "end": 7, "label": "PER", "score": 1}, [16, 20, "L"]]},
    ],
)
def test_spans_are_characters_of_the_text(spans: dict[str, object]) -> None:
    notices: list[str] = []
    (one,) = examples_of(
        rows({"text": "Eva Ray flew to Oslo.", **spans}), "f", report=notices.append
    )
    assert one.tags == ["B-PER", "I-PER", "O", "O", "B-L", "O"]
    assert one.text == "Eva Ray flew to Oslo." and (one.words or [])[-2:] == [(16, 20), (20, 21)]
    assert "split into words by the rule 'unicode' (task.words), BIO" in notices[0]
    assert len(notices) == 1  # nothing is moved or left out


def test_words_are_those_of_raw_text_in_use() -> None:
    from triptych.data.segmentation import words as rules

    text = "  Eva's  3.5 km\n我們在台北101。\u3000"
    (one,) = examples_of(
        rows({"text": text, "spans": [{"start": 17, "end": 19, "label": "L"}]}), "f"
    )
    assert one.words == rules.split(text) and one.text == text
    assert entities(one) == [("L", "們在")]  # Chinese goes by character


def test_borders_inside_words_move_to_the_nearest_and_are_told() -> None:
    notices: list[str] = []
    text = "Oslo-based Eva hums"
    lines = rows(
        {"text": text, "spans": [{"start": 0, "end": 4, "label": "LOC"}]},  # the only word
        {"text": text, "spans": [{"start": 11, "end": 16, "label": "PER"}]},  # a letter too many
        {"text": text, "spans": [{"start": 10, "end": 15, "label": "PER"}]},  # spaces do not count
        {"text": text, "spans": [{"start": 12, "end": 14, "label": "PER"}]},  # a letter too few
    )
    found = examples_of(lines, "f", report=notices.append)
    assert [entities(one) for one in found] == [
        [("LOC", "Oslo-based")],
        [("PER", "Eva")],
        [("PER", "Eva")],
        [("PER", "Eva")],
    ]
    assert "f: 3 spans moved to the nearest borders of words (f:1, f:2, f:4)." in notices


def test_overlapping_and_empty_spans_are_left_out_and_told() -> None:
    notices: list[str] = []
    spans = [
        {"start": 0, "end": 3, "label": "PER"},
        {"start": 0, "end": 15, "label": "ORG"},
        {"start": 0, "end": 15, "label": "ORG"},  # twice the same is once
        {"start": 13, "end": 20, "label": "X"},
        {"start": 3, "end": 4, "label": "X"},
        {"start": 5, "end": 5, "label": "X"},
        {"start": 16, "end": 99, "label": "X"},
        {"start": -2, "end": 3, "label": "X"},
        {"start": 16, "end": 20, "label": "X"},
    ]
    (one,) = examples_of(
        rows({"text": "Eva Ray and Son hums", "spans": spans}), "f", report=notices.append
    )
    assert entities(one) == [("ORG", "Eva Ray and Son"), ("X", "hums")]
    assert "f: 4 spans left out, because they hold no word of their text (f:1, f:1, f:1, ...)." in (
        notices
    )
    told = "f: 2 spans left out, because they overlap a longer one (f:1, f:1)."
    assert told in notices


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([{"start": 0, "label": "X"}], "f:2: 'spans': span 1 needs start and end as numbers"),
        ([{"start": "0", "end": 3, "label": "X"}], "f:2: 'spans': span 1 needs start"),
        ([[0, 3, "X"], [0, True, "X"]], "f:2: 'spans': span 2 needs start"),
        ([[0, 3]], "f:2: 'spans': span 1 needs start"),
        ([[0, 3, " "]], "f:2: 'spans': span 1 needs a label"),
        ([[0, 3, 7]], "f:2: 'spans': span 1 needs a label"),
        ({}, "f:2: 'spans' must be a list, got an object"),
    ],
)
def test_spans_that_cannot_be_read_are_named(spans: object, message: str) -> None:
    good = {"text": "Eva", "spans": []}
    with pytest.raises(DataError, match=message):
        examples_of(rows(good, {"text": "Eva", "spans": spans}), "f")


def test_a_text_may_have_no_span_but_says_so() -> None:
    lines = rows(*({"text": "Eva hums", "spans": given} for given in ([], None)))
    assert [one.tags for one in examples_of(lines, "f")] == [["O", "O"]] * 2
    with pytest.raises(DataError, match="f:3: the key 'spans' is missing; write an empty list"):
        examples_of([*lines, '{"text": "Eva", "span": []}'], "f")
    with pytest.raises(DataError, match="f:3: 'text' must be a text, got None"):
        examples_of([*lines, '{"text": null, "spans": []}'], "f")
