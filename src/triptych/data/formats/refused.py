"""Name files that are not read, and what to do about them, before they are taken for text."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import DataError
from ...messages import message

HEAD_BYTES = 4096
PARQUET = message(
    "Parquet, which is read where records are, from a file whose name ends in .parquet. Rename it, "
    "or convert it: triptych data convert FILE.parquet --to jsonl"
)
UNPACK = message("a compressed file of a kind that is not read. Unpack it, or compress it as .gz")
OFFICE = message("an old Excel or Word file. Save it as .xlsx, as CSV or as text")
# What a file begins with -> what it is, and what to do.
BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", message("compressed with gzip, which its name does not say. Name it .gz at its "
                          "end, or unpack it with gunzip")),
    (b"PAR1", PARQUET),
    (b"ARROW1\0", message("an Arrow file, which is not read. Convert it to JSONL or CSV")),
    (b"BZh", UNPACK),
    (b"\xfd7zXZ\0", UNPACK),
    (b"\x28\xb5\x2f\xfd", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OFFICE),
    (b"%PDF-", message("a PDF, not text. Save its text, with pdftotext for example")),
    (b"{\\rtf", message("formatted text (RTF). Save it as plain text")),
    (b"SQLite format 3\0", message("a database (SQLite). Export its table as CSV")),
    (b"\x89HDF", message("an HDF5 file, which is not read. Convert it to JSONL or CSV")),
    (b"\x93NUMPY", message("an array of NumPy, which holds no texts that are read")),
    (b"\x89PNG", message("a picture, not text")),
    (b"\xff\xd8\xff", message("a picture, not text")),
)  # fmt: skip
TEXTLIKE = (b"PAR1", b"BZh")  # a text may begin so, without bytes that no text holds
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a]")
_BRAT = re.compile(rb"(?:[TREMANW]\d+\t|#\d+\t|\*\t)")


def refuse_binary(raw: bytes, where: str) -> None:
    """Raise DataError for a file whose first bytes say that it is not text."""
    for begins, what in BEGINNINGS:
        is_one = begins not in TEXTLIKE or _BINARY.search(raw, 0, HEAD_BYTES) is not None
        if raw.startswith(begins) and is_one:
            raise DataError("{where} is {what}.", where=where, what=what)


def refuse_tools(path: Path, raw: bytes) -> None:
    """Raise DataError for a notebook, and annotations of brat."""
    suffix = path.suffix.lower()
    if suffix == ".ipynb":
        raise notebook(path)
    if suffix == ".ann" and _BRAT.match(raw):
        raise DataError(
            "{path} holds annotations of brat, which are not read. Write them as CoNLL with brat's "
            "tools/anntoconll.py, or as JSONL with a text and its spans: {sample}.",
            sample='{"text": "...", "spans": [{"start": 0, "end": 3, "label": "PER"}]}',
            path=path,
        )


def notebook(path: Path) -> DataError:
    """Return the error for a Jupyter notebook."""
    return DataError(
        "{path} is a Jupyter notebook. Write its code and text as a file that is read: jupyter "
        "nbconvert --to script FILE (or --to markdown).",
        path=path,
    )
