"""Read texts with labels as fastText writes them: __label__good A fine day."""

from __future__ import annotations

import re
from pathlib import Path

from ....messages import message
from ..lines import decode_lines
from .foreign_file import ForeignFile, own_line

MARK = "__label__"
BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*__label__\S")
LINE = re.compile(rf"\s*((?:{MARK}\S+[ \t]*[, \t]?[ \t]*)+)(.*)")
LABEL = re.compile(rf"{MARK}([^\s,]+)")


def is_fast_text(raw: bytes) -> bool:
    """Tell whether a file begins with a label of fastText."""
    return BEGINS.match(raw) is not None


def read(path: Path, raw: bytes) -> ForeignFile | None:
    """Read each line as a text with its label, or with several. See `ForeignReader`."""
    if not is_fast_text(raw):
        return None
    found: list[tuple[int, list[str], str]] = []
    lines = decode_lines(raw, str(path))
    file = ForeignFile(message("fastText's texts with labels"), [""] * len(lines), numbered=False)
    for number, line in enumerate(lines, 1):
        match = LINE.fullmatch(line)
        if match is not None:
            found.append((number, LABEL.findall(match[1]), match[2].strip()))
        elif line.strip():
            file.leave_out(message("without a label"), f"line {number}")
    several = any(len(labels) > 1 for _, labels, _ in found)
    for number, labels, text in found:
        learnt = {"labels": labels} if several else {"label": labels[0]}
        file.lines[number - 1] = own_line({"text": text, **learnt})
    return file
