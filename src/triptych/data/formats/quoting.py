"""Decide if a TSV file is quoted as CSV is, or holds quotation marks as text.

Spreadsheets and pandas write TSV files with CSV quoting.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^\t\n"]*))(\t|\n|\Z)')
NUMBER = re.compile(r"\s*[-+−]?[\d.,\u00a0 ]*\d\s*%?\s*|\s*[-+]?\d*\.?\d+[eE][-+]?\d+\s*")
MIN_QUOTED_CELLS = 3  # a column with fewer quoted cells may be quoted by chance


@dataclass(slots=True)
class _Count:
    """Count properties of the cells, read as quoted."""

    widths: set[int] = field(default_factory=set)  # cells in a row
    quoted: Counter[int] = field(default_factory=Counter)  # column -> quoted cells
    plain: Counter[int] = field(default_factory=Counter)  # column -> texts without quotes
    doubled: int = 0  # quoted cells that hold a doubled quote, or a carriage return
    spanning: int = 0  # quoted cells that hold a tab or the end of a line
    commas: int = 0  # quoted cells that hold a comma, which is why Excel quotes
    plain_commas: int = 0


def is_number(text: str) -> bool:
    """Tell whether a cell holds a number and nothing else."""
    return NUMBER.fullmatch(text) is not None


def quoting(lines: Sequence[str]) -> tuple[bool, int]:
    """Decide over the whole file whether the quotation marks of a TSV are those of CSV quoting.

    They are if every cell that begins with one is closed by one, no other cell holds one, and there
    is a reason that writers of such files have: a cell holds a doubled quote, a tab, a line's
    end or a lone carriage return, whole columns are quoted, or exactly the cells with a comma are
    (Excel).

    Returns:
        True if they are quoting; else False and the line from which on a file that began as a
        quoted one breaks the rules of quoting, 0 if there is none.
    """
    if not any(line.startswith('"') or '\t"' in line for line in lines):
        return False, 0
    found, odd = _count("\n".join(lines))
    whole = (
        all(not found.plain[column] for column in found.quoted)
        and max(found.quoted.values(), default=0) >= MIN_QUOTED_CELLS
    )
    if odd:
        return False, odd if found.doubled or whole else 0
    if found.spanning:
        regular = len(found.widths) == 1
        plain_regular = len({line.count("\t") for line in lines if line}) == 1
        # Otherwise quotes may open in one sentence and close in another.
        return regular and not plain_regular, 0
    quoted = found.quoted.total()
    as_excel = quoted > 1 and found.commas == quoted and not found.plain_commas
    return bool(found.doubled) or whole or as_excel, 0


def _count(text: str) -> tuple[_Count, int]:
    """Count the cells up to the line that breaks the rules of quoting; return that line, else 0."""
    found, place, column, row = _Count(), 0, 0, 0
    while place < len(text):
        match = CELL.match(text, place)
        if match is None:
            return found, text.count("\n", 0, place) + 1
        inside, outside, end = match.groups()
        if inside:
            found.quoted[column] += 1
            found.doubled += '""' in inside or "\r" in inside
            found.spanning += "\t" in inside or "\n" in inside
            found.commas += "," in inside
        elif outside:
            found.plain_commas += "," in outside
            if row and not is_number(outside):  # a header may be quoted differently
                found.plain[column] += 1
        column += 1
        if end != "\t":
            if column > 1 or inside or outside:
                found.widths.add(column)
                row += 1
            column = 0
        place = match.end()
    return found, 0
