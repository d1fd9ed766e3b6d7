"""Load a public set of questions to an assistant, some of which belong to no intent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...errors import DataError
from ..example import Example, Notify
from ..split import sentence_key
from .entry import Entry, File, SplitName
from .files import file_bytes
from .leaks import LEAKS_NOTE, leaking, without_leaks

if TYPE_CHECKING:
    from ..table import DataTable

_CLINC = "https://raw.githubusercontent.com/clinc/oos-eval/828f8093932c8fe6ca7936c3d2e52903b1c523de/data/"
_PARTS: dict[SplitName, tuple[str, str]] = {  # split -> in scope, out of scope
    "train": ("train", "oos_train"),
    "validation": ("val", "oos_val"),
    "test": ("test", "oos_test"),
}
_FILE = "data_full.json"


def load(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load one split without the leaks that `data.leaks` removes; `report` gets their number."""
    try:
        found = json.loads(file_bytes(entry, _FILE, report))
        parts = {name: _read(found, name) for name in (split, *leaking(split, data.leaks))}
    except (ValueError, KeyError, TypeError) as problem:
        raise DataError(
            "{file} of {name} cannot be read ({problem}). Delete it and fetch it again.",
            file=_FILE,
            name=entry.name,
            problem=problem,
        ) from None
    others = {key for name in leaking(split, data.leaks) for key, _ in parts[name]}
    return without_leaks(entry.name, split, data.leaks, parts[split], others, report)


def _read(found: dict[str, list[list[str]]], split: SplitName) -> list[tuple[str, Example]]:
    return [
        (sentence_key(text), Example(text=text, label=label, place=f"{_FILE}:{part}[{number}]"))
        for part in _PARTS[split]
        for number, (text, label) in enumerate(found[part])
    ]


ENTRIES: dict[str, Entry] = {
    "clinc-oos": Entry(
        "clinc-oos",
        "23,700 English questions to an assistant in 150 intents, 1,200 of them out of scope "
        "(label oos; Larson et al. 2019)",
        "CC BY 3.0",
        ("en",),
        (
            File(
                _FILE,
                "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
                f"{_CLINC}{_FILE}",
            ),
        ),
        (
            "out of scope are 100 texts of training, 100 of validation and 1,000 of test: "
            "task.out_of_scope = 'oos' detects them",
            "5 training texts are also in validation or test, under another intent, and are left "
            f"out; {LEAKS_NOTE}",
        ),
        ("text", "label"),
        load,
    ),
}
