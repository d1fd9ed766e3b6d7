"""Read XLIFF 1.2 and 2.0 as JSONL whose keys are the codes of its two languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import DataError
from .foreign_file import ForeignFile, own_line
from .tmx import BEGINS
from .xml_files import parsed, tag_of, text_in

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ENDINGS = (".xlf", ".xliff", ".sdlxliff", ".mxliff", ".mqxliff")
UNTRANSLATED = ("new", "needs-translation", "initial")  # states of a target that is no translation
Languages = tuple[str, str]


def read(path: Path, raw: bytes) -> ForeignFile | None:
    """Read the units of a file, each as an object of its two languages. See `ForeignReader`.

    Units that are not translated are left out. Keys are `source` and `target` where the file does
    not name two languages.

    Raises DataError as `parsed`, and for XML that is not XLIFF.
    """
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith(ENDINGS) or BEGINS.match(raw) is None:
        return None
    root = parsed(raw, path)
    if tag_of(root) != "xliff":
        raise DataError(f"{path} is not XLIFF: its root is <{tag_of(root)}>, not <xliff>.")
    version = root.get("version", "")
    units = list(_version_2(root) if version.startswith("2") else _version_1(root))
    named = {languages for languages, *_ in units}
    codes = next(iter(named)) if len(named) == 1 else ("", "")
    keys = codes if codes[0] and codes[1] and codes[0] != codes[1] else ("source", "target")
    found = ForeignFile(f"XLIFF {version}".strip(), [])
    for number, (_, source, target) in enumerate(units, 1):
        if source and target:
            found.lines.append(own_line(dict(zip(keys, (source, target), strict=True))))
        else:
            found.leave_out("not translated", f"unit {number}")
            found.lines.append("")
    if not units:
        raise DataError(f"{path} is XLIFF without a unit of translation.")
    return found


def _version_1(root: Element) -> Iterator[tuple[Languages, str, str]]:
    """Yield (languages, source, target) of the units of XLIFF 1; an empty text if it is missing."""
    for file in root.iter():
        if tag_of(file) != "file":
            continue
        languages = file.get("source-language", ""), file.get("target-language", "")
        for unit in file.iter():
            if tag_of(unit) == "trans-unit":
                yield languages, *_sides(unit)


def _version_2(root: Element) -> Iterator[tuple[Languages, str, str]]:
    """Yield (languages, source, target) of the segments of XLIFF 2."""
    languages = root.get("srcLang", ""), root.get("trgLang", "")
    for segment in root.iter():
        if tag_of(segment) == "segment":
            source, target = _sides(segment)
            yield languages, source, "" if segment.get("state") in UNTRANSLATED else target


def _sides(unit: Element) -> tuple[str, str]:
    """Return the texts of a unit's own source and target, not those of suggestions in it."""
    found = {tag_of(one): one for one in reversed(unit)}
    source, target = found.get("source"), found.get("target")
    state = "" if target is None else target.get("state", "")
    return (
        "" if source is None else text_in(source),
        "" if target is None or state in UNTRANSLATED else text_in(target),
    )
