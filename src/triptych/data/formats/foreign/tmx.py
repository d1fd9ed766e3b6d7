"""Read translation memories (TMX 1.4) as JSONL whose keys are the codes of languages."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import DataError
from .foreign_file import ForeignFile, own_line
from .xml_files import LANGUAGE, parsed, tag_of, text_in

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ENDINGS = (".tmx",)
BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[?!A-Za-z]")


def read(path: Path, raw: bytes) -> ForeignFile | None:
    """Read the units of a memory, each as an object of language -> text. See `ForeignReader`.

    A unit with texts in fewer than two languages is left out. The source language of the memory
    comes first, then the most frequent one.

    Raises DataError as `parsed`, and for XML that is not TMX.
    """
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith(ENDINGS) or BEGINS.match(raw) is None:
        return None
    root = parsed(raw, path)
    if tag_of(root) != "tmx":
        raise DataError(f"{path} is not TMX: its root is <{tag_of(root)}>, not <tmx>.")
    units = [_unit(unit) for unit in root.iter() if tag_of(unit) == "tu"]
    header = next((one for one in root if tag_of(one) == "header"), None)
    first = (header.get("srclang") or "").casefold() if header is not None else ""
    counts = Counter(code for unit in units for code, text in unit.items() if text)
    codes = sorted(counts, key=lambda code: (code.casefold() != first, -counts[code]))
    found = ForeignFile("a translation memory (TMX)", [])
    for number, unit in enumerate(units, 1):
        if sum(bool(text) for text in unit.values()) < 2:
            found.leave_out("a text in one language only", f"unit {number}")
            found.lines.append("")
        else:
            found.lines.append(own_line({code: unit.get(code, "") for code in codes}))
    if not codes:
        raise DataError(f"{path} is TMX without a text: it has {len(units):,} units.")
    return found


def _unit(unit: Element) -> dict[str, str]:
    """Return language -> text of a unit; of two variants in one language the first counts."""
    found: dict[str, str] = {}
    for variant in unit:
        code = variant.get(LANGUAGE) or variant.get("lang")
        segment = next((one for one in variant if tag_of(one) == "seg"), None)
        if tag_of(variant) == "tuv" and code and segment is not None:
            found.setdefault(code, text_in(segment))
    return found
