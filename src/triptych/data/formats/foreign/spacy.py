"""Read spaCy's training data of version 2, and what its NER annotator writes.

A record is ["text", {"entities": [[start, end, "PER"]]}] or ["text", {"cats": {"A": 1.0}}]; or an
object with `text` and these keys. The annotator writes {"classes": [...], "annotations": [record,
null, ...]}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..json_lines import is_text
from ..lines import decode_text
from .annotations import are_spans, settled, spans_of, text_under
from .foreign_file import ForeignFile
from .json_records import OwnRecords, Record, RecordForm, Unusable, as_file, each

LIKELY = 0.5  # the least value of a label in `cats` that a text has


def _parts(record: object) -> dict[str, object] | None:
    """Return a record as an object with `text`; None if it is not one."""
    if (
        isinstance(record, list)
        and len(record) == 2
        and isinstance(record[0], str)
        and isinstance(record[1], dict)
    ):
        return {"text": record[0], **record[1]}
    return record if isinstance(record, dict) and "text" in record else None


def knows(record: object) -> bool:
    """Tell whether a value is a record of spaCy."""
    parts = _parts(record)
    if parts is None:
        return False
    cats = parts.get("cats")
    return (
        are_spans(parts.get("entities"))
        or (isinstance(record, list) and parts.get("entities") == [])
        or (isinstance(cats, dict) and all(isinstance(one, int | float) for one in cats.values()))
    )


def own(records: Sequence[object]) -> OwnRecords:
    """Write the records of a file as our own. See `RecordForm`."""
    found = each(_own, records)
    if any(isinstance(one, dict) and "labels" in one for one in found):
        return OwnRecords("spaCy's texts with labels", settled(found, none_of_them=True))
    return OwnRecords("spaCy's texts with spans", found)


def _own(record: object) -> Record:
    parts = _parts(record)
    if parts is None:
        raise Unusable("without a text" if record is not None else "not annotated")
    text = text_under(parts, "text")
    written: Record = {"text": text}
    cats = parts.get("cats")
    if isinstance(cats, dict):
        written["labels"] = [
            str(label)
            for label, value in cats.items()
            if isinstance(value, int | float) and value >= LIKELY
        ]
    if "entities" in parts:
        written["spans"] = spans_of(parts["entities"], text)
    return written


FORM = RecordForm(knows, own)


def read(path: Path, raw: bytes) -> ForeignFile | None:
    """Read what the NER annotator writes. See `ForeignReader`."""
    if not raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") or b'"annotations"' not in raw:
        return None
    try:
        values = json.loads(decode_text(raw, str(path)))
    except (ValueError, RecursionError):
        return None
    records = values.get("annotations") if isinstance(values, dict) else None
    if not isinstance(records, list) or "classes" not in values or not any(map(knows, records)):
        return None
    texts = [_without_end(one) for one in records]
    return as_file(own(texts), list(enumerate(texts, 1)), True)


def _without_end(record: object) -> object:
    """Return a record without the line end that the annotator leaves at the end of a text."""
    parts = _parts(record)
    if parts is None or not is_text(parts["text"]):
        return record
    return {**parts, "text": parts["text"].rstrip("\r\n")}
