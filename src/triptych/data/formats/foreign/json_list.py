"""Read the records of other tools: JSONL, JSON lists and Parquet, by the form of their records."""

from __future__ import annotations

from pathlib import Path

from . import chat_gpt, doccano, hugging_face, json_tables, label_studio, parquet, prodigy, spacy
from .foreign_file import ForeignFile
from .json_records import RecordForm, read_forms

# Tried in this order; the first that knows one of a file's first records reads it.
FORMS: tuple[RecordForm, ...] = (
    label_studio.TASKS,
    label_studio.MIN,
    prodigy.FORM,
    hugging_face.FORM,
    doccano.FORM,
    spacy.FORM,
    chat_gpt.FORM,
)


def read(path: Path, raw: bytes) -> ForeignFile | None:
    """Read records of another tool, or a list or table of objects as JSONL. See `ForeignReader`.

    Raises DataError as `read_forms`, `json_tables.read` and `parquet.read`.
    """
    if parquet.is_parquet(path, raw):
        return parquet.read(path, raw, FORMS)
    return json_tables.read(path, raw, FORMS) or read_forms(path, raw, FORMS)
