"""Read the JSONL that Prodigy's db-out writes: one decision a line, under `answer`.

Spans are {"text", "spans": [{"start", "end", "label"}]}; choices {"text", "options", "accept"};
one label at a time {"text", "label"}, which is accepted or rejected; a text to be written
{"text", "user_input"}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..json_lines import is_text
from .annotations import as_targets, settled, spans_of, text_under
from .json_records import OwnRecords, Record, RecordForm, Unusable, each

ANSWERS = ("accept", "reject", "ignore")
WRITTEN = "user_input"
ONE_SPAN = "ner"  # the view that asks about one span of a text, `ner_manual` shows all of them


def knows(record: object) -> bool:
    """Tell whether a value is a record of Prodigy."""
    return (
        isinstance(record, dict)
        and record.get("answer") in ANSWERS
        and bool({"text", "_input_hash", "_task_hash", "spans", "accept"} & record.keys())
    )


def own(records: Sequence[object]) -> OwnRecords:
    """Write the records of a file as our own. See `RecordForm`."""
    given = [one for one in records if isinstance(one, dict)]
    related = sum(bool(one.get("relations")) for one in given)
    notes = [f"{related:,} records have relations, which are not read."] if related else []
    if any("accept" in one and "options" in one for one in given):
        several = any(_style(one) == "multiple" for one in given)
        found = settled(each(_chosen, records), none_of_them=several)
        return OwnRecords("Prodigy's choices", found, notes)
    if any(isinstance(one.get("label"), str) and not one.get("spans") for one in given):
        return _decided(records, given, notes)
    if any(WRITTEN in one for one in given) and not any("spans" in one for one in given):
        return OwnRecords("Prodigy's written texts", as_targets(each(_written, records)), notes)
    return OwnRecords("Prodigy's texts with spans", each(_spans, records), notes)


def _accepted(record: object) -> tuple[Mapping[str, object], str]:
    """Return a record that was accepted, and its text."""
    if not isinstance(record, dict):
        raise Unusable("not an object")
    answer = record.get("answer", "accept")
    if answer != "accept":
        word = {"reject": "rejected", "ignore": "ignored"}.get(str(answer), f"answered '{answer}'")
        raise Unusable(word)
    return record, text_under(record, "text")


def _style(record: Mapping[str, object]) -> object:
    config = record.get("config")
    return config.get("choice_style") if isinstance(config, dict) else None


def _chosen(record: object) -> Record:
    record, text = _accepted(record)
    options, given = record.get("options"), record.get("accept")
    names = {
        one.get("id"): one.get("text")
        for one in (options if isinstance(options, list) else [])
        if isinstance(one, dict)
    }
    # An id is the label, unless it is only the number of an option.
    labels = [
        one if isinstance(one, str) else str(names.get(one) or one)
        for one in (given if isinstance(given, list) else [])
    ]
    return {"text": text, "labels": list(dict.fromkeys(labels))}


def _written(record: object) -> Record:
    record, text = _accepted(record)
    given = record.get(WRITTEN)
    return {"text": text, "labels": [given] if is_text(given) else []}


def _spans(record: object) -> Record:
    record, text = _accepted(record)
    if record.get("_view_id") == ONE_SPAN and not record.get("_is_manual"):
        raise Unusable("a decision on one span says nothing of the other words")
    return {"text": text, "spans": spans_of(record.get("spans"), text)}


def _decided(
    records: Sequence[object], given: Sequence[Mapping[str, object]], notes: list[str]
) -> OwnRecords:
    """Join the decisions on each text: the labels that were accepted.

    If all decisions are on one label, a rejected text has the label "not LABEL".
    """
    asked = {one["label"] for one in given if isinstance(one.get("label"), str)}
    other = f"not {next(iter(asked))}" if len(asked) == 1 else None
    first: dict[str, Record] = {}
    found: list[Record | Unusable] = []
    for record in records:
        try:
            label = record.get("label") if isinstance(record, dict) else None
            if other and isinstance(record, dict) and record.get("answer") == "reject":
                record, label = {**record, "answer": "accept"}, other
            _, text = _accepted(record)
            if not isinstance(label, str) or not label.strip():
                raise Unusable("without a label")
        except Unusable as problem:
            found.append(problem)
            continue
        labels = first.setdefault(text, {"text": text, "labels": []})["labels"]
        assert isinstance(labels, list), "it was made above"
        if not labels:
            found.append(first[text])
        else:
            found.append(Unusable("joined to the first record of the same text"))
        if label not in labels:
            labels.append(label)
    kind = "Prodigy's decisions on labels" + (f" (rejected: '{other}')" if other else "")
    return OwnRecords(kind, settled(found), notes)


FORM = RecordForm(knows, own)
