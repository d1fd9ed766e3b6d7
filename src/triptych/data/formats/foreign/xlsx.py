"""Read a sheet of an Excel workbook (.xlsx) as CSV, with its cells as Excel shows them."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import DataError, brief
from ..headers import is_known
from ..lines import is_packed
from .foreign_file import ForeignFile, extra_missing

if TYPE_CHECKING:
    from openpyxl.cell import _CellOrMergedCell
    from openpyxl.cell.read_only import ReadOnlyCell

LARGEST_BYTES = 1 << 30  # of a workbook's parts without compression
ENDINGS = (".xlsx", ".xlsm")
_DATE_PARTS = re.compile(r"yyyy|yy|mmmm|mmm|mm|m|dddd|ddd|dd|d|hh|h|ss|s|AM/PM", re.IGNORECASE)
_LITERAL = re.compile(r'\[[^\]]*\]|"([^"]*)"|\\(.)|_.|\*.')


def read(path: Path, raw: bytes) -> ForeignFile | None:
    """Read the sheet with the data as lines of CSV. See `ForeignReader`.

    It is the first whose first row names columns, else the first that is not empty; the others are
    told. Empty rows become empty lines, so a line is a row unless a cell has several lines.

    Raises DataError for a damaged or empty workbook, UsageError if openpyxl is not installed.
    """
    if not path.name.lower().endswith(ENDINGS) or not is_packed(raw):
        return None
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise extra_missing(str(path), "openpyxl") from None
    try:
        _refuse_bomb(raw, path)
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
        sheets = {
            sheet.title: [[shown(cell) for cell in row] for row in sheet.iter_rows()]
            for sheet in book.worksheets
        }
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, EOFError) as error:
        raise DataError(
            f"{path} is not a whole Excel workbook ({brief(error)}). Save it again, or as CSV."
        ) from None
    full = {title: _cut(rows) for title, rows in sheets.items() if any(map(any, rows))}
    if not full:
        raise DataError(f"{path} is an Excel workbook without a filled cell.")
    chosen = next((title for title, rows in full.items() if _is_headed(rows)), next(iter(full)))
    lines = _lines(full[chosen])
    several = any("\n" in cell for row in full[chosen] for cell in row)
    found = ForeignFile(f"sheet {chosen!r} of an Excel workbook", lines, several)
    others = [repr(title) for title in full if title != chosen]
    if others:
        found.notes.append(f"its other sheets are not read: {', '.join(others)}.")
    return found


def _refuse_bomb(raw: bytes, path: Path) -> None:
    """Raise DataError for a workbook that would fill the memory."""
    with zipfile.ZipFile(io.BytesIO(raw)) as packed:
        size = sum(one.file_size for one in packed.infolist())
    if size > LARGEST_BYTES:
        raise DataError(
            f"{path} unpacks to {size:,} bytes; at most {LARGEST_BYTES:,} are read. Save it as CSV."
        )


def _cut(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the rows without empty columns at their ends, all of one width."""
    width = max(place for row in rows for place, cell in enumerate(row, 1) if cell)
    return [[*row[:width], *[""] * (width - len(row))] for row in rows]


def _is_headed(rows: Iterable[Sequence[str]]) -> bool:
    """Tell whether the first row that is not empty has two names of columns."""
    first = next((row for row in rows if any(row)), [])
    return sum(map(is_known, filter(None, first))) > 1


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        if any(row):
            writer.writerow(row)
        else:
            out.write("\n")
    return out.getvalue().removesuffix("\n").split("\n")


def shown(cell: _CellOrMergedCell | ReadOnlyCell) -> str:
    """Return a cell's text as Excel shows it: a number or date in the format of the cell."""
    value = cell.value
    if value is None or isinstance(value, str):
        return (value or "").replace("\r\n", "\n").strip()
    if isinstance(value, bool):
        return str(value).upper()
    form = cell.number_format or "General"
    if isinstance(value, datetime | date | time):
        return _shown_date(value, form)
    if isinstance(value, int | float):
        return _shown_number(value, form)
    return str(value)


def _shown_number(value: float, form: str) -> str:
    """Write a number with the decimals, thousands and per cent of its format."""
    pattern = _LITERAL.sub("", form.split(";")[0])
    figures = re.search(r"[#0,]*0(?:\.([0#]+))?", pattern)
    if form == "General" or figures is None:
        return format(value, ".15g") if isinstance(value, float) else str(value)
    percent = "%" in pattern
    digits = len(figures[1] or "")
    thousands = "," if "," in figures[0] else ""
    text = format(value * 100 if percent else value, f"{thousands}.{digits}f")
    if figures[1] and "#" in figures[1]:
        text = text.rstrip("0").rstrip(".")
    return text + "%" * percent


def _shown_date(value: date | time, form: str) -> str:
    """Write a date or time in its format; ISO where the format has none."""
    plain = _LITERAL.sub(lambda found: found[1] or found[2] or "", form.split(";")[0])
    if not _DATE_PARTS.search(plain) or form == "General":
        return value.isoformat(*([" "] if isinstance(value, datetime) else []))
    twelve = re.search("AM/PM", plain, re.IGNORECASE) is not None
    names = {
        "yyyy": "%Y", "yy": "%y", "mmmm": "%B", "mmm": "%b", "dddd": "%A", "ddd": "%a",
        "dd": "%d", "hh": "%I" if twelve else "%H", "ss": "%S", "am/pm": "%p",
    }  # fmt: skip
    parts, after_hours = [], False
    for found in re.finditer(rf"{_DATE_PARTS.pattern}|.", plain, re.IGNORECASE | re.DOTALL):
        part = found[0].lower()
        if part in ("m", "mm"):
            # Minutes stand after hours or before seconds, months elsewhere.
            seconds = re.match(r"[:.]?s", plain[found.end() :], re.IGNORECASE)
            number = (
                getattr(value, "minute", 0)
                if after_hours or seconds
                else getattr(value, "month", 0)
            )
            parts.append(f"{number:02}" if part == "mm" else str(number))
        elif part in ("d", "h", "s"):
            number = getattr(value, {"d": "day", "h": "hour", "s": "second"}[part], 0)
            parts.append(str((number - 1) % 12 + 1 if part == "h" and twelve else number))
        else:
            parts.append(value.strftime(names[part]) if part in names else found[0])
        after_hours = part in ("h", "hh") or (after_hours and not part.isalpha())
    return "".join(parts)
