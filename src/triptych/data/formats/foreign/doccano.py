"""Read the JSONL and JSON that doccano exports.

Classification is {"text", "label": ["a"]}; sequence labelling {"text", "label": [[start, end,
"PER"]]}; with relations {"text", "entities": [{"label", "start_offset", "end_offset"}],
"relations"}; intents with slots {"text", "cats", "entities"}; a text to be written {"text",
"label": ["..."]}. Older versions write `labels`, or `annotations` with numbers of labels; `data`
may stand for `text`.
"""

from __future__ import annotations

from collections.abc import Sequence

from .annotations import (
    are_spans,
    are_written,
    as_targets,
    is_texts,
    names_of,
    settled,
    spans_of,
    text_under,
)
from .json_records import OwnRecords, Record, RecordForm, Unusable, each

MARKS = {"Comments", "annotation_approver"}  # keys that no other tool writes


def knows(record: object) -> bool:
    """Tell whether a value is a record of doccano."""
    if not isinstance(record, dict) or not {"text", "data"} & record.keys():
        return False
    label, labels, entities = (record.get(key) for key in ("label", "labels", "entities"))
    return (
        is_texts(label)
        or are_spans(label)
        or are_spans(labels)
        or are_spans(entities)
        or is_texts(record.get("cats"))
        or are_spans(record.get("annotations"))
        or (bool(MARKS & record.keys()) and isinstance(label or labels, list))
    )


def own(records: Sequence[object]) -> OwnRecords:
    """Write the records of a file as our own. See `RecordForm`."""
    found = each(_own, records)
    related = sum(isinstance(one, dict) and bool(one.get("relations")) for one in records)
    notes = [f"{related:,} records have relations, which are not read."] if related else []
    if any(isinstance(one, dict) and one.get("spans") for one in found):
        with_labels = any(isinstance(one, dict) and one.get("labels") for one in found)
        for one in found:
            if isinstance(one, dict):  # a text without a span is a good example
                one.setdefault("spans", [])
                if not with_labels:
                    one.pop("labels", None)
        kind = "doccano's texts with spans"
        return OwnRecords(kind, settled(found) if with_labels else found, notes)
    if are_written(found):
        return OwnRecords("doccano's texts with texts to be written", as_targets(found), notes)
    return OwnRecords("doccano's texts with labels", settled(found), notes)


def _own(record: object) -> Record:
    if not isinstance(record, dict):
        raise Unusable("not an object")
    text = text_under(record, "text", "data")
    written: Record = {"text": text}
    given = [record.get(key) for key in ("label", "labels", "annotations", "entities")]
    spans = next((one for one in given if are_spans(one)), None)
    if spans is not None or "entities" in record:
        written["spans"] = spans_of(spans, text)
    labels = record.get("cats", next((one for one in given[:3] if one is not None), None))
    if spans is None or "cats" in record:
        written["labels"] = [] if labels is None or are_spans(labels) else names_of(labels)
    return written


FORM = RecordForm(knows, own)
