"""Read what Label Studio exports as JSON and JSON-MIN.

JSON is a list of tasks: {"id", "data": {...}, "annotations": [{"result": [{"from_name", "type",
"value"}], "was_cancelled"}]}; JSON-MIN a list of {data..., "id", answers by their name...,
"annotator", "annotation_id"}. Read are choices, labels of spans in text, text areas and ratings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..json_lines import is_text
from .annotations import are_spans, are_written, as_targets, settled, spans_of
from .json_records import OwnRecords, Record, RecordForm, Unusable, each

MIN_MARKS = {"annotation_id", "annotator"}
MIN_OTHERS = {*MIN_MARKS, "id", "created_at", "updated_at", "lead_time", "agreement"}
NO_ANNOTATION = "without an annotation"


@dataclass(slots=True)
class Annotated:
    """Hold one task: its texts by key, and the answers by the name of their control.

    shown: the names of the texts that the answers belong to. An answer is a list of texts, or a
    number. written: the controls that are text areas.
    """

    texts: dict[str, str]
    shown: list[str] = field(default_factory=list[str])
    spans: list[object] = field(default_factory=list[object])
    answers: dict[str, list[str] | float] = field(default_factory=dict[str, "list[str] | float"])
    written: set[str] = field(default_factory=set[str])

    def record(self, has_spans: bool) -> Record:
        """Return the texts as they are named in our own records, and the spans."""
        key = next((one for one in ("text", *self.shown) if one in self.texts), None)
        if key is None and len(self.texts) == 1:
            key = next(iter(self.texts))
        if key is None:
            return dict(self.texts)
        record: Record = {"text": self.texts[key]}
        if has_spans:
            record["spans"] = spans_of(self.spans, self.texts[key])
        return record


def knows_tasks(record: object) -> bool:
    """Tell whether a value is a task of the full export; `completions` is its older name."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("data"), dict)
        and isinstance(record.get("annotations", record.get("completions")), list)
    )


def knows_min(record: object) -> bool:
    """Tell whether a value is a record of JSON-MIN."""
    return isinstance(record, dict) and record.keys() >= MIN_MARKS


def own_tasks(records: Sequence[object]) -> OwnRecords:
    """Write the tasks of a file as our own. See `RecordForm`."""
    several = sum(len(_usable(one)) > 1 for one in records)
    more = f"{several:,} tasks have several annotations, of which the first is read."
    return _together(
        "Label Studio's JSON", [_tried(one) for one in records], [more] * (several > 0)
    )


def own_min(records: Sequence[object]) -> OwnRecords:
    """Write the records of JSON-MIN as our own. See `RecordForm`."""
    seen: set[object] = set()
    found: list[Annotated | Unusable] = []
    for record in records:
        number = record.get("id") if isinstance(record, dict) else None
        if isinstance(number, int | str) and number in seen:
            found.append(Unusable("another annotation of the same task"))
            continue
        seen.add(number)
        found.append(_minimal(record) if isinstance(record, dict) else Unusable(NO_ANNOTATION))
    return _together("Label Studio's JSON-MIN", found, [])


def _annotations(record: object) -> list[object]:
    given = None
    if isinstance(record, dict):
        given = record.get("annotations", record.get("completions"))
    return given if isinstance(given, list) else []


def _usable(record: object) -> list[Mapping[str, object]]:
    """Return the annotations of a task that were not cancelled."""
    return [
        one
        for one in _annotations(record)
        if isinstance(one, dict) and not one.get("was_cancelled") and not one.get("skipped")
    ]


def _tried(record: object) -> Annotated | Unusable:
    try:
        return _task(record)
    except Unusable as problem:
        return problem


def _task(record: object) -> Annotated:
    usable = _usable(record)
    data = record.get("data") if isinstance(record, dict) else None
    if not usable or not isinstance(data, dict):
        cancelled = bool(_annotations(record))
        raise Unusable("the annotation was cancelled" if cancelled else NO_ANNOTATION)
    task, results = Annotated(_texts(data)), usable[0].get("result")
    for one in results if isinstance(results, list) else []:
        if isinstance(one, dict) and isinstance(one.get("value"), dict):
            task.shown.append(str(one.get("to_name")))
            _add(task, str(one.get("from_name")), str(one.get("type")), one["value"])
    return task


