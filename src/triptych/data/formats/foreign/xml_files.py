"""Parse XML of other tools safely, and read the text in it."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import DataError, brief
from ..lines import advice, as_utf8
from .foreign_file import extra_missing

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

DECLARED = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)["']""")
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
# Elements whose content is code of the document, not text: of TMX and of XLIFF.
CODES = {"bpt", "ept", "ph", "it", "ut", "x", "bx", "ex", "pc-code", "sc", "ec", "cp", "sm", "em"}


def parsed(raw: bytes, path: Path) -> Element:
    """Parse a document.

    Raises DataError naming the line of damage, and for entities, which can read files and fill the
    memory; UsageError if defusedxml is not installed.
    """
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import ParseError, fromstring
    except ImportError:
        raise extra_missing(str(path), "defusedxml") from None
    try:
        return fromstring(_text(raw, str(path)))
    except ParseError as problem:
        line = problem.position[0]
        raise DataError(
            f"{path}:{line}: not whole XML ({brief(problem)}). The file may be cut off; copy it "
            "again."
        ) from None
    except DefusedXmlException as problem:
        raise DataError(
            f"{path} defines entities of its own or refers to other files "
            f"({type(problem).__name__}), which can be used for attacks, so it is not read. Export "
            "it again without them."
        ) from None


def _text(raw: bytes, where: str) -> str:
    """Decode a document as UTF-8, else as its first line says."""
    raw = as_utf8(raw, where)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        declared = DECLARED.match(raw)
        name = declared[1].decode() if declared else ""
        try:
            return raw.decode(codecs.lookup(name).name)
        except (LookupError, UnicodeDecodeError, ValueError):
            line = raw.count(b"\n", 0, problem.start) + 1
            byte = raw[problem.start]
            raise DataError(
                f"{where}:{line}: byte 0x{byte:02X} is not {name or 'UTF-8'}. {advice(raw)}"
            ) from None


def tag_of(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def text_in(element: Element) -> str:
    """Return the text of a segment without inline tags; spaces are joined as XML may break lines.

    Text between tags stays; what codes of the document hold (`<bpt>&lt;b&gt;</bpt>`) does not.
    """
    return " ".join("".join(_parts(element)).split())


def _parts(element: Element) -> list[str]:
    parts = [element.text or ""]
    for child in element:
        name = tag_of(child)
        parts += [] if name in CODES or not name else _parts(child)
        parts.append(child.tail or "")
    return parts
