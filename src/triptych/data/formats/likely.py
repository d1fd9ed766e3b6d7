"""Find by their content which columns of a table may hold the texts and the labels, for advice.

Nothing is read by such a guess: it only writes a --columns that would fit.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import islice

from .headers import header_verdict
from .quoting import is_number
from .table_format import Format, rows_of

COUNTERS = ("id", "ids", "idx", "index", "no", "nr", "key", "uid", "guid")
LABELLED = (("text", "label"), ("text", "labels"), ("text", "value"))
ROWS = 1000  # that are looked at
FEWEST = 4  # rows from which a small set of values says something
PER_VALUE = 3  # texts to each value of a label, at least


def sample_of(
    needs: Sequence[str], form: Format, header: bool, lines: Sequence[str] | None = None
) -> str:
    """Write a value of --columns that would fit this file.

    lines: those of the file; with them the text and label are chosen by what the columns hold.
    """
    if lines is not None and tuple(needs) in LABELLED:
        found = labelled_sample(form, lines, header, needs[-1])
        if found is not None:
            return found
    texts = [
        place
        for place, cell in enumerate(form.first)
        if cell and not is_number(cell) and cell.casefold() not in COUNTERS
    ]
    places = texts if len(texts) >= len(needs) else list(range(max(len(form.first), len(needs))))
    cells = [
        form.first[place] if header and place < len(form.first) else str(place + 1)
        for place in places
    ]
    return shlex.quote(",".join(f"{need}={cell}" for need, cell in zip(needs, cells, strict=False)))


def is_headed(form: Format, lines: Sequence[str]) -> bool:
    """Tell whether the first row of a table is surely a header."""
    below = [row for _, row in islice(rows_of(lines, form), 1, ROWS)]
    return header_verdict(form.first, below) == "yes"


def labelled_sample(
    form: Format, lines: Sequence[str], header: bool, learnt: str = "label"
) -> str | None:
    """Return a --columns with the longest texts and a column with few values; None without one."""
    if form.kind not in ("tsv", "csv"):
        return None
    body = [row for _, row in islice(rows_of(lines, form), int(header), ROWS)]
    columns = [
        [row[place].strip() for row in body if place < len(row) and row[place].strip()]
        for place in range(len(form.first))
    ]
    words = {
        place: sum(map(len, cells)) / len(cells)
        for place, cells in enumerate(columns)
        if cells and 2 * sum(map(is_number, cells)) < len(cells)
    }
    text = max(words, key=words.__getitem__, default=None)
    label = min(
        (place for place in range(len(columns)) if place != text and _is_label(columns[place])),
        key=lambda place: (all(map(is_number, columns[place])), len(set(columns[place]))),
        default=None,
    )
    if text is None or label is None or len(set(columns[text])) <= len(set(columns[label])):
        return None
    names = [form.first[place] if header else str(place + 1) for place in (text, label)]
    return shlex.quote(f"text={names[0]},{learnt}={names[1]}")


def _is_label(cells: Sequence[str]) -> bool:
    values = set(cells)
    return len(cells) >= FEWEST and 1 < len(values) <= max(2, len(cells) // PER_VALUE)
