"""Load code: the standard library of the running Python, with whole modules held out."""

from __future__ import annotations

import os
import platform
import re
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ..example import Example, Notify
from ..split import split_of
from .entry import Entry

if TYPE_CHECKING:
    from ..table import DataTable

SHARES = {"test": 0.08, "validation": 0.04}  # of the modules
# Folders of tests, bundled packages, compiled code or settings of one machine.
PASSED_OVER = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "lib-dynload",
}
MACHINES_OWN = re.compile(
    r"_sysconfigdata.*|_sysconfig_vars.*|config-.*|sitecustomize|usercustomize"
)
# These were parts of `re` until 3.11.
RENAMED = {"sre_compile": "re", "sre_parse": "re", "sre_constants": "re"}
LONG_LINE = 20  # characters from which a line identifies its origin
COPIED = 0.5  # share of a file's long lines in a held-out split that makes it a copy


def python_stdlib(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    r"""Load one split, one text for each file as it is written, with line ends "\n".

    `report` gets the Python version, the size, and the files left out. Raises DataError if there is
    no source code.
    """
    notify = report or (lambda message: None)
    folder = Path(sysconfig.get_path("stdlib"))
    parts, unreadable, copies = divided(folder)
    found = parts[split]
    modules = {module_of(example.place) for example in found}
    size = sum(example.bytes for example in found)
    version = f"{platform.python_implementation()} {platform.python_version()}"
    notify(
        f"{entry.name}: {version}, {split}: {len(modules):,} modules, {len(found):,} files, "
        f"{size / 1e6:.2f} MB"
    )
    if unreadable:
        notify(f"{entry.name}: not UTF-8 and left out: {', '.join(unreadable)}")
    own = [place for place, part in copies if part == split]
    if own:
        notify(f"{entry.name}: copies of held-out files, left out of {split}: {', '.join(own)}")
    return found


@lru_cache(maxsize=2)
def divided(folder: Path) -> tuple[dict[str, list[Example]], list[str], list[tuple[str, str]]]:
    """Split a library's files into Examples by name.

    Returns the Examples of each split, the files that are not UTF-8, and the copies of held-out
    files with their split.
    """
    parts: dict[str, list[Example]] = {"test": [], "validation": [], "train": []}
    unreadable: list[str] = []
    for path in files_of(folder):
        place = path.relative_to(folder).as_posix()
        try:
            text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            unreadable.append(place)
            continue
        except OSError as problem:
            raise DataError(f"{path} cannot be read: {problem.strerror or problem}.") from None
        if text.strip():
            parts[part_of(module_of(place))].append(Example(text=text, place=place))
    if not parts["train"]:
        raise DataError(
            f"The running Python has no readable standard library in {folder}: there are no .py "
            "files (a frozen or embedded Python keeps them compiled or in an archive). Run "
            "triptych with a Python from python.org, from your system or from conda."
        )
    copies: list[tuple[str, str]] = []
    held: set[str] = set()
    texts: set[str] = set()
    for name in ("test", "validation", "train"):
        own = parts[name]
        parts[name] = [example for example in own if not is_copy(example.text or "", texts, held)]
        copies += [
            (example.place, name) for example in own if is_copy(example.text or "", texts, held)
        ]
        texts |= {example.text or "" for example in own}
        held |= {line for example in own for line in long_lines(example.text or "")}
    return parts, unreadable, copies


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the library's source files, by name."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in PASSED_OVER and not MACHINES_OWN.fullmatch(name)
        )
        for name in sorted(names):
            if name.endswith(".py") and not MACHINES_OWN.fullmatch(name.removesuffix(".py")):
                yield Path(root) / name


def module_of(place: str) -> str:
    """Return the top-level module of a file: "json" for json/decoder.py, "abc" for abc.py."""
    return place.split("/")[0].removesuffix(".py")


def part_of(module: str) -> str:
    """Return the split of a module, by its name alone.

    A module and its internal part (`datetime`, `_pydatetime`) share one.
    """
    plain = re.sub(r"^_(py_?)?", "", module)
    return split_of(f"python-stdlib:{RENAMED.get(plain, plain)}", SHARES)


def long_lines(text: str) -> set[str]:
    """Return the lines that are long enough to identify their origin, without indentation."""
    return {line for one in text.split("\n") if len(line := one.strip()) >= LONG_LINE}


def is_copy(text: str, texts: set[str], held: set[str]) -> bool:
    """Tell whether `text` is among `texts`, or most of its long lines are among `held`."""
    lines = long_lines(text)
    return text in texts or (bool(lines) and len(lines & held) > COPIED * len(lines))


ENTRIES: dict[str, Entry] = {
    "python-stdlib": Entry(
        "python-stdlib",
        "code: the standard library of the running Python, without its tests, one text for each "
        "file",
        "PSF-2.0 (Python Software Foundation License)",
        ("en",),
        (),
        (
            "split: whole modules, by the hash of the module's name, so it is the same for every "
            "version of Python",
            "a training file is left out if over half its lines are in a held-out module",
            "nothing is fetched, and the texts are those of the installed Python: state its "
            "version with a score",
        ),
        fields=("text",),
        loader=python_stdlib,
    ),
}
