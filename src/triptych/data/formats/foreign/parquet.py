"""Read Parquet as lines of JSONL, with the names of classes that Hugging Face's data sets keep."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import IO, Any

from ....errors import DataError, UsageError, brief
from ....messages import message
from ..json_lines import is_record
from .foreign_file import ForeignFile, own_line
from .json_records import OwnRecords, Record, RecordForm, as_file

ENDINGS = (".parquet",)
MARK = b"PAR1"
ROWS = 256  # that are in memory at a time
MOST_TIMES, SMALL_BYTES = 200, 64 << 20  # a file may become so much longer, and so many bytes more
Convert = Callable[[Any], Any]


def is_parquet(path: str | Path, raw: bytes) -> bool:
    """Tell whether a file is Parquet by its name and its first bytes."""
    return str(path).lower().endswith(ENDINGS) and raw.startswith(MARK)


def read(path: Path, raw: bytes, forms: Sequence[RecordForm]) -> ForeignFile | None:
    """Read a file of records. See `ForeignReader`.

    forms: the tools whose records may be in it.

    Raises DataError as `records`.
    """
    if not is_parquet(path, raw):
        return None
    found = list(records(io.BytesIO(raw), str(path), len(raw)))
    form = next((one for one in forms if any(map(one.knows, found[:ROWS]))), None)
    own = OwnRecords("Parquet", found) if form is None else form.own(found)
    return as_file(own, [*enumerate(found, 1)], counted=True)


def records(file: IO[bytes] | Path, where: str, size: int) -> Iterator[Record]:
    """Yield the rows of a Parquet file: text, numbers, lists and objects of them.

    A column with bytes (pictures, sound) is left out.

    Args:
        file: The file, or its path.
        where: Its name in errors.
        size: Its bytes, which bound what it may unpack to.

    Raises:
        DataError: It is damaged, holds nothing that is read, or unpacks to far more than its size.
        UsageError: The package pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise UsageError(
            "{where} is Parquet, which is read with the package pyarrow, which is not installed: "
            "pip install 'triptych[data]'.",
            where=where,
        ) from None
    written, most = 0, MOST_TIMES * size + SMALL_BYTES
    try:
        table = parquet.ParquetFile(file)
        names = _columns(table.schema_arrow, where)
        features = _features(table.schema_arrow.metadata or {})
        converted = {name: _converter(features.get(name)) for name in names}
        for batch in table.iter_batches(ROWS, columns=names, use_threads=False):
            written += batch.nbytes
            if written > most:
                raise DataError(
                    "{where} has {size:,} bytes and unpacks to more than {most:,}. It is damaged "
                    "or made to fill the memory.",
                    where=where,
                    size=size,
                    most=most,
                )
            for row in batch.to_pylist():
                yield {name: convert(row[name]) for name, convert in converted.items()}
    except (ArrowException, OSError, ValueError, ArithmeticError, MemoryError, KeyError) as problem:
        raise DataError(
            "{where} is not a whole Parquet file ({problem}). Copy or fetch it again.",
            where=where,
            problem=brief(problem),
        ) from None


def lines(path: Path) -> Iterator[bytes]:
    """Yield the rows of a file as lines of JSONL. Raises as `records`."""
    for record in records(path, str(path), path.stat().st_size):
        yield f"{own_line(record)}\n".encode("utf-8", "replace")


def _columns(schema: Any, where: str) -> list[str]:
    """Return the columns without bytes in them."""
    held = [str(one.name) for one in schema]
    kept = [str(one.name) for one in schema if not _holds_bytes(one.type)]
    if not kept or len({*held}) < len(held):
        raise DataError(
            "{where} has no columns of texts or numbers that have names of their own ({held}).",
            where=where,
            held=brief(", ".join(held)) or message("it has none"),
        )
    return kept


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    if any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_binary_view)):
        return True
    if types.is_fixed_size_binary(kind):
        return True
    return any(_holds_bytes(kind.field(place).type) for place in range(kind.num_fields))


def _features(metadata: Mapping[bytes, bytes]) -> Mapping[str, object]:
    """Return what Hugging Face's data sets write of the columns; nothing if that is damaged."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if is_record(found) else {}


def _converter(feature: object) -> Convert:
    """Return what makes a value of a column one of JSON, classes by their names."""
    if isinstance(feature, list):
        feature = {"feature": feature[0]} if feature else None
    if not is_record(feature):
        return plain
    names = feature.get("names")
    if feature.get("_type") == "ClassLabel" and isinstance(names, list):
        return lambda value: _named(value, names)
    if "feature" in feature:  # of a list, or of an object of lists
        inner = _converter(feature["feature"])
        return lambda value: (
            [inner(one) for one in value] if isinstance(value, list) else inner(value)
        )
    if "_type" in feature:
        return plain
    fields = {name: _converter(one) for name, one in feature.items()}
    return lambda value: (
        {name: fields.get(name, plain)(one) for name, one in value.items()}
        if is_record(value)
        else plain(value)
    )


def _named(value: object, names: Sequence[object]) -> object:
    """Return the name of a class, None where there is none (-1: it is kept secret)."""
    if isinstance(value, list):  # the lists of an object of lists
        return [_named(one, names) for one in value]
    if not isinstance(value, int):
        return plain(value)
    return str(names[value]) if 0 <= value < len(names) else None


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, date | time) else str(value)
