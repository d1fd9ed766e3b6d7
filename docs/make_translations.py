"""Collect what the command line says to a user, and compile the translations of it.

    python docs/make_translations.py            # update zh_TW's triptych.po, compile both languages
    python docs/make_translations.py --missing  # print what has no translation yet

Collected are the texts of `message(...)` and of errors with values, and the docstrings of verbs.
Translate the new entries in src/triptych/locale/zh_TW/LC_MESSAGES/triptych.po and run it again: it
compiles triptych.mo, and makes 简体中文 from it with OpenCC. tests/cli/test_language.py fails while
an entry has no translation, or lacks a {field} of its English text.
"""

from __future__ import annotations

import argparse
import ast
import string
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from triptych.cli.completion import completing
from triptych.cli.helping import parts
from triptych.cli.main import build_app
from triptych.cli.verbs import DATA_VERBS, VERBS

ROOT = Path(__file__).parent.parent / "src" / "triptych"
LOCALE = ROOT / "locale"
ERRORS = ("UsageError", "DataError", "RunError", "TrainingError", "ApiError", "ShortSound")
MESSAGES = ("message", "help_text")
WRITTEN, MADE = "zh_TW", "zh_CN"
LIBRARY = ("Display this message and exit.", "Display application version.")  # of Cyclopts


def collected() -> dict[str, str]:
    """Return every text to translate, with the first file that says it, in the order of files."""
    found: dict[str, str] = dict.fromkeys(LIBRARY, "cli/main.py")
    for path in sorted(ROOT.rglob("*.py")):
        for text in messages_of(path):
            found.setdefault(text, str(path.relative_to(ROOT)))
    own = {**VERBS, **DATA_VERBS, "completion": completing(build_app)}
    for name, verb in own.items():
        paragraphs, parameters = parts(verb.load().__doc__ or "")
        for text in [*paragraphs, *parameters.values()]:
            found.setdefault(text, f"triptych {name} --help")
    return found


def messages_of(path: Path) -> Iterator[str]:
    """Yield the templates of messages and errors in a file. They must be literal texts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and name == "unknown":  # its kind and its place
            for given in node.args[:1] + node.args[3:4]:
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    yield given.value
        elif isinstance(node, ast.Call) and (
            name in MESSAGES or (name in ERRORS and node.keywords)
        ):
            first = node.args[0]
            assert isinstance(first, ast.Constant) and isinstance(first.value, str), (
                f"{path}:{node.lineno}: message() takes a literal text; give values by name"
            )
            yield first.value


def fields(template: str) -> set[str]:
    """Return the names of a template's fields."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def catalog() -> Catalog:
    """Return the catalogue of 繁體中文 with what is collected now; gone entries are dropped."""
    path = LOCALE / WRITTEN / "LC_MESSAGES" / "triptych.po"
    old = Catalog(WRITTEN)
    if path.exists():
        with path.open("rb") as file:
            old = read_po(file, WRITTEN)
    new = Catalog(WRITTEN, project="triptych", fuzzy=False, header_comment="# 繁體中文（臺灣）")
    for text, place in collected().items():
        before = old.get(text)
        new.add(text, before.string if before is not None else "", auto_comments=[place])
    return new


def simplified(written: Catalog) -> Catalog:
    """Return the same catalogue in 简体中文, with the words of the mainland."""
    from opencc import OpenCC

    convert = OpenCC("tw2sp").convert
    made = Catalog(MADE, project="triptych", fuzzy=False)
    for entry in written:
        if entry.id and entry.string:
            made.add(entry.id, convert(entry.string))
    return made


def compiled(found: Catalog, name: str) -> None:
    """Write triptych.mo of a language; no date in it, so that equal entries make equal files."""
    found.creation_date = found.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    folder = LOCALE / name / "LC_MESSAGES"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "triptych.mo").open("wb") as file:
        write_mo(file, found)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--missing", action="store_true", help="print untranslated texts alone")
    given = parser.parse_args()
    found = catalog()
    missing = [entry.id for entry in found if entry.id and not entry.string]
    if given.missing:
        print("\n".join(map(repr, missing)))
        return int(bool(missing))
    path = LOCALE / WRITTEN / "LC_MESSAGES" / "triptych.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, found, width=100, omit_header=True)
    compiled(found, WRITTEN)
    compiled(simplified(found), MADE)
    print(f"{len(found):,} texts, {len(missing):,} without a translation", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