def _texts(data: Mapping[str, object]) -> dict[str, str]:
    return {key: value for key, value in data.items() if is_text(value) and value.strip()}


def _add(task: Annotated, name: str, kind: str, value: Mapping[str, object]) -> None:
    """Add one result to the answers of its control."""
    if kind == "hypertextlabels":
        raise Unusable("spans in HTML, not in text")
    given = value.get("text" if kind == "textarea" else kind)
    if kind == "labels":
        task.spans.append(value)
    elif kind in ("rating", "number") and isinstance(given, int | float):
        task.answers[name] = given
    elif kind == "taxonomy" and isinstance(given, list):
        paths = [" / ".join(map(str, one)) for one in given if isinstance(one, list)]
        _extend(task, name, paths)
    elif kind in ("choices", "textarea"):
        texts = given if isinstance(given, list) else [given]
        _extend(task, name, [one for one in texts if isinstance(one, str)])
        if kind == "textarea":
            task.written.add(name)


def _extend(task: Annotated, name: str, texts: list[str]) -> None:
    before = task.answers.get(name)
    task.answers[name] = [*(before if isinstance(before, list) else []), *texts]


def _minimal(record: Mapping[str, object]) -> Annotated:
    """Divide a record of JSON-MIN: its data stand before `id`, the answers after it."""
    keys = [key for key in record if key == "id" or key not in MIN_OTHERS]
    cut = keys.index("id") if "id" in keys else len(keys)
    if not _texts({key: record[key] for key in keys[:cut]}):  # the data had an `id` of their own
        cut = max(len(keys) - 1, 0)
    task = Annotated(_texts({key: record[key] for key in keys[:cut] if key != "id"}))
    for key in keys[cut:]:
        value = record[key]
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = next((value[0][one] for one in ("rating", "number") if one in value[0]), value)
        elif isinstance(value, dict):
            value = value.get("choices", value.get("text"))
        if are_spans(value) and isinstance(value, list):
            task.spans += value
        elif isinstance(value, str) and value.strip():
            task.answers[key] = [value]
        elif isinstance(value, list):
            task.answers[key] = [one for one in value if isinstance(one, str)]
        elif key != "id" and isinstance(value, int | float):
            task.answers[key] = value
    return task


def _together(kind: str, found: Sequence[Annotated | Unusable], notes: Sequence[str]) -> OwnRecords:
    """Name the answer `labels`, `value` or `target`; several controls keep their own names."""
    tasks = [one for one in found if isinstance(one, Annotated)]
    controls = list(dict.fromkeys(name for one in tasks for name in one.answers))
    has_spans = any(one.spans for one in tasks)

    def own(one: object) -> Record:
        if not isinstance(one, Annotated):
            raise one if isinstance(one, Unusable) else Unusable(NO_ANNOTATION)
        if not one.texts:
            raise Unusable("without a text")
        record = one.record(has_spans)
        if len(controls) == 1 and "text" in record:
            answer = one.answers.get(controls[0], [])
            record |= {"labels": answer} if isinstance(answer, list) else {"value": answer}
        elif len(controls) == 1 or not one.answers:
            return _of_control(record, one, controls)
        else:
            _of_control(record, one, controls)
        return record

    records = each(own, found)
    if len(controls) != 1:
        if not controls and not has_spans:
            records = [Unusable(NO_ANNOTATION) if isinstance(one, dict) else one for one in records]
        return OwnRecords(kind, records, notes)
    if any(one.written for one in tasks) or (not has_spans and are_written(records)):
        return OwnRecords(f"{kind} with texts to be written", as_targets(records), notes)
    return OwnRecords(kind, settled(records), notes)


def _of_control(record: Record, one: Annotated, controls: Sequence[str]) -> Record:
    """Add the answers under the names of their controls. Raises Unusable if there are none."""
    if controls and not one.answers:
        raise Unusable(NO_ANNOTATION)
    for name in controls:
        answer = one.answers.get(name, "")
        if isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]
        record[f"{name} (answer)" if name in record else name] = answer
    return record


TASKS, MIN = RecordForm(knows_tasks, own_tasks), RecordForm(knows_min, own_min)
