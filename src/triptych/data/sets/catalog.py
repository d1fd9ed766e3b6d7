"""List the public sets by name, and load their splits.

Each entry is data: files, their addresses, the digests of their decompressed content, and the way
they are split.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UsageError, unknown
from ..example import Example, Notify
from ..formats.references import written
from ..table import DataTable
from . import (
    chat,
    classification,
    clauses,
    code,
    composed,
    intents,
    pairs,
    parsing,
    reading,
    speech,
    tagging,
    text,
    text_to_text,
)
from .entry import SPLITS, Entry

ENTRIES: dict[str, Entry] = {
    **pairs.ENTRIES,
    **classification.ENTRIES,
    **intents.ENTRIES,
    **clauses.ENTRIES,
    **tagging.ENTRIES,
    **parsing.ENTRIES,
    **reading.ENTRIES,
    **text.ENTRIES,
    **composed.TEXTS,
    **chat.ENTRIES,
    **code.ENTRIES,
    **text_to_text.ENTRIES,
    **composed.SOURCE_TEXTS,
    **speech.ENTRIES,
}


def entries() -> dict[str, Entry]:
    """Return every set of the catalogue by name."""
    return dict(ENTRIES)


def entry(name: str) -> Entry:
    """Return the set of this name. Raises UsageError if there is none."""
    if name not in ENTRIES:
        raise unknown("data set", name, ENTRIES)
    return ENTRIES[name]


def load_other(
    name: str,
    split: str,
    data: DataTable,
    needs: Sequence[str],
    report: Notify | None = None,
) -> list[Example]:
    """Load one split of a set that holds no pairs.

    Raises UsageError if the set lacks a field that the task needs.
    """
    dataset = entry(name)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, f"of {name}")
    parts_of_speech = "tags" in needs and "tags" not in dataset.fields and "upos" in dataset.fields
    # Passages with questions serve as texts to be generated.
    in_words = "references" in needs and "answers" in dataset.fields
    made = (
        {"passage", "target", "references"} if in_words else {"tags"} if parts_of_speech else set()
    )
    missing = [field for field in needs if field not in dataset.fields and field not in made]
    if missing or dataset.loader is None:
        raise UsageError(
            "The set {name} has no {value}, which this task needs; it has {names}. "
            "triptych data list shows the sets and their fields.",
            name=name,
            value=", ".join(missing) or "such fields",
            names=", ".join(dataset.fields),
        )
    found = dataset.loader(dataset, split, data, report)
    for one in found if parts_of_speech else ():  # tagging learns a treebank's parts of speech
        one.tags = one.upos
    return written(found, needs, together=split != "train") if in_words else found


def load(
    name: str,
    split: str,
    *,
    source: str | None = None,
    target: str | Sequence[str] | None = None,
    script: str | None = None,
    report: Notify | None = None,
) -> list[Example]:
    """Load one split of a set.

    target: one language or several (the union, each Example with its own). script: for Chinese:
    "zh-Hans" or "zh-Hant" for all, or "tagged" for each sentence in its own.

    Raises UsageError for a language, script or split that the set does not have, DataError if its
    files are not available.
    """
    dataset = entry(name)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, f"of {name}")
    if dataset.loader is not None:
        raise UsageError(
            "The set {name} holds no pairs of source and target but {names}. "
            "Choose a task that reads these fields.",
            name=name,
            names=", ".join(dataset.fields),
        )
    return pairs.load(dataset, split, source=source, target=target, script=script, report=report)
