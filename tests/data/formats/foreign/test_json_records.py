"""Read the JSON that annotation tools export, record by record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from triptych.data.formats.foreign.own_lines import foreign, own_lines
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.errors import DataError

Own = list[dict[str, object]]


def written(path: Path, records: Sequence[object], as_list: bool = False) -> Path:
    """Write records as JSONL, or as a JSON list with an item a line."""
    lines = [json.dumps(one, ensure_ascii=False) for one in records]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n" if as_list else "\n".join(lines) + "\n")
    return path


def read(path: Path) -> tuple[Own, list[str]]:
    """Return our own records of a file, and what is told of it."""
    told: list[str] = []
    lines = own_lines(path, told.append)
    return [json.loads(line) for line in lines if line.strip()], told


def test_doccano_classification(tmp_path: Path) -> None:
    records = [
        {"id": 7, "text": "Where is my tea?", "label": ["order"], "Comments": []},
        {"id": 8, "text": "It was cold.", "label": ["complaint"], "Comments": ["sure?"]},
        {"id": 9, "text": "Not looked at.", "label": [], "Comments": []},
        {"id": 10, "text": "  ", "label": ["order"], "Comments": []},
    ]
    found, told = read(written(tmp_path / "a.jsonl", records))
    assert found == [
        {"text": "Where is my tea?", "label": "order"},
        {"text": "It was cold.", "label": "complaint"},
    ]
    assert told == [
        "a.jsonl: read as doccano's texts with labels.",
        "a.jsonl: 1 record left out, without a label: line 3.",
        "a.jsonl: 1 record left out, without a text under 'text': line 4.",
    ]


def test_doccano_with_several_labels_a_text(tmp_path: Path) -> None:
    records = [
        {"id": 1, "data": "Cold and late.", "label": ["cold", "late"]},
        {"id": 2, "data": "Late.", "label": ["late"]},
    ]
    found, _ = read(written(tmp_path / "a.json", records, as_list=True))
    assert found == [
        {"text": "Cold and late.", "labels": ["cold", "late"]},
        {"text": "Late.", "labels": ["late"]},
    ]


@pytest.mark.parametrize("key", ["label", "labels", "entities"])
def test_doccano_spans_under_old_and_new_keys(tmp_path: Path, key: str) -> None:
    records = [
        {"id": 1, "text": "Nothing here.", key: []},
        {"id": 2, "text": "Ada met Bo.", key: [[8, 10, "PER"], [0, 3, "PER"]]},
        {"id": 3, "text": "Oslo", key: [[0, 9, "LOC"]]},
    ]
    found, told = read(written(tmp_path / "a.jsonl", records))
    assert found == [
        {"text": "Nothing here.", "spans": []},
        {
            "text": "Ada met Bo.",
            "spans": [
                {"start": 0, "end": 3, "label": "PER"},
                {"start": 8, "end": 10, "label": "PER"},
            ],
        },
    ]
    assert told[1:] == ["a.jsonl: 1 record left out, a span does not lie in the text: line 3."]


def test_doccano_with_relations_says_that_they_are_not_read(tmp_path: Path) -> None:
    entities = [
        {"id": 4, "label": "PER", "start_offset": 0, "end_offset": 3},
        {"id": 5, "label": "LOC", "start_offset": 13, "end_offset": 17},
    ]
    related = [{"id": 1, "from_id": 4, "to_id": 5, "type": "lives in"}]
    records = [{"id": 1, "text": "Ada lives in Oslo", "entities": entities, "relations": related}]
    found, told = read(written(tmp_path / "a.jsonl", records))
    assert found[0]["spans"] == [
        {"start": 0, "end": 3, "label": "PER"},
        {"start": 13, "end": 17, "label": "LOC"},
    ]
    assert told[1] == "a.jsonl: 1 records have relations, which are not read."


def test_doccano_intents_with_slots(tmp_path: Path) -> None:
    records = [{"id": 1, "text": "To Oslo", "cats": ["travel"], "entities": [[3, 7, "LOC"]]}]
    found, _ = read(written(tmp_path / "a.jsonl", records))
    span = {"start": 3, "end": 7, "label": "LOC"}
    assert found == [{"text": "To Oslo", "label": "travel", "spans": [span]}]


def test_doccano_texts_to_be_written(tmp_path: Path) -> None:
    both = ["Eine Katze liegt da.", "Eine Katze liegt auf dem Dach."]
    records = [
        {"id": 1, "text": "A dog runs.", "label": ["Ein Hund läuft über die nasse Wiese."]},
        {"id": 2, "text": "A cat.", "label": [*both]},
    ]
    found, told = read(written(tmp_path / "a.jsonl", records))
    assert [one["source"] for one in found] == ["A dog runs.", "A cat."]
    assert found[0]["target"] == "Ein Hund läuft über die nasse Wiese."
    assert found[1]["target"] == both
    assert "texts to be written" in told[0]


def test_doccano_with_numbers_of_labels_says_what_to_export(tmp_path: Path) -> None:
    span = {"label": 3, "start_offset": 0, "end_offset": 3, "user": 1}
    path = written(tmp_path / "a.jsonl", [{"id": 1, "text": "Ada", "annotations": [span]}])
    with pytest.raises(
        DataError, match="none of its records can be used: a span has no label in words"
    ):
        own_lines(path)


def prodigy(text: str, answer: str = "accept", **more: object) -> dict[str, object]:
    return {"text": text, "_input_hash": 1, "_task_hash": 2, **more, "answer": answer}


def test_prodigy_spans_leave_out_what_was_not_accepted(tmp_path: Path) -> None:
    tokens = [{"text": "Ada", "start": 0, "end": 3, "id": 0, "ws": True}]
    span = {"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}
    records = [
        prodigy("Ada sings.", tokens=tokens, spans=[span], _view_id="ner_manual"),
        prodigy("Bo runs.", "reject", spans=[span]),
        prodigy("Cy sits.", "ignore", spans=[]),
        prodigy("It rains.", spans=[]),
        prodigy("Di eats.", "ignore", spans=[]),
    ]
    found, told = read(written(tmp_path / "a.jsonl", records))
    assert found == [
        {"text": "Ada sings.", "spans": [{"start": 0, "end": 3, "label": "PER"}]},
        {"text": "It rains.", "spans": []},
    ]
    assert told == [
        "a.jsonl: read as Prodigy's texts with spans.",
        "a.jsonl: 1 record left out, rejected: line 2.",
        "a.jsonl: 2 records left out, ignored: line 3, line 5.",
    ]


def test_prodigy_decisions_on_one_span_are_no_whole_texts(tmp_path: Path) -> None:
    span = {"start": 0, "end": 3, "label": "PER"}
    path = written(tmp_path / "a.jsonl", [prodigy("Ada met Bo.", spans=[span], _view_id="ner")])
    with pytest.raises(DataError, match="decision on one span"):
        own_lines(path)


def test_prodigy_choices(tmp_path: Path) -> None:
    options = [{"id": "tea", "text": "Tea ☕"}, {"id": 2, "text": "Coffee"}]
    records = [
        prodigy("One.", options=options, accept=["tea"]),
        prodigy("Two.", options=options, accept=[2]),
        prodigy("None.", options=options, accept=[]),
    ]
    found, told = read(written(tmp_path / "a.jsonl", records))
    assert found == [{"text": "One.", "label": "tea"}, {"text": "Two.", "label": "Coffee"}]
    assert told[1:] == ["a.jsonl: 1 record left out, without a label: line 3."]
    config = {"choice_style": "multiple"}
    records = [
        prodigy("Both.", options=options, accept=["tea", 2], config=config),
        prodigy("None.", options=options, accept=[], config=config),
    ]
    found, _ = read(written(tmp_path / "b.jsonl", records))
    assert [one["labels"] for one in found] == [["tea", "Coffee"], []]


def test_prodigy_decisions_on_several_labels_are_joined(tmp_path: Path) -> None:
    records = [
        prodigy("Cold tea.", label="cold"),
        prodigy("Cold tea.", "reject", label="late"),
        prodigy("Late tea.", label="late"),
        prodigy("Late tea.", "reject", label="cold"),
    ]
    found, told = read(written(tmp_path / "a.jsonl", records))
    assert found == [
        {"text": "Cold tea.", "label": "cold"},
        {"text": "Late tea.", "label": "late"},
    ]
    assert told[1:] == ["a.jsonl: 2 records left out, rejected: line 2, line 4."]
    both = [*records, prodigy("Late tea.", label="cold")]
    found, _ = read(written(tmp_path / "b.jsonl", both))
    assert [one["labels"] for one in found] == [["cold"], ["late", "cold"]]


def test_prodigy_decisions_on_one_label_have_a_name_for_the_others(tmp_path: Path) -> None:
    records = [prodigy("Buy!", label="spam"), prodigy("Hello.", "reject", label="spam")]
    found, told = read(
        written(tmp_path / "a.jsonl", [*records, prodigy("?", "ignore", label="spam")])
    )
    assert [one["label"] for one in found] == ["spam", "not spam"]
    assert told[0] == "a.jsonl: read as Prodigy's decisions on labels (rejected: 'not spam')."
    assert told[1:] == ["a.jsonl: 1 record left out, ignored: line 3."]


def task(number: int, text: str, *annotations: object, **data: str) -> dict[str, object]:
    return {"id": number, "data": {"text": text, **data}, "annotations": list(annotations)}


def annotation(*results: object, cancelled: bool = False) -> dict[str, object]:
    return {"id": 1, "completed_by": 2, "result": list(results), "was_cancelled": cancelled}


def result(kind: str, name: str = "a", **value: object) -> dict[str, object]:
    return {"id": "x", "from_name": name, "to_name": "text", "type": kind, "value": value}


def test_label_studio_choices(tmp_path: Path) -> None:
    good, bad = (annotation(result("choices", choices=[one])) for one in ("good", "bad"))
    records = [
        task(1, "Fine tea.", good),
        task(2, "Cold tea.", annotation(cancelled=True), bad, good),
        task(3, "Skipped.", annotation(cancelled=True)),
        task(4, "Not yet."),
        task(5, "Nothing chosen.", annotation()),
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(records))  # one line, as Label Studio writes it
    found, told = read(path)
    assert found == [
        {"text": "Fine tea.", "label": "good"},
        {"text": "Cold tea.", "label": "bad"},
    ]
    assert told == [
        "a.json: read as Label Studio's JSON; a number after its name counts its records.",
        "a.json: 1 record left out, the annotation was cancelled: record 3.",
        "a.json: 1 record left out, without an annotation: record 4.",
        "a.json: 1 record left out, without a label: record 5.",
        "a.json: 1 tasks have several annotations, of which the first is read.",
    ]


def test_label_studio_spans_count_as_javascript_does(tmp_path: Path) -> None:
    text = "😀 Ada met Bo."
    first = result("labels", start=3, end=6, text="Ada", labels=["PER"])  # the emoji counts two
    second = result("labels", start=10, end=12, text="Bo", labels=["PER"])
    wrong = result("labels", start=0, end=3, text="Bo", labels=["PER"])
    records = [
        task(1, text, annotation(first, second)),
        task(2, "Nobody.", annotation()),
        task(3, "Ada met Bo.", annotation(wrong)),
    ]
    found, told = read(written(tmp_path / "a.json", records, as_list=True))
    spans = [(one["start"], one["end"]) for one in found[0]["spans"]]  # type: ignore[attr-defined]
    assert [text[start:end] for start, end in spans] == ["Ada", "Bo"]
    assert found[1] == {"text": "Nobody.", "spans": []}
    assert told[1:] == [
        "a.json: 1 record left out, a span does not hold the text that stands beside it: line 4."
    ]


def test_label_studio_text_areas_ratings_and_two_controls(tmp_path: Path) -> None:
    area = annotation(result("textarea", text=["Eine Katze."]))
    found, _ = read(written(tmp_path / "a.json", [task(1, "A cat.", area)], as_list=True))
    assert found == [{"source": "A cat.", "target": "Eine Katze."}]
    stars = annotation(result("rating", rating=4))
    found, _ = read(written(tmp_path / "b.json", [task(1, "A cat.", stars)], as_list=True))
    assert found == [{"text": "A cat.", "value": 4}]
    both = annotation(
        result("choices", "mood", choices=["good"]), result("choices", "topic", choices=["x", "y"])
    )
    found, _ = read(written(tmp_path / "c.json", [task(1, "A cat.", both)], as_list=True))
    assert found == [{"text": "A cat.", "mood": "good", "topic": ["x", "y"]}]


def test_label_studio_finds_the_text_by_any_key(tmp_path: Path) -> None:
    chosen = annotation({**result("choices", choices=["good"]), "to_name": "body"})
    one = {"id": 1, "data": {"title": "Tea", "body": "It was hot."}, "annotations": [chosen]}
    found, _ = read(written(tmp_path / "a.json", [one], as_list=True))
    assert found == [{"text": "It was hot.", "label": "good"}]
    chosen = annotation({**result("choices", choices=["good"]), "to_name": "shown"})
    two = {"id": 1, "data": {"title": "Tea", "body": "It was hot."}, "annotations": [chosen]}
    found, _ = read(written(tmp_path / "b.json", [two], as_list=True))
    assert found == [{"title": "Tea", "body": "It was hot.", "a": "good"}]


def minimal(number: int, text: str, **answers: object) -> dict[str, object]:
    ends = {
        "annotator": 1,
        "annotation_id": 5,
        "created_at": "",
        "updated_at": "",
        "lead_time": 2.5,
    }
    return {"reviewText": text, "id": number, **answers, **ends}


def test_label_studio_min(tmp_path: Path) -> None:
    records = [
        minimal(1, "Fine tea.", mood="good"),
        minimal(2, "Cold tea.", mood="bad"),
        minimal(2, "Cold tea.", mood="good"),
        minimal(3, "Tea."),
    ]
    found, told = read(written(tmp_path / "a.json", records, as_list=True))
    assert found == [
        {"text": "Fine tea.", "label": "good"},
        {"text": "Cold tea.", "label": "bad"},
    ]
    assert told[1:] == [
        "a.json: 1 record left out, another annotation of the same task: line 4.",
        "a.json: 1 record left out, without a label: line 5.",
    ]
    several = minimal(1, "Hot and late.", kinds={"choices": ["hot", "late"]})
    found, _ = read(written(tmp_path / "b.json", [several], as_list=True))
    assert found == [{"text": "Hot and late.", "labels": ["hot", "late"]}]
    span = {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}
    found, _ = read(
        written(tmp_path / "c.json", [minimal(1, "Ada", names=[span]), minimal(2, "Tea.")], True)
    )
    assert found[0]["spans"] == [{"start": 0, "end": 3, "label": "PER"}]
    assert found[1] == {"text": "Tea.", "spans": []}


def test_spacy_lists(tmp_path: Path) -> None:
    records = [
        ["Ada met Bo.", {"entities": [[8, 10, "PER"], [0, 3, "PER"]]}],
        ["Nobody.", {"entities": []}],
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(records))
    found, told = read(path)
    assert [len(one["spans"]) for one in found] == [2, 0]  # type: ignore[arg-type]
    assert told[0].startswith("a.json: read as spaCy's texts with spans")
    annotated = {"classes": ["PER"], "annotations": [None, ["Ada\r", records[0][1]], records[0]]}
    path = tmp_path / "b.json"
    path.write_text(json.dumps(annotated))
    found, told = read(path)
    assert found[0]["text"] == "Ada met Bo."
    assert len(found) == 1  # the first was not annotated, the second has spans beyond its text
    assert "not annotated: record 1" in told[1]


def test_spacy_categories(tmp_path: Path) -> None:
    records = [
        {"text": "Fine.", "cats": {"good": 1.0, "bad": 0.0}},
        {"text": "Cold.", "cats": {"good": 0, "bad": 1}},
    ]
    found, _ = read(written(tmp_path / "a.jsonl", records))
    assert [one["label"] for one in found] == ["good", "bad"]


def test_translations_by_language(tmp_path: Path) -> None:
    records = [
        {"id": "0", "translation": {"en": "The dog.", "de": "Der Hund."}},
        {"id": "1", "translation": {"en": "The cat.", "de": None}},
        {"id": "2", "translation": {"de": "Das Haus.", "en": "The house."}},
    ]
    for name, as_list in (("a.jsonl", False), ("a.json", True)):
        path, told = written(tmp_path / name, records, as_list), list[str]()
        data = DataTable(train=str(path), validation=str(path), test=str(path))
        pairs = load_split(data, "train", told.append)
        assert [(one.source, one.target) for one in pairs] == [
            ("The dog.", "Der Hund."),
            ("The house.", "Das Haus."),
        ]
        assert any("1 record left out, 'de' is empty" in one for one in told)


def test_translations_into_several_languages(tmp_path: Path) -> None:
    texts = {"en": "The dog.", "de": "Der Hund.", "fr": "Le chien."}
    path = written(
        tmp_path / "a.jsonl", [{"translation": texts}, {"translation": {"en": "No.", "fr": "Non."}}]
    )
    data = DataTable(train=str(path), validation=str(path), source="fr", target="en")
    pairs = load_split(data, "validation", None)
    assert [(one.source, one.target) for one in pairs] == [
        ("Le chien.", "The dog."),
        ("Non.", "No."),
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"text": "Tea.", "label": "good"},
        {"text": "Tea.", "labels": ["good", "hot"]},
        {"text": "Tea.", "spans": [{"start": 0, "end": 3, "label": "X"}]},
        {"words": ["Tea"], "tags": ["O"]},
        {"tokens": ["Tea"], "ner_tags": ["O"]},
        {"source": "Tea.", "target": "Tee."},
        {"en": "Tea.", "de": "Tee."},
        {"question": "What?", "passage": "Tea.", "answers": []},
        {"prompt": "Tea?", "chosen": "Yes.", "rejected": "No."},
        {"messages": [{"role": "user", "content": "Tea?"}]},
        {"question": "What?", "answer": "accept"},
    ],
)
def test_our_own_records_are_no_other_tools(tmp_path: Path, record: object) -> None:
    assert foreign(written(tmp_path / "a.jsonl", [record])) is None


def test_damage_in_a_tools_file_names_its_line(tmp_path: Path) -> None:
    records = [{"text": f"Text {number}.", "label": ["a"]} for number in range(60)]
    path = written(tmp_path / "a.jsonl", records)
    path.write_text(path.read_text() + '{"text": "cut o')
    with pytest.raises(DataError, match=r"a\.jsonl:61: not JSON"):
        own_lines(path)
