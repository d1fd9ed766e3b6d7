"""Read a table in one JSON object: a list of records under a key, or columns as pandas writes them.

{"data": [{...}, ...]} and its kin with other keys (`rows` of Hugging Face's viewer, too);
pandas' `to_json`, by columns {"text": {"0": "..."}}, by rows {"0": {"text": "..."}}, or split into
{"columns", "data"}; and lists of equal length by column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from ....errors import DataError
from ....messages import message
from ..json_lines import is_list, is_record
from ..lines import decode_text
from .foreign_file import ForeignFile
from .json_records import OwnRecords, Record, RecordForm, Unusable, as_file

OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\s*\"")
LINES = (".jsonl", ".ndjson")  # an object a line, each a record of its own
WRAPPERS = (
    "data", "rows", "records", "items", "examples", "results", "entries", "samples", "documents",
    "instances", "dataset", "list", "texts", "sentences", "pairs", "conversations",
)  # fmt: skip
PARTS = {"train", "training", "validation", "valid", "dev", "test", "eval"}
# Keys of what is a record's own: turns, spans, words, and the articles and questions of SQuAD.
PARTICULAR = {
    "role", "from", "speaker", "start", "start_offset", "word", "paragraphs", "qas", "question",
}  # fmt: skip
WORDS = {"tokens", "words"}  # of one record whose lists go by word
FEWEST = 2  # columns, or rows, of lists by column


def read(path: Path, raw: bytes, forms: Sequence[RecordForm]) -> ForeignFile | None:
    """Read a file that is one JSON object with several records. See `ForeignReader`.

    forms: the tools whose records may be in it.

    Raises DataError if it holds several parts of a set.
    """
    plain = path.name.removesuffix(".gz").lower()
    if plain.endswith(LINES) or OBJECT.match(raw) is None:
        return None
    try:
        value = json.loads(decode_text(raw, str(path)))
    except (ValueError, RecursionError):  # several objects, or damaged: others report it
        return None
    if not is_record(value) or not value:
        return None
    kind, records = _wrapped(value, path)
    if records is None:
        kind, records = _columns(value)
    if records is None:
        return None
    found: list[tuple[int, object]] = list(enumerate(records, 1))
    form = next((one for one in forms if any(map(one.knows, records))), None)
    own: OwnRecords
    if form is not None:
        own = form.own(records)
    else:
        own = OwnRecords(
            kind, [one if is_record(one) else Unusable("not an object") for one in records]
        )
    return as_file(own, found, counted=True)


def _wrapped(value: Record, path: Path) -> tuple[str, list[object] | None]:
    """Return the list of records under a key of the object."""
    lists = {key: one for key, one in value.items() if is_list(one) and one and is_record(one[0])}
    if len(lists) > 1 and lists.keys() <= PARTS:
        raise DataError(
            "{path} holds several parts of a set ({names}). Write each to a file of its own, and "
            "name them with --train, --validation and --test.",
            path=path,
            names=", ".join(lists),
        )
    names = [key for key in lists if key.casefold() in (*WRAPPERS, *PARTS)]
    if len(names) != 1:
        return "", None
    records = lists[names[0]]
    if all(is_record(one) and is_record(one.get("row")) for one in records):
        records = [one["row"] for one in records if is_record(one)]
    first = records[0]
    if not is_record(first) or PARTICULAR & first.keys():
        return "", None
    return message("a JSON list under {key!r}", key=names[0]), records


def _columns(value: Record) -> tuple[str, list[object] | None]:
    """Return the rows of a table whose object holds its columns, or its rows by number."""
    inner = list(value.values())
    tables = [one for one in inner if is_record(one)]
    if len(tables) == len(inner) and tables[0]:
        keys = tables[0].keys()
        cells = [cell for one in tables for cell in one.values()]
        if any(map(is_record, cells)) or any(one.keys() != keys for one in tables):
            return "", None
        if all(key.isdecimal() for key in keys):
            rows = [
                {name: one[key] for name, one in zip(value, tables, strict=True)} for key in keys
            ]
            return message("JSON of pandas, by columns"), list(rows)
        if all(key.isdecimal() for key in value):
            return message("JSON of pandas, by rows"), list(inner)
        return "", None
    names, data = value.get("columns"), value.get("data")
    if is_list(names) and is_list(data) and all(isinstance(one, str) for one in names):
        table: list[object] = [
            dict(zip(map(str, names), one, strict=True))
            for one in data
            if is_list(one) and len(one) == len(names)
        ]
        same = len(table) == len(data) and bool(table)
        return message("JSON of pandas, split into columns and rows"), table if same else None
    return _lists(value)


def _lists(value: Record) -> tuple[str, list[object] | None]:
    """Return the rows of lists of equal length, one for each column."""
    lists = [one for one in value.values() if is_list(one)]
    lengths = {len(one) for one in lists}
    if (
        len(lists) != len(value)
        or min(len(lists), *lengths) < FEWEST
        or len(lengths) > 1
        or WORDS & value.keys()
        or any(is_list(cell) or is_record(cell) for one in lists for cell in one)
    ):
        return "", None
    rows = [dict(zip(value, cells, strict=True)) for cells in zip(*lists, strict=True)]
    return message("JSON with a list for each column"), list(rows)
